"""Keep what docs/cli.md shows of ``--help`` in step with the command line.

    python tools/help.py write    show what each command says now
    python tools/help.py check    fail if something else is shown

A block of it stands below a line such as ``<!-- help: syncapi sync -->``.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"

_BLOCK = re.compile(r"<!-- help: (?P<command>[^>]+) -->\n```\n(?P<shown>.*?)```\n", re.DOTALL)


def said(command: str) -> str:
    """What ``command --help`` prints, 80 columns wide, whatever the environment says."""
    words = [sys.executable, "-m", *shlex.split(command), "--help"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("SYNCAPI_")}
    environment = own | {"COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=True
    ).stdout


def commands(page: str) -> list[str]:
    """The commands whose help a page shows."""
    return [block["command"] for block in _BLOCK.finditer(page)]


def refreshed(page: str) -> str:
    """The page with what each command says now."""
    return _BLOCK.sub(
        lambda block: f"<!-- help: {block['command']} -->\n```\n{said(block['command'])}```\n",
        page,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=("write", "check"))
    act = parser.parse_args().act
    page = PAGE.read_text(encoding="utf-8")
    now = refreshed(page)
    if act == "write":
        PAGE.write_text(now, encoding="utf-8")
    elif now != page:
        sys.exit("docs/cli.md shows another --help than there is. Mend it: make docs")


if __name__ == "__main__":
    main()
