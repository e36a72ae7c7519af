"""``syncapi pull``."""

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose
from syncapi.cli.client.sync_run import AllowMassDelete, DryRun, RestoreMissing, keep_in_step

app = verb_app()


@app.command()
def pull(
    folder: FolderPath = None,
    dry_run: DryRun = False,
    allow_mass_delete: AllowMassDelete = False,
    restore_missing: RestoreMissing = False,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring what is new on the server into a folder; send nothing."""
    keep_in_step(
        "pull",
        folder,
        Speaker(as_json, quiet, verbose),
        dry_run=dry_run,
        allow_mass_delete=allow_mass_delete,
        restore_missing=restore_missing,
    )
