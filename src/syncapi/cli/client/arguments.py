"""Arguments and options that several of the client's verbs share."""

from pathlib import Path
from typing import Annotated

import typer

FolderPath = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", help="The folder. Default: the one that you are in."),
]
FilePath = Annotated[Path, typer.Argument(metavar="PATH", help="A file of the folder.")]
AccountName = Annotated[
    str, typer.Option("--account", metavar="NAME", help="Which login to use, if you have several.")
]


def verb_app(help_text: str | None = None, *, no_args_is_help: bool = False) -> typer.Typer:
    """A verb's parser. Plain help: it is the same on every terminal, and quick."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=no_args_is_help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 99},
    )
