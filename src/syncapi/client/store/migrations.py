"""The tables of the store, by version: SQLite's ``user_version`` counts the steps taken."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE header (key_id TEXT NOT NULL, document TEXT NOT NULL)",
        """CREATE TABLE records (
               table_name TEXT NOT NULL,
               key TEXT NOT NULL,
               value BLOB NOT NULL,
               PRIMARY KEY (table_name, key)
           ) WITHOUT ROWID""",
    ),
)
"""Append only: a store in the field may be at any of them."""
