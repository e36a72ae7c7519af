"""Where the command line keeps what it knows: never inside of a folder that it keeps in step."""

import os
from pathlib import Path

import platformdirs

from syncapi.client import durable

_APP = "syncapi"


def config_dir() -> Path:
    """Accounts and folders; ``SYNCAPI_CONFIG_DIR`` overrides it."""
    return _place("SYNCAPI_CONFIG_DIR", platformdirs.user_config_path(_APP, appauthor=False))


def state_dir() -> Path:
    """The state and trash of each folder; ``SYNCAPI_STATE_DIR`` overrides it."""
    return _place("SYNCAPI_STATE_DIR", platformdirs.user_state_path(_APP, appauthor=False))


def private(folder: Path) -> Path:
    """The folder, made if it is not there; only its owner may look into it."""
    durable.make_folder(folder)
    return folder


def _place(variable: str, default: Path) -> Path:
    named = os.environ.get(variable)
    return Path(named).expanduser().absolute() if named else default
