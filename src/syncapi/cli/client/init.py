"""``syncapi init``: begin to keep a folder in step."""

import os
import platform
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from syncapi.cli.client.accounts import DEFAULT_ACCOUNT, find_account
from syncapi.cli.client.arguments import AccountName, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, format_count, speaking
from syncapi.cli.client.identities import Identity
from syncapi.cli.client.keys import check_usable, default_key_file, key_of
from syncapi.cli.client.places import config_dir, private, state_dir
from syncapi.cli.client.registry import Encryption, Folder, folders, mark, relocate
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.store.store import Store

app = verb_app()


@app.command()
def init(  # noqa: PLR0917 - the options of a verb
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
    account: AccountName = DEFAULT_ACCOUNT,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In the names of conflict copies. Default: the host."),
    ] = None,
    encrypt: Annotated[
        Encryption, typer.Option(help="Encrypt the local state by a key that is kept there.")
    ] = "no",
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For --encrypt file: where the key is.")
    ] = None,
    trash_days: Annotated[
        int, typer.Option(min=1, help="How long deleted and overwritten files are kept.")
    ] = 30,
    moved_from: Annotated[
        Path | None,
        typer.Option(metavar="OLD", help="DIR is the folder that was at OLD until now."),
    ] = None,
    inode: Annotated[
        bool,
        typer.Option(
            help="Tell the folder from copies of it by its inode. Not where a mount changes those."
        ),
    ] = True,
    as_json: AsEvents = False,
    quiet: Quiet = False,
) -> None:
    """Begin to keep a folder in step with a tenant's documents. `syncapi sync` then does so.

    The folder may have files already. None is lost: what the server has in the same bytes is
    taken as it is, what it has in others is kept beside, and the rest is sent.
    """
    with speaking(speaker := Speaker(as_json, quiet)):
        place = _check_folder(folder)
        if moved_from is not None:
            _move(speaker, moved_from, place, inode=inode)
            return
        name = device or platform.node()
        made = _make_folder(place, account, name, encrypt, key_file, trash_days, inode=inode)
        held = sum(len(names) for _, _, names in os.walk(place))
        speaker.say(
            f"{name_shown(place)} will be kept in step ({format_count(held, 'file')} in it now). "
            f"Its state is in {name_shown(made.state)}.\nNext: syncapi sync {name_shown(folder)}",
            "initialised",
            path=place,
            state=made.state,
            id=made.id,
            files=held,
        )


def _check_folder(folder: Path) -> Path:
    given = folder.expanduser().absolute()
    if given.is_symlink():
        raise _make_refusal(f"{given} is a symlink to {given.resolve()}: name that folder instead")
    place = given.resolve()
    if place.exists() and not place.is_dir():
        raise _make_refusal(f"{place} is no folder")
    place.mkdir(parents=True, exist_ok=True)
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise _make_refusal(f"{place} cannot be written to", "chmod u+rwx it, or choose another")
    return place


def _make_refusal(message: str, hint: str | None = None) -> CommandFailed:
    return CommandFailed(message, ExitCode.USAGE, hint=hint)


def _check_overlap(place: Path, known: list[Folder]) -> None:
    for other in known:
        if other.path == place:
            raise _make_refusal(
                f"{place} is kept in step already",
                f"syncapi sync {place}; or `syncapi forget {place}` to begin anew",
            )
        if place.is_relative_to(other.path) or other.path.is_relative_to(place):
            raise _make_refusal(f"{place} and {other.path}, which is kept in step, overlap")
    for own in (config_dir(), state_dir()):
        if own.resolve().is_relative_to(place):
            raise _make_refusal(
                f"{own}, where syncapi keeps its own state, is inside of {place}",
                "set SYNCAPI_CONFIG_DIR and SYNCAPI_STATE_DIR to folders outside",
            )


def _make_folder(
    place: Path,
    account: str,
    device: str,
    encrypt: Encryption,
    key_file: Path | None,
    trash_days: int,
    *,
    inode: bool,
) -> Folder:
    find_account(account)
    check_usable(encrypt)
    folder_id = uuid4().hex
    folder = Folder(
        id=folder_id,
        path=place,
        account=account,
        device=_device(device),
        encryption=encrypt,
        key_file=(key_file.expanduser().absolute() if key_file else default_key_file(folder_id))
        if encrypt == "file"
        else None,
        trash_days=trash_days,
        identity=Identity.of(place) if inode else None,
        created_at=datetime.now(UTC),
    )
    with folders().change() as known:
        _check_overlap(place, known.folders)
        _begin_state(folder)
        folder.is_marked = mark(place, folder_id)
        known.folders.append(folder)
    return folder


def _begin_state(folder: Folder) -> None:
    try:
        private(folder.state)
        Store.open(folder.state, key=key_of(folder, is_new=True)).close()
    except BaseException:
        shutil.rmtree(folder.state, ignore_errors=True)
        raise


def _device(name: str) -> str:
    """A short word that may be part of a file name."""
    word = re.sub(r"[^\w-]+", "-", name.partition(".")[0]).strip("-")[:20]
    return word or "device"


def _move(speaker: Speaker, old: Path, place: Path, *, inode: bool) -> None:
    before = old.expanduser().absolute()
    known = folders().read().folders
    found = next((one for one in known if one.path in {before, before.resolve()}), None)
    if found is None:
        listed = "".join(f"\n  {name_shown(one.path)}" for one in known) or " none"
        raise _make_refusal(f"{before} was not kept in step. Those are:{listed}")
    _check_overlap(place, [one for one in known if one.id != found.id])
    relocate(found, place, Identity.of(place) if inode else None)
    speaker.say(
        f"{name_shown(place)} is what {name_shown(before)} was.\n"
        f"Next: syncapi status {name_shown(place)}",
        "moved",
        path=place,
        moved_from=before,
    )
