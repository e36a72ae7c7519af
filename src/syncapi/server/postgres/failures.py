"""What PostgreSQL's failures mean to a caller."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from syncapi.server.domain.errors import Unavailable

RETRY_AFTER = 2.0

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
NO_FEED = "SYF01"
"""Raised by our own triggers: a write to a tenant that has no feed in this database."""

# serialization_failure, deadlock_detected, lock_not_available: each can also come from COMMIT,
# where the deferred triggers take the clock. The transaction left nothing; run it again.
# unique_violation, foreign_key_violation: another transaction has made or deleted a row since
# this one looked; run again, it sees that.
_RACED = frozenset({"23505", "23503"})
_TRANSIENT = frozenset({"40001", "40P01", LOCK_NOT_AVAILABLE}) | _RACED

# Class 08 connection, 53 resources, 57 operator intervention (a time-out too), 28 and 3D a
# database that does not let us in, 58 system; 25006 a server that was demoted under us.
_DOWN_CLASSES = frozenset({"08", "28", "3D", "53", "57", "58"})
_READ_ONLY = "25006"

# InternalClientError comes from an idle connection whose server has just announced that it stops,
# in the moment before the driver sees it closed.
_DRIVER_DOWN = (
    OSError,
    PoolTimeout,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, also inside SQLAlchemy's wrapping."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is run again."""
    return sqlstate(error) in _TRANSIENT


def is_integrity_failure(error: BaseException) -> bool:
    """Whether a unique or a foreign key was violated, perhaps by another transaction's row."""
    return sqlstate(error) in _RACED


def is_lock_timeout(error: BaseException) -> bool:
    """Whether another transaction held a lock for longer than this one may wait."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE


def is_statement_timeout(error: BaseException) -> bool:
    """Whether a statement took longer than it may, as itself or as the cause of a refusal."""
    return QUERY_CANCELED in (sqlstate(error), sqlstate(error.__cause__ or error))


def is_down(error: BaseException) -> bool:
    """Whether the database, and not the request, is to blame."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = sqlstate(error)
    if state is not None:
        return state[:2] in _DOWN_CLASSES or state == _READ_ONLY
    if isinstance(error, DBAPIError) and error.orig is not None:
        # SQLAlchemy has translated the driver's own exception, and then wrapped it.
        error = error.orig.__cause__ or error.orig
    return isinstance(error, _DRIVER_DOWN)


def unavailable(database: str) -> Unavailable:
    """The refusal that asks a caller to try again later."""
    return Unavailable(
        f"The database '{database}' does not answer at the moment. Try again shortly.",
        retry_after=RETRY_AFTER,
    )


def locked() -> Unavailable:
    """The refusal for a request that needs a lock which another transaction keeps."""
    return Unavailable(
        "Another transaction keeps locked what this request needs, and did not end in time. "
        "Nothing was changed. Try again shortly.",
        retry_after=RETRY_AFTER,
    )


@contextmanager
def down_as_unavailable(database: str) -> Iterator[None]:
    """Raise `Unavailable` where the database does not answer, or lacks the tenant's feed.

    Raises:
        Unavailable: no connection, no free connection, a time-out, or a server that stops; or the
            feed was removed while it was written to.
    """
    try:
        yield
    except Exception as error:
        if is_down(error) or sqlstate(error) == NO_FEED:
            raise unavailable(database) from error
        raise


@contextmanager
def locked_as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` where a statement that is not tried again meets a lock.

    Raises:
        Unavailable: another transaction held a lock for longer than the session may wait.
    """
    try:
        yield
    except Exception as error:
        if is_lock_timeout(error):
            raise locked() from error
        raise
