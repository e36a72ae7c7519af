"""The keyring of the desktop."""

from contextlib import suppress
from types import ModuleType

from syncapi.cli.exit_codes import CommandFailed, ExitCode

_SERVICE = "syncapi"


def _library() -> ModuleType:
    """Import the library only when it is needed: that takes longer than most commands."""
    import keyring  # noqa: PLC0415

    return keyring


def label() -> str:
    """The name of the keyring's back end."""
    return str(_library().get_keyring().name)


def keeps(name: str, secret: str) -> bool:
    """Put a secret into the keyring; False if the keyring does not return it."""
    try:
        _library().set_password(_SERVICE, name, secret)
        return bool(_library().get_password(_SERVICE, name) == secret)
    except Exception:  # noqa: BLE001 - back ends raise what they like; the caller has another place
        return False


def kept(name: str) -> str | None:
    """The secret of this name; None if there is none.

    Raises:
        CommandFailed: the keyring does not answer.
    """
    try:
        secret: str | None = _library().get_password(_SERVICE, name)
    except Exception as error:
        raise CommandFailed(
            f"the keyring does not give the token: {str(error) or type(error).__name__}",
            ExitCode.UNAUTHORISED,
            hint="unlock the keyring, or set SYNCAPI_TOKEN",
        ) from error
    return secret


def drop(name: str) -> None:
    """Delete a secret. It may be gone already."""
    with suppress(Exception):
        _library().delete_password(_SERVICE, name)
