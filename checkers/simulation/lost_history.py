"""A server that goes back to an earlier state, at the same address, as after a restore."""

import asyncio
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, Unreachable
from syncapi.embedded.psql import psql

_ANSWERS: Final = 5
_TRIES: Final = 100


class ServerHistory:
    """The database of a service, and a copy of it that may take its place.

    Args:
        database_url: of a database that nothing else uses, as a superuser.
    """

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._admin = urlunsplit(parts._replace(path="/postgres"))
        self._name = parts.path[1:]
        self._copy = ""

    async def fork(self) -> None:
        """Copy the database. What is written from here on is lost by `lose`."""
        await self.drop_copy()
        self._copy = f"copy_{uuid4().hex[:12]}"
        await self._close()
        await self._run(f'CREATE DATABASE "{self._copy}" TEMPLATE "{self._name}"')
        await self._run(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')

    async def lose(self) -> None:
        """Have the copy take the database's place."""
        await self._close()
        await self._run(f'DROP DATABASE "{self._name}"')
        await self._run(f'ALTER DATABASE "{self._copy}" RENAME TO "{self._name}"')
        self._copy = ""

    async def drop_copy(self) -> None:
        if self._copy:
            await self._run(f'DROP DATABASE "{self._copy}"')
            self._copy = ""

    async def _close(self) -> None:
        """End all sessions, and let nobody begin another."""
        await self._run(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
        await self._run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{self._name}'"
        )

    async def _run(self, sql: str) -> None:
        await asyncio.to_thread(psql, self._admin, sql)


async def wait_until_served(client: Client) -> None:
    """Wait until the service has connections again: a device that gives up proves nothing."""
    answers = 0
    for _ in range(_TRIES):
        try:
            await client.documents()
            await client.pull(cursor=None)
        except (ApiError, Unreachable):
            answers = 0
            await asyncio.sleep(0.05)
        else:
            answers += 1
        if answers == _ANSWERS:
            return
    raise RuntimeError("the service does not come back")
