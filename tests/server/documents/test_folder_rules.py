"""What may be a folder, and how a fault is told."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncapi.protocol.filenames import FOLDER_PATTERN, LONGEST_FOLDER, filename_fault, folder_fault
from syncapi.server.domain.errors import InvalidInput
from syncapi.server.domain.field_checks import checked_folder

SEGMENTS = st.one_of(
    st.text(max_size=5), st.sampled_from([".", "..", "...", ".a", "a\\b", "x" * 255, "x" * 256])
)
FOLDERS = st.lists(SEGMENTS, max_size=5).map("/".join)


@given(FOLDERS)
@example("")
@example("a\n")
@example("/".join(["x" * 255] * 4))
def test_every_segment_is_a_filename(folder: str) -> None:
    is_good = folder == "" or (
        len(folder) <= 1000 and all(filename_fault(name) is None for name in folder.split("/"))
    )
    assert (folder_fault(folder) is None) is is_good


@given(FOLDERS)
@example("..." + "x" * 252)
@example("..." + "x" * 253)
@example(".a" + "x" * 253)
@example(".a" + "x" * 254)
@example("..a" + "x" * 252)
@example("..a" + "x" * 253)
def test_the_pattern_and_the_length_say_the_same(folder: str) -> None:
    pattern = re.compile(FOLDER_PATTERN.removesuffix("$") + r"\Z")
    is_good = pattern.match(folder) is not None and len(folder) <= LONGEST_FOLDER
    assert is_good is (folder_fault(folder) is None)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/a", "begins or ends with '/'"),
        ("a/", "leave it empty for the root"),
        ("a//b", "two of them in a row"),
        ("a/../b", "'..' is not the name of a folder"),
        ("a\\b", "Separate folders by '/'"),
        ("a/b\x00", "control characters"),
        ("a/" + "x" * 256, "256 characters. At most 255"),
        ("a/" * 500 + "b", "1001 characters. At most 1000"),
    ],
    ids=range(8),
)
def test_a_fault_is_told_with_the_way_out(folder: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_folder(folder, "body.folder")
    (error,) = refused.value.errors
    assert error.field == "body.folder"
    assert words in error.message
