"""Arguments and options that several verbs share."""

from typing import Annotated
from uuid import UUID

import typer

TenantReference = Annotated[str, typer.Argument(metavar="TENANT", help="Its id or slug.")]
UserId = Annotated[
    UUID, typer.Argument(metavar="USER", help="The user's id: 'sub' of the tokens.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
