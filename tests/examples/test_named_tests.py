"""Documents that name tests, as the one of the checkers does for each fault that was planted."""

import re

import pytest

from fixtures.checkout import CHECKOUT

TESTS = CHECKOUT / "tests"


@pytest.mark.parametrize("document", ["docs/soak.md", "CONTRIBUTING.md"])
def test_each_test_that_is_named_is_there(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    named = {name.removeprefix("tests/") for name in re.findall(r"`([\w/]*test_\w+\.py)`", text)}
    assert named
    assert [name for name in sorted(named) if not any(TESTS.rglob(name))] == []
