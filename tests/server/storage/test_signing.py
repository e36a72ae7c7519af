"""Our signatures against those of botocore, the reference implementation."""

import functools
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.auth
import botocore.session
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncapi.server.storage.bucket import AddressingStyle, Bucket
from syncapi.server.storage.signing import LONGEST_EXPIRY, UrlSigner

NOW = datetime(2026, 11, 23, 23, 59, 58, 123456, tzinfo=UTC)
SESSION = botocore.session.Session()

Place = tuple[str | None, str, str, AddressingStyle]

ENDPOINTS = (
    None,
    "http://127.0.0.1:8333",
    "http://[::1]:8333",
    "https://s3.example.org",
    "https://s3.example.org:443",
    "http://S3.Example.org:9000/base/path/",
)
STYLES: tuple[AddressingStyle, ...] = ("path", "virtual")
EVERYWHERE: tuple[Place, ...] = (
    *itertools.product(ENDPOINTS, ["eu-central-1"], ["documents"], STYLES),
    *itertools.product([None, "http://s3.example.org"], ["eu-central-1"], ["a.b.c"], STYLES),
    *itertools.product([None], ["us-east-1", "cn-north-1"], ["documents"], STYLES),
)
SOMEWHERE: tuple[Place, ...] = (
    ("http://127.0.0.1:8333", "us-east-1", "documents", "path"),
    (None, "eu-central-1", "documents", "virtual"),
    ("http://S3.Example.org:9000/base/path/", "us-east-1", "a.b.c", "virtual"),
)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

# S3 keys are UTF-8, so no lone surrogates.
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)
moments = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
expiries = st.integers(1, LONGEST_EXPIRY)
tokens = st.sampled_from([None, "FwoGZXIvYXdzE+/=token"])
unhurried = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


class Frozen:
    """The moment that botocore takes for the present."""

    now = NOW


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Frozen]]:
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: Frozen.now.replace(tzinfo=None)
    )
    yield Frozen
    Frozen.now = NOW


@functools.cache
def reference(place: Place, token: str | None) -> Any:  # noqa: ANN401 - botocore has no types
    endpoint, region, _, style = place
    addressing = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
    return SESSION.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="AKIA/EXAMPLE",
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        config=Config(
            signature_version="s3v4", s3=addressing, request_checksum_calculation="when_required"
        ),
    )


def signer(place: Place, token: str | None = None) -> UrlSigner:
    endpoint, region, bucket, style = place
    return UrlSigner(
        Bucket(
            name=bucket,
            endpoint_url=endpoint,
            region=region,
            access_key_id="AKIA/EXAMPLE",
            secret_access_key=SECRET,
            session_token=token,
            addressing_style=style,
        )
    )


def botocore_url(
    place: Place, token: str | None, operation: str, expires: int, **more: str
) -> str:
    url: str = reference(place, token).generate_presigned_url(
        operation, Params={"Bucket": place[2], **more}, ExpiresIn=expires
    )
    return url


@pytest.mark.parametrize("place", EVERYWHERE, ids=str)
def test_every_endpoint_region_bucket_and_style_signs_as_botocore(place: Place) -> None:
    key = "tenant/ü ~file+name.pdf"
    assert signer(place).sign_get(key, NOW, 3600) == botocore_url(
        place, None, "get_object", 3600, Key=key
    )


@unhurried
@given(st.sampled_from(SOMEWHERE), keys, moments, expiries, tokens)
def test_any_key_signs_as_botocore(
    frozen: type[Frozen], place: Place, key: str, now: datetime, expires: int, token: str | None
) -> None:
    frozen.now = now
    assert signer(place, token).sign_get(key, now, expires) == botocore_url(
        place, token, "get_object", expires, Key=key
    )


@unhurried
@given(st.sampled_from(SOMEWHERE), keys, texts, texts)
def test_answer_headers_sign_as_botocore(
    place: Place, key: str, disposition: str, content_type: str
) -> None:
    ours = signer(place).sign_get(
        key, NOW, 60, content_disposition=disposition, content_type=content_type
    )
    theirs = botocore_url(
        place,
        None,
        "get_object",
        60,
        Key=key,
        ResponseContentDisposition=disposition,
        ResponseContentType=content_type,
    )
    assert ours == theirs


@pytest.mark.parametrize("token", [None, "a+token/="])
def test_an_upload_signs_its_headers_as_botocore(token: str | None) -> None:
    place: Place = ("https://s3.example.org", "eu-central-1", "documents", "virtual")
    ours = signer(place, token).sign_put(
        "a/b",
        NOW,
        900,
        headers={
            "Content-Type": " text/plain;  charset=utf-8",
            "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==",
        },
    )
    theirs = botocore_url(
        place,
        token,
        "put_object",
        900,
        Key="a/b",
        ContentType=" text/plain;  charset=utf-8",
        ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==",
    )
    assert ours == theirs


@given(st.lists(keys, max_size=20), tokens)
def test_many_are_each_alone(keys: list[str], token: str | None) -> None:
    some = signer(SOMEWHERE[0], token)
    assert some.sign_many(keys, NOW, 60) == [some.sign_get(key, NOW, 60) for key in keys]


@unhurried
@given(st.sampled_from(SOMEWHERE), keys, texts, st.integers(1, 9_999), tokens)
def test_parts_sign_as_botocore(
    place: Place, key: str, upload_id: str, number: int, token: str | None
) -> None:
    ours = signer(place, token).sign_parts(key, upload_id, (number, number + 1), NOW, 60)
    theirs = [
        reference(place, token).generate_presigned_url(
            "upload_part",
            Params={"Bucket": place[2], "Key": key, "PartNumber": n, "UploadId": upload_id},
            ExpiresIn=60,
        )
        for n in (number, number + 1)
    ]
    assert ours == theirs


def test_the_signing_key_follows_the_day() -> None:
    place, one = SOMEWHERE[0], signer(SOMEWHERE[0])
    tomorrow = NOW + timedelta(seconds=2)
    for moment in (NOW, tomorrow, NOW):
        assert one.sign_get("k", moment, 60) == signer(place).sign_get("k", moment, 60)
    assert one.sign_get("k", NOW, 60) != one.sign_get("k", tomorrow, 60)


def test_the_moment_may_be_told_in_any_zone() -> None:
    one = signer(SOMEWHERE[0])
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert one.sign_get("k", elsewhere, 60) == one.sign_get("k", NOW, 60)


def test_virtual_addressing_needs_a_host_name() -> None:
    """Here botocore puts a bucket with dots in front of the address, which leads nowhere."""
    virtual = signer(("http://127.0.0.1:8333", "us-east-1", "a.b.c", "virtual"))
    assert virtual.sign_get("k", NOW, 60).startswith("http://127.0.0.1:8333/a.b.c/k?")


@pytest.mark.parametrize("expires", [0, -1, LONGEST_EXPIRY + 1])
def test_an_expiry_that_s3_would_refuse_is_refused(expires: int) -> None:
    with pytest.raises(ValueError, match="604800"):
        signer(SOMEWHERE[0]).sign_get("k", NOW, expires)


@pytest.mark.parametrize(
    "endpoint",
    ["s3.example.org", "ftp://s3.example.org", "https://", "https://u:p@h", "http://h?q"],
)
def test_an_endpoint_that_is_no_plain_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="not an S3 endpoint"):
        signer((endpoint, "us-east-1", "documents", "path"))
