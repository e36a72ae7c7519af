# ruff: noqa: RUF001 - names in every script are what this is about
"""Names in an archive: whatever documents are called, every file system takes them all."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncapi.protocol.safe_names import LONGEST_NAME, safe_name
from syncapi.server.domain.archive_names import archive_paths

RESERVED = {
    *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
    *(f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"),
}
TRICKS = st.sampled_from(
    [
        *(
            "..",
            ".",
            "/",
            "\\",
            ":",
            " ",
            "\t",
            "\n",
            "\0",
            "*",
            "?",
            '"',
            "<",
            ">",
            "|",
            "~",
            "-",
        ),
        *("\u202e", "\u2066", "\u200f", "\u200d", "\ufeff", "\u2028", "\x85", "\u00a0", "\u3000"),
        *("e\u0301", "é", "ß", "SS", "İ", "ı", "K", "\u0338", "ﬁ", "文", "👩\u200d💻", "\ud800"),
        *("con", "CON.", "nul", "com1", "lpt¹", ".txt", ".tar.gz", "(2)", " (2)", "a", "A"),
        *("x" * 254, "é" * 127, "." * 50),
    ]
)
FILENAMES = st.one_of(st.text(max_size=300), st.lists(TRICKS, max_size=8).map("".join))
FEW_NAMES = st.sampled_from(["a", "A", "á", "a\u0301", "a (2)", "a.txt", "A.TXT", "a (2).txt", ""])


def archive_names(filenames: list[str], taken: Iterable[str] = ()) -> list[str]:
    """In one folder."""
    return archive_paths([("", filename) for filename in filenames], taken)


def _fold(name: str) -> str:
    bare = name.replace("\u200c", "").replace("\u200d", "")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", bare).casefold())


def assert_safe(name: str) -> None:
    assert name
    assert len(name.encode()) <= LONGEST_NAME  # and so it can be encoded
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set('/\\:*?"<>|')
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name)
    assert not any(
        unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"}
        or unicodedata.bidirectional(c) in {"FSI", "PDI"}
        or c in "\u200e\u200f\u061c"
        for c in name
    )
    assert name == name.strip()
    assert not name.endswith(".")
    assert name.partition(".")[0].rstrip().upper() not in RESERVED
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name


@given(FILENAMES)
@example("e\u200d\u0301")  # what is taken out may bring together what composes
@example("x" * 250 + " .pdf. . ")
@example("con" + " " * 300 + "x.pdf")
def test_a_name_is_one_plain_file_anywhere(filename: str) -> None:
    assert_safe(safe_name(filename))


@given(FILENAMES)
@example("con" + " " * 300 + "x.pdf")
@example("con." + "0" * 300)
def test_what_is_safe_stays_as_it_is(filename: str) -> None:
    name = safe_name(filename)
    assert safe_name(name) == name


@given(st.lists(st.one_of(FILENAMES, FEW_NAMES), max_size=30))
def test_no_two_are_alike_and_none_is_like_a_taken_one(filenames: list[str]) -> None:
    names = archive_names(filenames, taken=["a.txt"])
    assert len(names) == len(filenames)
    for name in names:
        assert_safe(name)
    assert len({_fold(name) for name in names} | {"a.txt"}) == len(names) + 1


@given(st.lists(FILENAMES, max_size=10, unique_by=lambda name: _fold(safe_name(name))))
def test_names_that_differ_keep_what_they_have(filenames: list[str]) -> None:
    assert archive_names(filenames) == [safe_name(filename) for filename in filenames]


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("Übersicht 2026 – Q3.xlsx", "Übersicht 2026 – Q3.xlsx"),
        ("报告.pdf", "报告.pdf"),
        ("می\u200cخواهم.txt", "می\u200cخواهم.txt"),
        (".htaccess", ".htaccess"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\Windows\\x.dll", "C__Windows_x.dll"),
        ("..", "document"),
        ("", "document"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("console.txt", "console.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("Cafe\u0301.txt", "Café.txt"),
        (" notes . ", "notes"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("é" * 200 + ".tar.gz", "é" * 124 + ".tar.gz"),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_by_example(filename: str, expected: str) -> None:
    assert safe_name(filename) == expected


def test_the_second_of_a_name_is_numbered() -> None:
    filenames = ["a.pdf", "A.PDF", "a.pdf", "a (2).pdf", "manifest.json", "b.tar.gz", "b.tar.gz"]
    assert archive_names(filenames, taken=["manifest.json"]) == [
        "a.pdf",
        "A (2).PDF",
        "a (3).pdf",
        "a (2) (2).pdf",
        "manifest (2).json",
        "b.tar.gz",
        "b (2).tar.gz",
    ]


def test_a_number_takes_its_room_from_the_stem() -> None:
    first, second = archive_names(["x" * 300 + ".pdf"] * 2)
    assert (first, second) == ("x" * 251 + ".pdf", "x" * 247 + " (2).pdf")


FOLDERS = st.lists(st.one_of(FILENAMES, FEW_NAMES), max_size=4).map("/".join)


@given(st.lists(st.tuples(FOLDERS, st.one_of(FILENAMES, FEW_NAMES)), max_size=20))
@example([("a", "b"), ("", "A"), ("A/B", "c"), ("a.txt", "x"), ("../..", ".."), ("/", "a")])
def test_a_path_leads_to_one_plain_file_below_the_root(places: list[tuple[str, str]]) -> None:
    paths = archive_paths(places, taken=["a.txt"])
    assert len(paths) == len(places)
    around = {
        "/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)
    }
    for path in paths:
        for name in path.split("/"):
            assert_safe(name)
    files = {_fold(path) for path in paths} | {"a.txt"}
    assert len(files) == len(paths) + 1
    assert not files & set(map(_fold, around))  # what is a file cannot be a folder too


def test_paths_by_example() -> None:
    places = [
        ("reports/2026", "q3.pdf"),
        ("Reports/2026", "Q3.pdf"),
        ("reports", "q3.pdf"),
        ("", "reports"),
        ("reports/2026", "q3.pdf"),
        ("manifest.json", "a"),
        ("con/a:b", "x"),
        ("../../etc", "passwd"),
        ("/etc//", "passwd"),
    ]
    assert archive_paths(places, taken=["manifest.json"]) == [
        "reports/2026/q3.pdf",
        "Reports/2026/Q3 (2).pdf",
        "reports/q3.pdf",
        "reports (2)",
        "reports/2026/q3 (3).pdf",
        "manifest (2).json/a",
        "_con/a_b/x",
        "document/document/etc/passwd",
        "etc/passwd",
    ]


def test_many_of_one_name() -> None:
    names = archive_names(["a.txt"] * 500)
    assert names[499] == "a (500).txt"
    assert len(set(names)) == 500
