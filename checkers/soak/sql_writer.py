"""Writes by raw SQL: carries out random transactions, and repeats those that lost a race."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg

from soak.session import session
from soak.tally import Budget, Tally
from soak.transactions import Pause, Planner, Savepoint, Statement, Step, Transaction
from syncapi.server.postgres.failures import is_down, is_transient

_ATTEMPTS = 5

# What a plan may run into by no fault of the feed: a file that was dropped with its last document,
# and a time that no page can carry.
_REFUSALS = (
    asyncpg.CheckViolationError,
    asyncpg.ForeignKeyViolationError,
    asyncpg.NotNullViolationError,
)


async def write_by_sql(
    database_url: str, planner: Planner, budget: Budget, tally: Tally, rng: random.Random
) -> None:
    """Write until the budget is spent; a server that is gone is asked again."""
    while not budget.is_over:
        try:
            async with session(database_url) as connection:
                while budget.take():
                    await _carry_out(connection, planner.transaction(), tally, rng)
        except Exception as error:
            if not is_down(error):
                raise
            tally("sql: connection lost")
            await budget.pause(0.2)


async def _carry_out(
    connection: asyncpg.Connection, plan: Transaction, tally: Tally, rng: random.Random
) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            await _attempt(connection, plan, tally)
        except _REFUSALS:
            tally("sql: refused")
        except Exception as error:
            if not is_transient(error):
                raise
            tally("sql: lost a race")
            await asyncio.sleep(rng.random() * 0.01 * 2**attempt)
            continue
        return
    tally("sql: given up")


async def _attempt(connection: asyncpg.Connection, plan: Transaction, tally: Tally) -> None:
    transaction = connection.transaction(isolation=plan.isolation)
    await transaction.start()
    try:
        done = await _perform(connection, plan.steps)
    except Exception:
        if not connection.is_closed():
            await transaction.rollback()
        raise
    if plan.is_committed:
        await transaction.commit()
        tally(f"sql: committed, {plan.isolation.replace('_', ' ')}")
        for name in done:
            tally(f"sql: {name}")
    else:
        await transaction.rollback()
        tally("sql: rolled back")


async def _perform(connection: asyncpg.Connection, steps: Sequence[Step]) -> list[str]:
    """Carry out the steps; return the names of the statements that are kept."""
    done: list[str] = []
    for step in steps:
        match step:
            case Statement(name, sql, values):
                await connection.execute(sql, *values)
                done.append(name)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Savepoint(inner, is_kept):
                done += await _nested(connection, inner, is_kept=is_kept)
    return done


async def _nested(
    connection: asyncpg.Connection, steps: Sequence[Step], *, is_kept: bool
) -> list[str]:
    savepoint = connection.transaction()
    await savepoint.start()
    done = await _perform(connection, steps)
    if is_kept:
        await savepoint.commit()
        return [*done, "savepoint kept"]
    await savepoint.rollback()
    return ["savepoint rolled back"]
