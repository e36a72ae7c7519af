"""What it means that a table or function of ours is not there."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from syncapi.domain.errors import Unavailable
from syncapi.postgres.failures import sqlstate

# undefined_function, undefined_table, invalid_schema_name
_MISSING = frozenset({"42883", "42P01", "3F000"})


@contextmanager
def unmigrated_as_unavailable(database: str) -> Iterator[None]:
    """Say that the database needs its migrations, where a table or function is missing.

    Raises:
        Unavailable: until an operator has migrated the database.
    """
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) not in _MISSING:
            raise
        raise Unavailable(
            f"The database '{database}' is not migrated yet. An operator must run "
            "`syncapi migrate`.",
            retry_after=30,
        ) from error
