"""Merging loses no edit of either side, whatever the edits."""

from hypothesis import given
from hypothesis import strategies as st

from syncapi.protocol.merging import differing, merge

FIELDS = ("file_id", "filename", "folder", "mime_type")
values = st.sampled_from("abc")
versions = st.fixed_dictionaries(dict.fromkeys(FIELDS, values))


@given(base=versions, mine=versions, theirs=versions)
def test_no_edit_is_lost(
    base: dict[str, str], mine: dict[str, str], theirs: dict[str, str]
) -> None:
    merged = merge(base, mine, theirs)
    for name in FIELDS:
        edits = {side[name] for side in (mine, theirs)} - {base[name]}
        if len(edits) > 1:
            assert name in merged.conflicts
        elif edits:
            assert {merged.fields[name]} == edits
        else:
            assert merged.fields[name] == base[name]


@given(base=versions, mine=versions, theirs=versions)
def test_both_sides_come_to_the_same(
    base: dict[str, str], mine: dict[str, str], theirs: dict[str, str]
) -> None:
    here, there = merge(base, mine, theirs), merge(base, theirs, mine)
    assert here.conflicts == there.conflicts
    agreed = set(FIELDS) - set(here.conflicts)
    assert {n: here.fields[n] for n in agreed} == {n: there.fields[n] for n in agreed}


@given(base=versions, both=versions)
def test_identical_edits_do_not_conflict(base: dict[str, str], both: dict[str, str]) -> None:
    merged = merge(base, both, both)
    assert merged.conflicts == ()
    assert merged.fields == both


@given(base=versions, mine=versions)
def test_an_untouched_side_takes_the_other(base: dict[str, str], mine: dict[str, str]) -> None:
    assert merge(base, mine, base).fields == mine
    assert merge(base, base, mine).fields == mine


@given(one=versions, other=versions)
def test_differences_are_named(one: dict[str, str], other: dict[str, str]) -> None:
    named = differing(one, other)
    assert list(named) == sorted(named)
    assert all((one[name] != other[name]) == (name in named) for name in FIELDS)
