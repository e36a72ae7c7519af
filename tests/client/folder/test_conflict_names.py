"""Names that the mirror makes up."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.client.folder.conflict_names import (
    apart_paths,
    conflict_path,
    interim_path,
    is_conflict_of,
    is_interim,
)
from syncapi.client.folder.names import fault_of_local, fault_of_remote, split

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHA256 = "3f2a" + "0" * 60
DOCUMENT = UUID(int=0x3F2A1B << 104)

NAMES = st.text(min_size=1, max_size=255).filter(
    lambda name: "/" not in name and fault_of_remote("", name) is None
)


def conflict(path: str, device: str = "laptop", taken: tuple[str, ...] = ()) -> str:
    is_free: Callable[[str], bool] = lambda found: found not in taken  # noqa: E731
    return conflict_path(path, SHA256, device=device, now=NOW, is_free=is_free)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("report.docx", "report (conflict 2026-11-23 laptop 3f2a).docx"),
        ("a/b/report", "a/b/report (conflict 2026-11-23 laptop 3f2a)"),
        ("backup.tar.gz", "backup (conflict 2026-11-23 laptop 3f2a).tar.gz"),
        (".profile", ".profile (conflict 2026-11-23 laptop 3f2a)"),
    ],
)
def test_a_conflict_has_its_name_before_the_extension(path: str, expected: str) -> None:
    assert conflict(path) == expected
    assert is_conflict_of(expected, path)


def test_a_name_that_is_taken_gets_a_number() -> None:
    first = conflict("a.txt")
    second = conflict("a.txt", taken=(first,))
    assert second == "a (conflict 2026-11-23 laptop 3f2a 2).txt"
    assert is_conflict_of(second, "a.txt")


@given(NAMES, st.text(max_size=100))
def test_each_is_a_name_that_both_sides_take(name: str, device: str) -> None:
    for path in (
        conflict(name, device),
        *apart_paths(name, DOCUMENT),
        interim_path(f"d/{name}", DOCUMENT),
    ):
        assert path != name
        assert fault_of_remote(*split(path)) is None
        assert fault_of_local(path) is None
    assert is_conflict_of(conflict(name, device), name)
    assert is_interim(interim_path(name, DOCUMENT), DOCUMENT)
    assert not is_conflict_of(name, "something else")


def test_a_document_that_shares_a_name_has_that_of_its_id() -> None:
    assert next(apart_paths("d/report.docx", DOCUMENT)) == "d/report (3f2a1b).docx"


def test_an_interim_name_is_at_the_root() -> None:
    assert interim_path("d/a.txt", DOCUMENT) == "a (moving 3f2a1b000000).txt"
    assert not is_interim("a (moving 3f2a1b000000).txt", UUID(int=1))
