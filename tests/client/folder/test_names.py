"""Names that go between the server and a disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.client.folder.names import (
    fault_of_local,
    fault_of_remote,
    folders_of,
    join,
    likeness,
    spelling,
    split,
)

SEGMENTS = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=20)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


@given(PATHS)
def test_a_path_is_its_folder_and_its_name(path: str) -> None:
    assert join(*split(path)) == path
    assert all(path.startswith(f"{folder}/") for folder in folders_of(path))
    assert len(folders_of(path)) == path.count("/")


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_taken_from_the_server_stays_in_the_folder(folder: str, name: str) -> None:
    if fault_of_remote(folder, name) is None:
        parts = join(folder, name).split("/")
        assert not {"", ".", ".."} & set(parts)
        assert all(len(part.encode()) <= 255 for part in parts)
        assert not any(ord(c) < 32 or "\u202a" <= c <= "\u202e" for c in join(folder, name))


@given(PATHS)
def test_what_the_server_takes_a_disk_takes_but_for_length_and_disguise(path: str) -> None:
    if fault_of_local(path) is None and path.isascii():
        assert fault_of_remote(*split(path)) is None


@pytest.mark.parametrize(
    "path", ["a\nb", "a\\b", "x" * 256, "d" * 1001 + "/x", "\udcff", "a/\x7f"]
)
def test_names_that_the_server_cannot_take(path: str) -> None:
    assert fault_of_local(path)


@pytest.mark.parametrize(
    "path", ["report.pdf", "a/b/c", "...", ".hidden", "caf\u00e9", "a:b", "\u200dx"]
)
def test_names_that_go_both_ways(path: str) -> None:
    assert fault_of_local(path) is None
    assert fault_of_remote(*split(path)) is None


@given(st.text(max_size=10))
def test_likeness_is_that_of_the_file_system(text: str) -> None:
    assert likeness(text, case_insensitive=False) == text
    assert spelling(text, case_insensitive=False) == text
    alike = likeness(text, case_insensitive=True)
    assert likeness(alike, case_insensitive=True) == alike
    assert likeness(spelling(text, case_insensitive=True), case_insensitive=True) == alike


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("caf\u00e9", "CAFE\u0301"), ("ß", "SS")])
def test_names_that_are_alike(one: str, other: str) -> None:
    assert likeness(one, case_insensitive=True) == likeness(other, case_insensitive=True)
    assert likeness(one, case_insensitive=False) != likeness(other, case_insensitive=False)
