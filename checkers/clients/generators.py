"""The generators, how each is called, and how what it makes is checked and run."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clients.toolbox import DESCRIPTION, JAVA, NODE, NPM, SOURCES, Need, Toolbox

_PYTHON = SOURCES / "python"


@dataclass(frozen=True, slots=True)
class GeneratedClient:
    """A client and its life.

    Attributes:
        make: generates it and checks its types.
        run: runs the scenario, with an environment that says where the service is.
    """

    name: str
    needs: tuple[Need, ...]
    make: Callable[[Toolbox], None]
    run: Callable[[Toolbox, Mapping[str, str]], None]


def _python(
    name: str, needs: tuple[Need, ...], generate: Callable[[Toolbox, Path], None]
) -> GeneratedClient:
    """A client in Python; `generate` puts its package into the folder it is given."""
    scenario = _PYTHON / f"{name.replace('-', '_')}_scenario.py"

    def make(toolbox: Toolbox) -> None:
        toolbox.install_python()
        generate(toolbox, _emptied(toolbox.folder / name))
        mypy = ("-m", "mypy", "--config-file", _PYTHON / "mypy.ini", scenario)
        found = {"MYPYPATH": str(toolbox.folder / name)}
        toolbox.run(toolbox.python, *mypy, cwd=toolbox.folder, environment=found)

    def run(toolbox: Toolbox, environment: Mapping[str, str]) -> None:
        found = {**environment, "PYTHONPATH": str(toolbox.folder / name)}
        subprocess.run([toolbox.python, scenario], env=found, check=True)

    return GeneratedClient(name, needs, make, run)


def _typescript(
    name: str, needs: tuple[Need, ...], generate: Callable[[Toolbox, Path], None]
) -> GeneratedClient:
    """A client in TypeScript; `generate` puts its modules into the folder it is given."""

    def make(toolbox: Toolbox) -> None:
        toolbox.install_packages()
        generate(toolbox, _emptied(toolbox.packages / name / "generated"))
        toolbox.run_package("tsc", "--project", name)

    def run(toolbox: Toolbox, environment: Mapping[str, str]) -> None:
        program = toolbox.packages / "build" / name / name / "main.js"
        subprocess.run(["node", program], env=environment, check=True)

    return GeneratedClient(name, needs, make, run)


def _openapi_generator(toolbox: Toolbox, folder: Path) -> None:
    named = ("--package-name", "openapi_generator_client")
    toolbox.openapi_generator("-g", "python", "-o", folder, *named)


def _openapi_python_client(toolbox: Toolbox, folder: Path) -> None:
    config = _PYTHON / "openapi_python_client.yml"
    target = ("--output-path", folder / "openapi_python_client_client", "--meta", "none")
    command = ("-m", "openapi_python_client", "generate", "--fail-on-warning")
    arguments = ("--path", DESCRIPTION, "--config", config, *target)
    toolbox.run(toolbox.python, *command, *arguments, cwd=toolbox.folder)


def _typescript_fetch(toolbox: Toolbox, folder: Path) -> None:
    # A Date has milliseconds: as a Date, no version would be the one that the server gave.
    versions = ("--type-mappings", "DateTime=string")
    imports = ("--additional-properties", "importFileExtension=.js")
    toolbox.openapi_generator("-g", "typescript-fetch", "-o", folder, *versions, *imports)


def _openapi_fetch(toolbox: Toolbox, folder: Path) -> None:
    script = toolbox.packages / "openapi-fetch" / "generate.js"
    toolbox.run("node", script, DESCRIPTION, folder / "schema.ts", cwd=toolbox.packages)


def _hey_api(toolbox: Toolbox, folder: Path) -> None:
    config = toolbox.packages / "hey-api" / "openapi-ts.config.js"
    arguments = ("--file", config, "--input", DESCRIPTION, "--output", folder)
    toolbox.run_package("openapi-ts", *arguments)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


CLIENTS = (
    _python("openapi-generator", (JAVA,), _openapi_generator),
    _python("openapi-python-client", (), _openapi_python_client),
    _typescript("typescript-fetch", (JAVA, NODE, NPM), _typescript_fetch),
    _typescript("openapi-fetch", (NODE, NPM), _openapi_fetch),
    _typescript("hey-api", (NODE, NPM), _hey_api),
)
