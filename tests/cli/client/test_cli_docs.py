"""What docs/cli.md and README.md show of the command line is what there is."""

import importlib.util
import os
import re
from tempfile import TemporaryFile

import pytest

from fixtures.checkout import CHECKOUT
from fixtures.warm_cli import WarmCommandLine
from syncapi.cli.app import VERBS, Extra
from syncapi.cli.exit_codes import ExitCode

PAGE = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")

_spec = importlib.util.spec_from_file_location("tools_help", CHECKOUT / "tools" / "help.py")
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


def shown(command: str) -> str:
    return PAGE.partition(f"<!-- help: {command} -->\n```\n")[2].partition("```\n")[0]


@pytest.mark.parametrize("command", tool.commands(PAGE))
def test_a_help_is_shown_as_it_is(command: str, warm_cli: WarmCommandLine) -> None:
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "80", "NO_COLOR": "1"}
    words = [*command.split()[1:], "--help"]
    with TemporaryFile() as none, TemporaryFile() as out:
        code = warm_cli.run(words, environment, CHECKOUT, (none, out, out))
        out.seek(0)
        said = out.read().decode()
    assert (code, said) == (0, shown(command)), "mend it: make docs"


def test_what_is_written_is_what_is_said() -> None:
    command = tool.commands(PAGE)[0]
    assert tool.said(command) == shown(command)


def test_every_verb_of_the_client_is_shown() -> None:
    verbs = {command.split()[1] for command in tool.commands(PAGE)}
    assert verbs == {verb.name for verb in VERBS if verb.extra is Extra.NONE}


def test_every_exit_code_is_told() -> None:
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}
