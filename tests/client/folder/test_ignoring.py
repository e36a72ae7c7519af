"""What is left alone: the scan and the planner must agree."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.client.errors import SyncError
from syncapi.client.folder.ignore_rules import IGNORE_FILE, Ignores, read_ignores
from syncapi.client.folder.observe.scanner import scan

LINES = st.lists(
    st.sampled_from(("*.tmp", "build/", "!build/keep.tmp", "/a", "d/*", "!d/a", "**/x", "#", "!*"))
)
PATHS = ("a", "d/a", "d/b.tmp", "build/keep.tmp", "build/x", "x/a", "d/x/a", "b.tmp")


@given(LINES)
def test_what_the_scan_leaves_out_the_planner_does(lines: list[str]) -> None:
    ignores = Ignores(lines)
    for path in PATHS:
        parts = path.split("/")
        folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
        seen = all(ignores.why(folder, is_folder=True) is None for folder in folders)
        seen = seen and ignores.why(path, is_folder=False) is None
        assert ignores.covers(path) is not seen


def test_the_line_that_leaves_a_file_out_is_told(tmp_path: Path) -> None:
    (tmp_path / IGNORE_FILE).write_text("# mine\n\n*.tmp\nbuild/\n")
    (tmp_path / "a.tmp").touch()
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "x").touch()
    (tmp_path / ".~syncapi-part").touch()
    (tmp_path / ".syncapi-marker").touch()
    found = scan(tmp_path, {}, read_ignores(tmp_path).why)
    assert [file.path for file in found.files] == [IGNORE_FILE]
    assert {skipped.path: skipped.why for skipped in found.skipped} == {
        "a.tmp": ".syncignore: *.tmp",
        "build": ".syncignore: build/",
        ".~syncapi-part": "a download on its way",
        ".syncapi-marker": "syncapi's own",
    }
    assert not found.unknown


def test_rules_that_cannot_be_read_stop_all(tmp_path: Path) -> None:
    assert read_ignores(tmp_path).covers("a") is False
    place = tmp_path / IGNORE_FILE
    place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SyncError, match="a link that leads nowhere"):
        read_ignores(tmp_path)
    place.unlink()
    place.mkdir()
    with pytest.raises(SyncError, match="cannot be read"):
        read_ignores(tmp_path)


def test_a_line_that_is_no_pattern_stops_all() -> None:
    with pytest.raises(SyncError, match=IGNORE_FILE):
        Ignores(["!"])
