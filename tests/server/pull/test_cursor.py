"""Cursors: what was issued is read back, and nothing else is taken for one."""

import base64
import hmac
import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.server.domain.cursor import (
    CURSOR_LENGTH,
    LAST_ID,
    Cursor,
    CursorCodec,
    CursorKind,
    Position,
)
from syncapi.server.domain.errors import InvalidCursor

TENANT = UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
CODEC = CursorCodec(["the key that signs"])
CURSOR = Cursor(
    CursorKind.PAGE,
    1,
    b"lineage!",
    1_795_426_200_000_000,
    1_795_426_200_000_009,
    1_795_426_200_000_011,
    Position(5, LAST_ID),
)
TOKEN = CODEC.encode(CURSOR, TENANT)

_micros = st.integers(-(2**63), 2**63 - 1)
_cursors = st.builds(
    Cursor,
    kind=st.sampled_from(CursorKind),
    filters=st.integers(0, 255),
    lineage=st.binary(min_size=8, max_size=8),
    base=_micros,
    upper=_micros,
    seen=_micros,
    position=st.builds(Position, _micros, st.uuids(allow_nil=True)),
)
_BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


_BYTES = len(base64.urlsafe_b64decode(TOKEN + "=="))


def refused(token: str, tenant: UUID = TENANT, codec: CursorCodec = CODEC) -> InvalidCursor:
    with pytest.raises(InvalidCursor) as refusal:
        codec.decode(token, tenant)
    return refusal.value


def raw(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def spelt(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


@given(cursor=_cursors, tenant=st.uuids())
def test_what_was_encoded_is_decoded(cursor: Cursor, tenant: UUID) -> None:
    token = CODEC.encode(cursor, tenant)
    assert CODEC.decode(token, tenant) == cursor
    assert len(token) == CURSOR_LENGTH
    assert set(token) <= set(_BASE64URL)  # safe in a URL, unquoted


@given(cursor=_cursors, tenant=st.uuids(), other=st.uuids())
def test_it_is_void_for_every_other_tenant(cursor: Cursor, tenant: UUID, other: UUID) -> None:
    if other != tenant:
        refused(CODEC.encode(cursor, tenant), other)


def test_every_altered_bit_is_noticed() -> None:
    signed = raw(TOKEN)
    for bit in range(len(signed) * 8):
        altered = bytearray(signed)
        altered[bit // 8] ^= 1 << bit % 8
        refused(spelt(bytes(altered)))


def test_every_altered_character_is_noticed() -> None:
    for at, original in enumerate(TOKEN):
        for other in _BASE64URL:
            if other != original:
                refused(TOKEN[:at] + other + TOKEN[at + 1 :])


def test_every_truncation_and_extension_is_noticed() -> None:
    for length in range(len(TOKEN)):
        refused(TOKEN[:length])
        refused(TOKEN[length + 1 :])
    signed = raw(TOKEN)
    for wrong in (signed[:-1], signed + b"\0", b"\0" + signed, signed * 2):
        refused(spelt(wrong))


def test_parts_of_two_cursors_make_no_third() -> None:
    other = raw(
        CODEC.encode(Cursor(CursorKind.TOKEN, 0, bytes(8), 0, 0, 0, Position(0, LAST_ID)), TENANT)
    )
    signed = raw(TOKEN)
    for cut in range(1, len(signed)):
        if signed[:cut] != other[:cut] and signed[cut:] != other[cut:]:
            refused(spelt(signed[:cut] + other[cut:]))


@pytest.mark.parametrize(
    "respelt",
    [
        TOKEN + "=",
        TOKEN + "==",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[:40] + "\n" + TOKEN[40:],
        TOKEN[:40] + "!" + TOKEN[40:],
        TOKEN + "AAAA",
    ],
)
def test_other_spellings_of_the_same_bytes_are_refused(respelt: str) -> None:
    refused(respelt)


def test_the_standard_alphabet_is_refused() -> None:
    # Some cursor has a '-' or '_' in it: its spelling with '+' and '/' stands for the same bytes.
    for moment in range(50):
        token = CODEC.encode(
            Cursor(CursorKind.TOKEN, 1, bytes(8), 0, moment, 0, Position(moment, LAST_ID)), TENANT
        )
        standard = token.replace("-", "+").replace("_", "/")
        if standard != token:
            refused(standard)
            return
    pytest.fail("no cursor had a character that differs between the alphabets")


def test_another_key_reads_nothing() -> None:
    refused(TOKEN, codec=CursorCodec(["another key"]))


def test_a_key_can_be_rotated() -> None:
    rotated = CursorCodec(["the new key", "the key that signs"])
    assert rotated.decode(TOKEN, TENANT) == CURSOR
    renewed = rotated.encode(CURSOR, TENANT)
    assert CursorCodec(["the new key"]).decode(renewed, TENANT) == CURSOR  # the first key signs
    refused(renewed)
    refused(TOKEN, codec=CursorCodec(["the new key"]))  # the old key was dropped


def test_the_key_is_not_used_bare() -> None:
    """A secret that signs something else too, by plain HMAC, must not make cursors."""
    signed = raw(TOKEN)
    body = signed[:-16]
    plain = hmac.digest(b"the key that signs", TENANT.bytes + body, "sha256")[:16]
    refused(spelt(body + plain))


@given(st.text() | st.text(_BASE64URL, min_size=95, max_size=105) | st.text().map(TOKEN.__add__))
def test_any_other_text_is_an_invalid_cursor_and_nothing_else(text: str) -> None:
    if text != TOKEN:
        refused(text)


@given(st.binary(min_size=75, max_size=75))
def test_any_other_bytes_of_the_right_length_are_refused(signed: bytes) -> None:
    assert len(raw(TOKEN)) == 75
    refused(spelt(signed))


@pytest.mark.parametrize("odd", ["", "é" * CURSOR_LENGTH, "\ud800", "\x00" * CURSOR_LENGTH])
def test_odd_texts_are_refused(odd: str) -> None:
    refused(odd)


def test_a_refusal_names_the_parameter_and_the_way_out() -> None:
    refusal = refused(TOKEN[:-1])
    assert refusal.code == "invalid_cursor"
    assert [error.field for error in refusal.errors] == ["cursor"]
    for words in (refusal.detail, refusal.errors[0].message):
        assert "sync_token" in words
        assert "since" in words
    assert TOKEN[:-1] not in refusal.detail  # nothing of a cursor goes into logs
