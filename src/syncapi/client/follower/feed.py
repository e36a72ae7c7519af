"""A pull: the machine's driver. What a page brings and where it leads is one transaction."""

import asyncio
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import CursorExpired, InvalidCursor
from syncapi.client.follower.histories import missing_in_history
from syncapi.client.follower.holder import Fetch
from syncapi.client.follower.machine import (
    Asked,
    Compared,
    Effect,
    Event,
    Expired,
    Next,
    Page,
    Phase,
    Reason,
    WentBack,
    step,
)
from syncapi.client.follower.pulled import Pulled
from syncapi.client.follower.remote import Remote
from syncapi.client.follower.resync import Comparing
from syncapi.client.follower.tables import FollowerTables
from syncapi.protocol.documents import Document
from syncapi.protocol.sync import SyncPage


class Feed:
    """Brings the documents in step with the server's feed."""

    def __init__(
        self,
        client: Client,
        tables: FollowerTables,
        remote: Remote,
        comparing: Comparing,
        *,
        per_page: int,
    ) -> None:
        self._client = client
        self._tables = tables
        self._remote = remote
        self._comparing = comparing
        self._per_page = per_page

    async def run(self, pulled: Pulled, fetch: Fetch | None) -> None:
        """Pull until the feed's end, and fetch the contents of each page.

        A run that was cut short ends where the feed ended when it began: what came since then
        takes another one.
        """
        was_cut_short = self._tables.machine.phase not in {Phase.EMPTY, Phase.IN_STEP}
        await self._run_once(pulled, fetch)
        if was_cut_short:
            await self._run_once(pulled, fetch)

    async def _run_once(self, pulled: Pulled, fetch: Fetch | None) -> None:
        """While one page's contents are fetched, the next page is asked for."""
        run = _Run(self._client, self._tables, self._remote, self._comparing, pulled)
        fetched = _Behind()
        try:
            following = run.move(Asked())
            while following is not None:
                event = await run.ask(following, self._per_page)
                await fetched.caught_up()
                if event is None:
                    break
                following = run.move(event)
                if fetch is not None and run.brought:
                    fetched.start(fetch, run.brought, self._remote.urls)
            await fetched.caught_up()
        finally:
            await fetched.end()


class _Behind:
    """The fetching of one page's contents, one page behind."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self, fetch: Fetch, documents: list[Document], urls: dict[UUID, str]) -> None:
        self._task = asyncio.create_task(fetch(documents, urls))

    async def caught_up(self) -> None:
        """Wait for it; raises what it raised."""
        if self._task is not None:
            await self._task
            self._task = None

    async def end(self) -> None:
        """Stop it, if the run ended early."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # the run ends with what came first


class _Run:
    """One run, with what it learns on its way.

    Attributes:
        brought: the documents of the page that was applied last.
    """

    def __init__(
        self,
        client: Client,
        tables: FollowerTables,
        remote: Remote,
        comparing: Comparing,
        pulled: Pulled,
    ) -> None:
        self._client = client
        self._tables = tables
        self._remote = remote
        self._comparing = comparing
        self._pulled = pulled
        self._page: SyncPage | None = None
        self._replaced: set[UUID] = set()
        self._lost: list[Document] = []
        self.brought: list[Document] = []

    def move(self, event: Event) -> Next | None:
        """Let an event come: its effects and the new state last together, or not at all."""
        self.brought = []
        with self._tables.store.transaction():
            before = self._tables.machine
            transition = step(before, event)
            for effect in transition.effects:
                self._carry_out(effect)
            self._tables.keep(transition.state)
        if Effect.SWAP in transition.effects and before.reason is not None:
            self._pulled.resynced = before.reason
        return transition.next

    async def ask(self, following: Next, per_page: int) -> Event | None:
        """Ask; the outcome is the next event, if there is one."""
        match following:
            case Next.PAGE:
                return await self._ask_page(per_page, include_urls=True)
            case Next.PAGE_WITHOUT_URLS:
                return await self._ask_page(per_page, include_urls=False)
            case Next.COMPARE:
                self._lost = await self._comparing.lost()
                return Compared()
            case Next.CHECK_PUSHED:
                return WentBack() if self._remote.unbrought() else None

    async def _ask_page(self, per_page: int, *, include_urls: bool) -> Event:
        cursor = self._tables.machine.cursor
        try:
            page = await self._client.pull(
                cursor=cursor, per_page=per_page, include_urls=include_urls
            )
        except CursorExpired as expired:
            return Expired(_reason(expired))
        except InvalidCursor:
            if cursor is None:
                raise
            # Signed with a key that the service has no more. If it has lost writes too, the
            # versions that are ahead of its own tell.
            return Expired("tombstones_collected")
        self._page = page
        if self._tables.machine.reason is None:  # else the whole is compared
            versions = self._remote.superseded(page)
            lost = await missing_in_history(self._client, versions)
            self._replaced = {held.id for held in lost}
        return Page(page.sync_token, page.has_more)

    def _carry_out(self, effect: Effect) -> None:
        page = self._page
        match effect:
            case Effect.EXPECT_PUSHED:
                self._remote.expect_pushed()
            case Effect.APPLY if page is not None:
                self.brought = self._remote.apply(page, self._replaced, self._pulled)
            case Effect.SHADOW if page is not None:
                self._remote.shadow(page)
            case Effect.CONFIRM_DELETIONS:
                self._remote.confirm_deletions()
            case Effect.SWAP:
                self._comparing.swap(self._lost, self._pulled)
            case _:
                self._tables.shadow.clear()


def _reason(expired: CursorExpired) -> Reason:
    """Why a cursor was refused; what is no loss is one of deletions that were forgotten."""
    lost = expired.problem.reason == "history_lost"
    return "history_lost" if lost else "tombstones_collected"
