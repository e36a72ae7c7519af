"""The keyring of the desktop."""

from contextlib import suppress
from types import ModuleType

from syncapi.cli.exit_codes import CommandFailed, ExitCode

_SERVICE = "syncapi"


def _library() -> ModuleType:
    """Loaded when it is needed: most commands are done sooner than it is loaded."""
    import keyring  # noqa: PLC0415

    return keyring


def label() -> str:
    """What the desktop calls it."""
    return str(_library().get_keyring().name)


def keeps(name: str, secret: str) -> bool:
    """Put a secret there; False if it is not there afterwards."""
    try:
        _library().set_password(_SERVICE, name, secret)
        return bool(_library().get_password(_SERVICE, name) == secret)
    except Exception:  # noqa: BLE001 - back ends raise what they like; the caller has another place
        return False


def kept(name: str) -> str | None:
    """A secret; None if there is none of that name.

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
    """Take a secret away; one that is gone already is fine."""
    with suppress(Exception):
        _library().delete_password(_SERVICE, name)
