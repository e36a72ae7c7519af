#!/bin/sh
# Makes the folder .venv with everything in requirements.lock, and this project, installed.
# Safe to interrupt and to repeat: whatever was begun is completed.
#
#   tools/environment.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."

python=${1:-python3}
venv=.venv
lock=requirements.lock

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "'$python' is not installed. Name another: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail \
    "$("$python" --version) is too old: Python 3.11 or later is needed. Name another: make PYTHON=python3.12"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail \
    "'$python -m venv' does not work here: a package is missing (Debian, Ubuntu: apt-get install python3-venv)"

# An environment of another Python, or one that was moved here, cannot be completed.
wanted=$("$python" -c 'import sys; print(*sys.version_info[:2], sep=".")')
found=$("$venv/bin/python" -c 'import sys; print(sys.prefix, "%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
if [ "$found" != "$(pwd -P)/$venv $wanted" ]; then
    [ ! -e "$venv" ] || echo "Making $venv anew: it was not made here by Python $wanted"
    "$python" -m venv --clear "$venv"
fi

echo "Installing what $lock names (a minute or two, only when it has changed)"
pip="$venv/bin/python -m pip --disable-pip-version-check install --quiet"
$pip --require-hashes --requirement "$lock"
$pip --no-deps --no-build-isolation --editable .
