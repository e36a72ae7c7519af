"""The bar on a terminal: files, bytes, rate and the time left."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from syncapi.cli.client.amounts import Amount


class TerminalBar:
    """A bar that goes away when it is done."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[files]}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else lines meant for a file would go to stderr
        )
        self._task = self._progress.add_task("", total=None, files="Looking")
        self._progress.start()

    def show(self, amount: Amount) -> None:
        self._progress.update(
            self._task,
            total=amount.size,
            completed=amount.size_done,
            files=f"{amount.files_done:,} of {amount.files:,} files",
        )

    def close(self) -> None:
        self._progress.stop()
