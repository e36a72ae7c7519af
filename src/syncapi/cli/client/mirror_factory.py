"""Opens the mirror of a folder, from what is recorded of the folder and its account."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from syncapi.cli.client.accounts import Account, find_account
from syncapi.cli.client.console import Speaker
from syncapi.cli.client.credentials import token_of
from syncapi.cli.client.keys import key_of
from syncapi.cli.client.registry import Folder, folder_of, folders
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.api.client import Client
from syncapi.client.errors import StoreBusy
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.observe.observer import MirrorOptions
from syncapi.client.folder.plan.actions import Plan
from syncapi.client.folder.reports import Progress
from syncapi.client.store.store import Store


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder whose mirror is open."""

    folder: Folder
    account: Account
    client: Client
    mirror: Mirror

    def path_of(self, file: Path) -> str:
        """The path of a file within the folder, as the mirror uses it."""
        return relative(self.folder, file)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from syncing the folder, also a `watch`.

        Raises:
            StoreBusy: another process syncs the folder.
            CommandFailed: another process has run `syncapi forget` since the folder was opened.
        """
        with self.mirror.exclusively():
            if folders().read().by_id(self.folder.id) is None:
                raise CommandFailed(
                    f"{self.folder.path} was forgotten by another process. Nothing was done",
                    ExitCode.STOPPED,
                    hint=f"syncapi init {self.folder.path} begins anew",
                )
            yield


def choose_folder(path: Path | None, speaker: Speaker) -> Folder:
    """Find the folder that ``path`` is in, and report if it has been moved.

    Raises:
        CommandFailed: ``path`` is in no folder that is kept in step.
    """
    folder, moved_from = folder_of(path or Path())
    if moved_from is not None:
        speaker.say(
            f"{name_shown(folder.path)} is what {name_shown(moved_from)} was: noted.",
            "moved",
            path=folder.path,
            moved_from=moved_from,
        )
    return folder


def relative(folder: Folder, file: Path) -> str:
    """The path of a file within the folder. If the file is a symlink, it is not followed."""
    place = file.expanduser().absolute()
    return (place.parent.resolve() / place.name).relative_to(folder.path).as_posix()


@asynccontextmanager
async def open_folder(folder: Folder, progress: Progress | None = None) -> AsyncIterator[Opened]:
    """Open a folder's mirror. It may be read beside a sync of another process.

    Raises:
        CommandFailed: the account or its token is gone.
        StoreError: the local state cannot be opened.
    """
    account = find_account(folder.account)
    token = token_of(account)
    with Store.open(folder.state, key=key_of(folder)) as store:
        async with Client(account.url, account.tenant, token) as client:
            mirror = Mirror(
                folder.path,
                client,
                store,
                Trash(folder.state / "trash", keep=timedelta(days=folder.trash_days)),
                MirrorOptions(device=folder.device),
                progress,
            )
            yield Opened(folder, account, client, mirror)


async def find_plan(at_work: Opened, speaker: Speaker, *, offline: bool = False) -> Plan:
    """What a sync would do. If another process syncs the folder: as of its last sync."""
    try:
        with at_work.alone():
            return (await at_work.mirror.look(offline=offline)).plan
    except StoreBusy as busy:
        speaker.say(f"{busy.message} This is as of its last sync.", "busy", message=busy.message)
        return (await at_work.mirror.look(offline=True)).plan
