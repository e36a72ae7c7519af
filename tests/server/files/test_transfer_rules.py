"""The plan of an upload, and what is missing of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.protocol.content import LARGEST_OBJECT, Digest
from syncapi.server.domain.transfers import (
    LARGEST_PART,
    LEAST_PART,
    MIB,
    MOST_PARTS,
    TransferRules,
    differences,
    ranges,
)

sizes = st.one_of(st.integers(0, 200 * MIB), st.integers(0, LARGEST_OBJECT))
part_sizes = st.integers(LEAST_PART, 100 * MIB)


@given(sizes, part_sizes, st.booleans())
def test_every_plan_is_one_that_s3_takes(size: int, part_size: int, binds: bool) -> None:
    rules = TransferRules(LARGEST_OBJECT, part_size=part_size, binds_content=binds)
    plan = rules.plan(size)
    assert 1 <= plan.part_count <= MOST_PARTS
    if not rules.is_single(size):
        assert all(
            LEAST_PART <= plan.size(number) <= LARGEST_PART
            for number in (1, plan.part_count - 1)
            if 0 < number < plan.part_count
        )
    last = plan.part_count
    assert plan.offset(last) + plan.size(last) == size
    assert plan.offset(1) == 0
    assert plan.size(last) > 0 or size == 0


@given(st.integers(0, 40 * MIB), st.sets(st.integers(1, 12)))
def test_what_is_missing_and_what_is_there_are_all_parts(size: int, there: set[int]) -> None:
    plan = TransferRules(LARGEST_OBJECT, single_max_bytes=0, part_size=LEAST_PART).plan(size)
    numbers = set(range(1, plan.part_count + 1))
    received = {number: plan.size(number) for number in there & numbers}
    assert set(plan.missing(received)) == numbers - there
    assert not plan.missing({number: plan.size(number) for number in numbers})
    assert plan.missing({**received, 1: plan.size(1) + 1})[0] == 1


def test_one_put_only_where_its_url_is_good_for_nothing_else() -> None:
    strict = TransferRules(LARGEST_OBJECT, single_max_bytes=10)
    assert [strict.is_single(size) for size in (0, 10, 11)] == [True, True, False]
    loose = TransferRules(LARGEST_OBJECT, single_max_bytes=10, binds_content=False)
    assert [loose.is_single(size) for size in (0, 1, 11)] == [True, False, False]


@given(st.sets(st.integers(1, 40)))
def test_ranges_say_the_same_numbers(numbers: set[int]) -> None:
    runs = ranges(sorted(numbers))
    assert {n for first, last in runs for n in range(first, last + 1)} == numbers
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        (Digest("a", "b", 3), []),
        (Digest("x", "b", 3), ["md5_hash"]),
        (Digest("a", "x", 4), ["file_size", "sha256_hash"]),
    ],
)
def test_differences_are_named(found: Digest, fields: list[str]) -> None:
    assert [fault.field for fault in differences(Digest("a", "b", 3), found)] == fields
