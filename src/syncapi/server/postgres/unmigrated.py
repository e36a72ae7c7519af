"""A missing table, column or function of ours means that the database is not migrated."""

from collections.abc import Iterator
from contextlib import contextmanager

from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.failures import sqlstate

# undefined_function, undefined_table, undefined_column, invalid_schema_name
_MISSING = frozenset({"42883", "42P01", "42703", "3F000"})


@contextmanager
def unmigrated_as_unavailable(database: str) -> Iterator[None]:
    """Raise a refusal that names the migrations where a table, column or function is missing.

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
