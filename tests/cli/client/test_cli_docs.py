"""What docs/cli.md and README.md show of the command line is what there is."""

import importlib.util
import re

import pytest

from fixtures.checkout import CHECKOUT
from syncapi.cli.app import VERBS, Extra
from syncapi.cli.exit_codes import ExitCode

PAGE = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")

_spec = importlib.util.spec_from_file_location("tools_help", CHECKOUT / "tools" / "help.py")
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


@pytest.mark.parametrize("command", tool.commands(PAGE))
def test_a_help_is_shown_as_it_is(command: str) -> None:
    marker = f"<!-- help: {command} -->\n```\n"
    shown = PAGE.partition(marker)[2].partition("```\n")[0]
    assert shown == tool.said(command), "mend it: make docs"


def test_every_verb_of_the_client_is_shown() -> None:
    shown = {command.split()[1] for command in tool.commands(PAGE)}
    assert shown == {verb.name for verb in VERBS if verb.extra is Extra.NONE}


def test_every_exit_code_is_told() -> None:
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}
