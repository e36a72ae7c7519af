"""``syncapi openapi``: the API's description, without any settings."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from syncapi.server.web.app import build_app

app = typer.Typer()


@app.command()
def openapi(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not to stdout.")
    ] = None,
) -> None:
    """Print the description of the API (OpenAPI 3.1), the same bytes every time."""
    document = orjson.dumps(
        build_app().openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    if output is None:
        typer.echo(document, nl=False)
    else:
        output.write_bytes(document)
