"""Names and slugs of tenants."""

import pytest

from syncapi.server.domain.errors import InvalidInput
from syncapi.server.domain.tenancy import checked_name, checked_slug, slug_of

MADE = {
    "Acme": "acme",
    "Acme, Inc. & Sons": "acme-inc-sons",
    "Café Zürich": "cafe-zurich",
    "  -- 42 --  ": "42",
    "ﬁve": "five",
    "a" * 62 + "-bc": "a" * 62,
}


@pytest.mark.parametrize(("name", "slug"), MADE.items())
def test_a_slug_is_made_of_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", ["日本", "!!!", ""])
def test_a_name_without_latin_letters_needs_a_slug_given(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        slug_of(name)
    assert [error.field for error in refusal.value.errors] == ["slug"]


BAD_SLUGS = ["", "Acme", "a_b", "-a", "a-", "a--b", "é", "a\n", "a" * 64, "0" * 32]


@pytest.mark.parametrize("slug", [*BAD_SLUGS, "6ba7b810-9dad-41d1-80b4-00c04fd430c8"])
def test_a_malformed_slug_or_one_like_an_id_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput):
        checked_slug(slug)


@pytest.mark.parametrize("name", ["", "  ", "a" * 201, "a\x00b", "a\nb", "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        checked_name(name)


def test_a_name_loses_its_outer_blanks() -> None:
    assert checked_name("  Ünïcode 日本 ") == "Ünïcode 日本"
