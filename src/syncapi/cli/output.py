"""What verbs print: a table for a person, JSON for a program."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncapi.protocol.base import format_time

Record = Mapping[str, Any]


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print one JSON value; ids as text, times in UTC as the API writes them."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def print_table(records: Sequence[Record], columns: Sequence[str], *, empty: str) -> None:
    """Print some columns of records, or ``empty`` where there are none.

    If stdout is no terminal, it prints one line for each record with tabs, so that `cut` can read
    it.
    """
    console = Console()
    if not console.is_terminal:
        for record in records:
            typer.echo("\t".join(_cell(record[column]) for column in columns))
    elif not records:
        console.print(Text(empty, style="dim"))
    else:
        console.print(_table(records, columns))


def _table(records: Sequence[Record], columns: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for record in records:
        table.add_row(*(Text(_cell(record[column])) for column in columns))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else _plain(value)


def _plain(value: object) -> str:
    return format_time(value) if isinstance(value, datetime) else str(value)
