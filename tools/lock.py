"""Keep requirements.lock in step with pyproject.toml.

    python tools/lock.py write [--upgrade]   resolve and write the lock (asks the package index)
    python tools/lock.py check               fail if pyproject.toml has changed since (offline)

The lock holds every extra and the development tools, for every platform and Python 3.11 or later,
with hashes. Its first lines hold a digest of the requirements that it was made from.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = _ROOT / "pyproject.toml"
_LOCK = _ROOT / "requirements.lock"
_DIGEST = "# Made from requirements with the digest "
_HEADER = "# Every dependency, extra and development tool, pinned. To change it: make lock"


def digest() -> str:
    """A digest of all that pyproject.toml requires."""
    whole = tomllib.loads(_PROJECT.read_text())
    project = whole["project"]
    required = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
        whole["dependency-groups"],
    ]
    return hashlib.sha256(json.dumps(required, sort_keys=True).encode()).hexdigest()


def write(*, upgrade: bool) -> None:
    """Resolve; pins that still fit are kept unless `upgrade`."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", str(_PROJECT), "--quiet"),
        *("--universal", "--python-version", "3.11", "--all-extras", "--group", "dev"),
        *("--generate-hashes", "--no-header", "--no-annotate"),
        # pip before 23.3 takes a pin of `a` for none of `a[b]`, and refuses `a[b]` as unpinned.
        "--no-strip-extras",
        *("--no-emit-index-url", "--no-emit-find-links", "--output-file", str(_LOCK)),
        *(["--upgrade"] if upgrade else []),
    ]
    subprocess.run(command, check=True, cwd=_ROOT, stdout=subprocess.DEVNULL)
    _LOCK.write_text(f"{_HEADER}\n{_DIGEST}{digest()}\n{_LOCK.read_text()}")


def check() -> str | None:
    """What is wrong with the lock; None if nothing is."""
    if not _LOCK.exists():
        return "requirements.lock is missing: run `make lock`"
    text = _LOCK.read_text()
    if f"{_DIGEST}{digest()}\n" not in text:
        return "requirements.lock is out of step with pyproject.toml: run `make lock`"
    if "://" in text:
        return "requirements.lock names a package index: run `make lock`"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep requirements.lock in step.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("write").add_argument("--upgrade", action="store_true")
    verbs.add_parser("check")
    arguments = parser.parse_args()
    if arguments.verb == "write":
        write(upgrade=arguments.upgrade)
    problem = check()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
