"""Runs the migrations of one tree (control or tenant) on one database.

`syncapi.server.postgres.migrations` sets the attributes ``tree``, ``url``, ``lock_timeout`` and
``statement_timeout``. A migration waits at most so long for a lock, since all that come after it
wait behind it, and a statement runs at most so long; one that needs more sets its own.
"""

import asyncio
import time

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from syncapi.server.postgres.engines import connector

ONE_AT_A_TIME = 0x73796E63  # "sync": the key of the advisory lock

tree: str = context.config.attributes["tree"]
url: str = context.config.attributes["url"]
lock_timeout: str = context.config.attributes["lock_timeout"]
statement_timeout: str = context.config.attributes["statement_timeout"]


def run(connection: Connection) -> None:
    _wait_for_turn(connection)
    connection.exec_driver_sql(f"SET lock_timeout = '{lock_timeout}'")
    connection.exec_driver_sql(f"SET statement_timeout = '{statement_timeout}'")
    connection.commit()
    context.configure(
        connection=connection,
        version_table=f"alembic_version_{tree}",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _wait_for_turn(connection: Connection) -> None:
    # A session that waits inside a statement would hold up the other's CREATE INDEX CONCURRENTLY.
    while not connection.exec_driver_sql(
        f"SELECT pg_try_advisory_lock({ONE_AT_A_TIME})"
    ).scalar_one():
        connection.commit()
        time.sleep(0.2)


async def online() -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector(url, statement_timeout=600),
        poolclass=NullPool,
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


def offline() -> None:
    context.configure(
        dialect_name="postgresql",
        version_table=f"alembic_version_{tree}",
        transaction_per_migration=True,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},  # others double each % in what is printed
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{lock_timeout}'")
        context.execute(f"SET statement_timeout = '{statement_timeout}'")
        context.run_migrations()


if context.is_offline_mode():
    offline()
else:
    asyncio.run(online())
