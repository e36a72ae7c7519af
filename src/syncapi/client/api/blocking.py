"""The client without ``await``, for scripts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    contextmanager,
)
from functools import partial, update_wrapper
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from syncapi.client.api.client import Client
from syncapi.client.api.tokens import TokenProvider
from syncapi.client.retrying import RetryPolicy

Args = ParamSpec("Args")
Result = TypeVar("Result")


def _waiting(
    method: Callable[Concatenate[Client, Args], Awaitable[Result]],
) -> Callable[Concatenate["BlockingClient", Args], Result]:
    """The same method; it returns when it is done."""

    def wait(self: "BlockingClient", /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        return self._run(partial(method, self._client, *args, **kwargs))

    update_wrapper(wait, method)
    return wait


def _iterating(
    method: Callable[Concatenate[Client, Args], AsyncIterator[Result]],
) -> Callable[Concatenate["BlockingClient", Args], Iterator[Result]]:
    """The same method, as a plain iterator."""

    def iterate(
        self: "BlockingClient", /, *args: Args.args, **kwargs: Args.kwargs
    ) -> Iterator[Result]:
        return self._each(method(self._client, *args, **kwargs))

    update_wrapper(iterate, method)
    return iterate


def _entering(
    method: Callable[
        Concatenate[Client, Args], AbstractAsyncContextManager[AsyncIterator[Result]]
    ],
) -> Callable[Concatenate["BlockingClient", Args], AbstractContextManager[Iterator[Result]]]:
    """The same method, as a plain context manager that gives a plain iterator."""

    @contextmanager
    def enter(
        self: "BlockingClient", /, *args: Args.args, **kwargs: Args.kwargs
    ) -> Iterator[Iterator[Result]]:
        with self._entered(method(self._client, *args, **kwargs)) as results:
            yield self._each(results)

    update_wrapper(enter, method)
    return enter


class BlockingClient:
    """`Client` for scripts and threads: the same methods, which wait.

    It is a context manager. An event loop runs in a thread of its own meanwhile; any number of
    threads may use the client at once.
    """

    def __init__(  # noqa: PLR0913 - as of `Client`
        self,
        base_url: str,
        tenant_id: UUID,
        token: str | TokenProvider,
        *,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        storage_transport: httpx.AsyncBaseTransport | None = None,
        user_agent: str | None = None,
    ) -> None:
        """Prepare, as `Client` does; nothing is sent before it is entered."""
        self._client = Client(
            base_url,
            tenant_id,
            token,
            retry=retry,
            timeout=timeout,
            transport=transport,
            storage_transport=storage_transport,
            user_agent=user_agent,
        )
        self.base_url = self._client.base_url
        self.tenant_id = tenant_id
        self._open = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._client))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal = None
        self._open.__exit__(kind, error, traceback)  # after a failure, what runs yet is ended

    pull = _waiting(Client.pull)
    poll = _waiting(Client.poll)
    push = _waiting(Client.push)
    documents = _waiting(Client.documents)
    document = _waiting(Client.document)
    change_document = _waiting(Client.change_document)
    delete_document = _waiting(Client.delete_document)
    upload_document = _waiting(Client.upload_document)
    download_url = _waiting(Client.download_url)
    history = _waiting(Client.history)
    versions = _iterating(Client.versions)
    unknown_versions = _waiting(Client.unknown_versions)
    restore = _waiting(Client.restore)
    declare = _waiting(Client.declare)
    file = _waiting(Client.file)
    complete = _waiting(Client.complete)
    archive = _entering(Client.archive)
    ready = _waiting(Client.ready)
    download = _waiting(Client.download)
    upload = _waiting(Client.upload)

    def _run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        return self._loop().call(work)

    def _entered(
        self, entered: AbstractAsyncContextManager[Result]
    ) -> AbstractContextManager[Result]:
        return self._loop().wrap_async_context_manager(entered)

    def _each(self, results: AsyncIterator[Result]) -> Iterator[Result]:
        while True:
            try:
                yield self._run(results.__anext__)
            except StopAsyncIteration:
                return

    def _loop(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("use the client inside of its `with` block")
        return self._portal
