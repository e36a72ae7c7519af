"""Where databases are, and engines that hold a bounded number of connections to one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from syncapi.server.domain.errors import Unavailable

CONNECT_TIMEOUT = 5.0
DEFAULT_DATABASE = "default"


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Where each database is: a listed URL, else the template with the name filled in."""

    default: str
    control: str | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None

    def tenant(self, name: str) -> str:
        """The URL of a tenant database.

        Raises:
            Unavailable: the name is neither listed nor covered by the template.
        """
        if name in self.named:
            return self.named[name]
        if name == DEFAULT_DATABASE:
            return self.default
        if self.template is not None:
            return self.template.replace("{database}", name)
        raise Unavailable(
            f"No URL is configured for the database '{name}': add it to "
            "SYNCAPI_TENANT_DATABASE_URLS or set SYNCAPI_TENANT_DATABASE_URL_TEMPLATE."
        )


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections one process holds to one database, and for how long (seconds)."""

    size: int = 10
    wait: float = 5.0
    idle: float = 300.0
    statement_timeout: float = 30.0
    prepared_statements: bool = True


def connector(
    url: str, *, statement_timeout: float = 30.0, prepared_statements: bool = True
) -> Callable[[], Awaitable[asyncpg.Connection]]:
    """Make a function that opens a connection.

    The driver reads the URL itself, so that all of libpq's parameters work. Behind a pooler
    (``prepared_statements=False``) no start-up parameters are sent: poolers refuse them.
    """
    session = {
        "application_name": "syncapi",
        "timezone": "UTC",
        "jit": "off",  # every query here is short: compiling one costs more than it saves
        "statement_timeout": str(int(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": str(int(statement_timeout * 1000)),
    }

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=statement_timeout + 1,
            statement_cache_size=256 if prepared_statements else 0,
            server_settings=session if prepared_statements else None,
        )

    return connect


def _refuse_closed(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _fairy: object
) -> None:
    # The event loop has seen that the server closed the connection: the pool replaces it.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def create_engine(url: str, limits: PoolLimits) -> AsyncEngine:
    """An engine whose pool is bounded and drops connections that the server has closed."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector(
            url,
            statement_timeout=limits.statement_timeout,
            prepared_statements=limits.prepared_statements,
        ),
        pool_size=limits.size,
        max_overflow=0,
        pool_timeout=limits.wait,
        pool_use_lifo=True,
        hide_parameters=True,  # errors are logged, and values are names of files
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine
