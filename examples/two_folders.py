"""Two folders of one tenant, kept in step by the command line: what `make demo` shows.

It starts the service with all it needs in a temporary folder, copies Python's standard library
into a folder, syncs it into a second one, edits on both sides, meets a conflict and resolves it,
and checks every byte. Then it stops everything and cleans up.
"""

import contextlib
import filecmp
import os
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

IN_STEP, PARTLY, CONFLICTS = 0, 3, 4


def say(text: str) -> None:
    print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


class Shell:
    """Runs `syncapi` as a person types it."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.environment = environment

    def __call__(self, command: str, expected: int = IN_STEP) -> None:
        print(f"$ {command}", flush=True)
        begun = time.monotonic()
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(words, cwd=self.place, env=self.environment, check=False)  # noqa: S603
        print(f"  ({time.monotonic() - begun:.1f} s, exit code {done.returncode})", flush=True)
        if done.returncode != expected:
            raise SystemExit(f"expected the exit code {expected}")


@contextlib.contextmanager
def service(place: Path) -> Iterator[dict[str, str]]:
    """Run the whole service; give the variables of its `dev.env`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "syncapi",
        "dev",
        "--data-dir",
        "service",
        "--port",
        str(port),
    ]
    with (place / "service.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)  # noqa: S603
        try:
            addresses = place / "service" / "dev.env"
            while not addresses.exists():
                if process.poll() is not None:
                    raise SystemExit((place / "service.log").read_text())
                time.sleep(0.1)
            lines = addresses.read_text().splitlines()
            yield dict(shlex.split(line)[0].split("=", 1) for line in lines)
        finally:
            process.terminate()
            process.wait(60)


def copy_library(target: Path) -> int:
    """Copy Python's standard library; return how many files it has."""
    source = sysconfig.get_paths()["stdlib"]
    unwanted = shutil.ignore_patterns(
        "__pycache__", "site-packages", "lib-dynload", "*.a", "config-*"
    )
    shutil.copytree(source, target, ignore=unwanted, symlinks=True)
    return sum(path.is_file() for path in target.rglob("*"))


def differences(left: Path, right: Path) -> list[str]:
    """Names in which two folders differ, by their bytes."""
    compared = filecmp.dircmp(left, right, ignore=[], hide=[])
    _, other, odd = filecmp.cmpfiles(left, right, compared.common_files, shallow=False)
    found = [*compared.left_only, *compared.right_only, *other, *odd]
    for name in compared.common_dirs:
        found += differences(left / name, right / name)
    return found


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def first_syncs(shell: Shell, laptop: Path) -> None:
    say(f"{copy_library(laptop):,} files of Python's standard library in one folder")
    shell("syncapi login")
    shell("syncapi init laptop --device laptop")
    shell("syncapi sync laptop")
    say("A second folder, as on another machine")
    shell("syncapi init desktop --device desktop")
    shell("syncapi sync desktop")
    say("Nothing has changed: a sync of it all")
    shell("syncapi sync laptop")


def edits_on_both_sides(shell: Shell, laptop: Path, desktop: Path) -> None:
    say("The laptop edits, renames, deletes and adds; the desktop edits the same file otherwise")
    replace(laptop / "this.py", "Gur Mra", "The Zen (of the laptop)")
    (laptop / "json").rename(laptop / "jason")
    (laptop / "antigravity.py").unlink()
    (laptop / "notes.txt").write_text("written on the laptop\n")
    replace(desktop / "this.py", "Gur Mra", "The Zen (of the desktop)")
    replace(desktop / "calendar.py", "January = 1", "January = 1  # cold")
    shell("syncapi sync laptop --dry-run", PARTLY)
    shell("syncapi sync laptop")
    say("The desktop meets a conflict: both versions stay, and nobody is asked to hurry")
    shell("syncapi sync desktop", CONFLICTS)


def resolved(shell: Shell) -> None:
    shell("syncapi conflicts list desktop", CONFLICTS)
    shell("syncapi conflicts show desktop/this.py")
    say("The desktop's version shall stay; the other one is in the history")
    shell("syncapi conflicts resolve desktop/this.py --keep mine")
    shell("syncapi sync laptop")
    shell("syncapi history laptop/this.py")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="syncapi-demo-") as name:
        place = Path(name)
        laptop, desktop = place / "laptop", place / "desktop"
        say("The service with PostgreSQL, S3 and Valkey, in a temporary folder")
        with service(place) as addresses:
            own = {n: v for n, v in os.environ.items() if not n.startswith("SYNCAPI_")}
            kept = {
                "SYNCAPI_CONFIG_DIR": str(place / "config"),
                "SYNCAPI_STATE_DIR": str(place / "state"),
                "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",  # leave yours alone
            }
            named = ("SYNCAPI_URL", "SYNCAPI_TENANT", "SYNCAPI_TOKEN")
            shell = Shell(place, own | kept | {name: addresses[name] for name in named})
            first_syncs(shell, laptop)
            edits_on_both_sides(shell, laptop, desktop)
            resolved(shell)
            say("Every byte of both folders is held against the server, and one against the other")
            shell("syncapi check laptop")
            shell("syncapi check desktop")
            if found := differences(laptop, desktop):
                raise SystemExit(f"the folders differ: {found}")
            say("Both folders are equal. The service is stopped, and all of it goes away")


if __name__ == "__main__":
    main()
