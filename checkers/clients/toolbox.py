"""The tools that make clients, installed in a folder of their own, away from the project's."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent
DESCRIPTION = SOURCES.parents[1] / "openapi.json"

Command = tuple[str | Path, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """A program that is not ours to install.

    Attributes:
        check: a command that fails if it is not there, or too old.
    """

    label: str
    check: Command


JAVA = Need("Java 11 or later", ("java", "--version"))
NODE = Need(
    "Node 20.19 or later, with npm",
    (
        "node",
        "--eval",
        "const [major, minor] = process.versions.node.split('.').map(Number);"
        "process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)",
    ),
)
NPM = Need(NODE.label, ("npm", "--version"))


class Toolbox:
    """Commands to make and try clients with.

    Args:
        folder: for the tools and all that they make.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.packages = folder / "typescript"

    def has(self, need: Need) -> bool:
        """Whether it is on this machine."""
        program, *arguments = need.check
        if shutil.which(program) is None:
            return False
        found = subprocess.run([program, *arguments], capture_output=True, check=False)
        return found.returncode == 0

    def run(
        self, *command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run one, and show what it printed only if it failed.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        ended = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            print(ended.stdout)
        ended.check_returncode()

    def install_python(self) -> None:
        """Make the environment that ``python/requirements.lock`` describes."""
        lock = SOURCES / "python" / "requirements.lock"
        if self._is_fresh("python", lock):
            return
        print("installing the generators in Python", flush=True)
        venv = self.folder / "venv"
        self.run(sys.executable, "-m", "venv", "--clear", venv, cwd=self.folder)
        pip = (self.python, "-m", "pip", "install", "--require-hashes", "--requirement", lock)
        self.run(*pip, cwd=self.folder)
        self._keep("python", lock)

    def install_packages(self) -> None:
        """Copy the TypeScript sources, and install what ``package-lock.json`` names."""
        sources = SOURCES / "typescript"
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(sources, self.packages, dirs_exist_ok=True, ignore=ignored)
        lock = sources / "package-lock.json"
        if self._is_fresh("typescript", lock):
            return
        print("installing the generators in TypeScript", flush=True)
        npm = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        self.run(*npm, cwd=self.packages)
        self._keep("typescript", lock)

    def openapi_generator(self, *arguments: str | Path) -> None:
        """Run openapi-generator on the description; it needs Java."""
        self.install_python()
        program = self.python.with_name("openapi-generator-cli")
        self.run(program, "generate", "-i", DESCRIPTION, *arguments, cwd=self.folder)

    def run_package(self, program: str, *arguments: str | Path) -> None:
        """Run a program of the installed packages."""
        command = self.packages / "node_modules" / ".bin" / program
        self.run(command, *arguments, cwd=self.packages)

    def _is_fresh(self, name: str, lock: Path) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = self._stamp(name)
        return stamp.exists() and stamp.read_text() == _digest(lock)

    def _keep(self, name: str, lock: Path) -> None:
        self._stamp(name).write_text(_digest(lock))

    def _stamp(self, name: str) -> Path:
        return self.folder / f"{name}.installed"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
