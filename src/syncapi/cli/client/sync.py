"""``syncapi sync``."""

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose
from syncapi.cli.client.sync_run import (
    AllowMassDelete,
    DryRun,
    RestoreMissing,
    WentBack,
    keep_in_step,
)

app = verb_app()


@app.command()
def sync(  # noqa: PLR0917 - the options of a verb
    folder: FolderPath = None,
    dry_run: DryRun = False,
    allow_mass_delete: AllowMassDelete = False,
    restore_missing: RestoreMissing = False,
    went_back: WentBack = None,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring a folder and the server in step, in both directions."""
    keep_in_step(
        "both",
        folder,
        Speaker(as_json, quiet, verbose),
        dry_run=dry_run,
        allow_mass_delete=allow_mass_delete,
        went_back=went_back,
        restore_missing=restore_missing,
    )
