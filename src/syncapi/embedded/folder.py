"""A server's folder: whose it is, who uses it now, and what must be remembered in it."""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
from pathlib import Path
from typing import Any

from syncapi.embedded.errors import EmbeddedError


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


class ServerFolder:
    """The folder of one server; locked while the server runs.

    Raises:
        EmbeddedError: another process uses the folder, or it belongs to another user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self._memory = self.path / "remembered.json"

    def claim(self) -> None:
        """Make the folder and lock it until `release` or the end of this process."""
        if self._lock is not None:
            return
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._check_owner()
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            raise EmbeddedError(
                f"{self.path} is in use by process {holder}: stop that one, or use another folder"
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._lock = descriptor

    def _check_owner(self) -> None:
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            with contextlib.suppress(KeyError):
                raise EmbeddedError(
                    f"{self.path} belongs to {pwd.getpwuid(owner).pw_name}: "
                    "run as that user, or use another folder"
                )
            raise EmbeddedError(f"{self.path} belongs to user {owner}: run as that user")

    def release(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remember(self, **values: str | int) -> None:
        """Keep values for the next run."""
        write_private(self._memory, json.dumps(self.remembered() | values))

    def remembered(self) -> dict[str, Any]:
        """The values that were kept."""
        if not self._memory.exists():
            return {}
        values: dict[str, Any] = json.loads(self._memory.read_text())
        return values

    def secret(self, name: str) -> str:
        """A random secret: made at the first call, the same ever after."""
        if name not in self.remembered():
            self.remember(**{name: secrets.token_hex(20)})
        secret: str = self.remembered()[name]
        return secret
