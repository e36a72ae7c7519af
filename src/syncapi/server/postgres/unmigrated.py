"""What it means that a table, column or function of ours is not there."""

from collections.abc import Iterator
from contextlib import contextmanager

from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.failures import sqlstate

# undefined_function, undefined_table, undefined_column, invalid_schema_name
_MISSING = frozenset({"42883", "42P01", "42703", "3F000"})


@contextmanager
def unmigrated_as_unavailable(database: str) -> Iterator[None]:
    """Say that the database needs its migrations, where something of ours is missing.

    Raises:
        Unavailable: until an operator has migrated the database.
    """
    try:
        yield
    except Exception as error:
        if sqlstate(error) not in _MISSING:
            raise
        raise Unavailable(
            f"The database '{database}' is not migrated yet. An operator must run "
            "`syncapi migrate`.",
            retry_after=30,
        ) from error
