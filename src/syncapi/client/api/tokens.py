"""Where bearer tokens come from."""

import inspect
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import anyio
import anyio.to_thread

from syncapi.client.errors import Unauthenticated

_LONGEST_RUN: Final = 60.0
"""Seconds that a command may take."""


class TokenProvider(Protocol):
    """Gives the token that requests carry. It may be asked by many at once."""

    async def token(self, *, refused: str | None) -> str:
        """A token.

        Args:
            refused: the token that the server answered with a 401; give another one. Giving the
                same again says that there is no other.

        Raises:
            Unauthenticated: there is none to be had.
        """
        ...


class StaticToken:
    """One token, for as long as it works."""

    def __init__(self, token: str) -> None:
        """Keep the token.

        Raises:
            ValueError: it is empty, or has characters that no token has.
        """
        self._token = token.strip()
        if not _is_token(self._token):
            raise ValueError("a token is one word of ASCII characters")

    async def token(self, *, refused: str | None) -> str:  # noqa: ARG002 - there is no other
        return self._token


class FunctionToken:
    """Tokens that a function of the caller's makes; each is used until it is refused.

    A plain function runs in a thread, so that it may block.
    """

    def __init__(self, make: Callable[[], str] | Callable[[], Awaitable[str]]) -> None:
        self._make = make
        self._current: str | None = None
        self._one_at_a_time = anyio.Lock()

    async def token(self, *, refused: str | None) -> str:
        async with self._one_at_a_time:
            # Of many who were refused the same token the first one has it renewed for all.
            if self._current is None or self._current == refused:
                self._current = await self._made()
            return self._current

    async def _made(self) -> str:
        if inspect.iscoroutinefunction(self._make):
            made: str = await self._make()
            return made
        result = await anyio.to_thread.run_sync(self._make)
        return await result if inspect.isawaitable(result) else str(result)


class CommandToken(FunctionToken):
    """Tokens that a command prints, such as ``vault read …``; no shell is involved."""

    def __init__(self, command: str | Sequence[str]) -> None:
        """Prepare the command; it runs when a token is needed.

        Args:
            command: the program and its arguments; text is split as a shell would.

        Raises:
            ValueError: it is empty, or its quotation marks do not match.
        """
        self._arguments = shlex.split(command) if isinstance(command, str) else list(command)
        if not self._arguments:
            raise ValueError("name the command that prints a token")
        super().__init__(self._printed)

    def _printed(self) -> str:
        program = self._arguments[0]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                check=True,
                timeout=_LONGEST_RUN,
            )
        except subprocess.CalledProcessError as error:
            raise _no_token(f"{program!r} ended with {error.returncode}.") from error
        except subprocess.TimeoutExpired as error:
            raise _no_token(f"{program!r} took longer than {_LONGEST_RUN:.0f} s.") from error
        except OSError as error:
            raise _no_token(f"{program!r} cannot be run: {error.strerror}.") from error
        token = done.stdout.decode("utf-8", "replace").strip()
        if not _is_token(token):
            raise _no_token(f"{program!r} printed no token: it must print it alone.")
        return token


def _is_token(text: str) -> bool:
    return text.isascii() and len(text.split()) == 1


def _no_token(what: str) -> Unauthenticated:
    return Unauthenticated.told_here(
        401, "no_token", f"There is no token. {what}", hint="try the command by itself"
    )


def provider_of(token: str | TokenProvider) -> TokenProvider:
    """Text stands for itself."""
    return StaticToken(token) if isinstance(token, str) else token
