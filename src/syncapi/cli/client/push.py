"""``syncapi push``."""

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose
from syncapi.cli.client.sync_run import AllowMassDelete, DryRun, WentBack, keep_in_step

app = verb_app()


@app.command()
def push(
    folder: FolderPath = None,
    dry_run: DryRun = False,
    allow_mass_delete: AllowMassDelete = False,
    went_back: WentBack = None,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Send what is new in a folder; change nothing in it."""
    keep_in_step(
        "push",
        folder,
        Speaker(as_json, quiet, verbose),
        dry_run=dry_run,
        allow_mass_delete=allow_mass_delete,
        went_back=went_back,
    )
