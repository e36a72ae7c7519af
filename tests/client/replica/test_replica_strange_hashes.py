"""What the server says of a content becomes no path, and stops nothing, whatever it is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.strange import before_the_rules, give_sha256, leading_to
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.client import InvalidDigest
from syncapi.client.store.keys import Key
from syncapi.client.store.store import Store

ODD = ["/" * 64, "\U0001f600" * 64, "a/" * 32, "." * 64, "", "A" * 64, "a" * 63]


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder with a short path, in which no file is any business of a replica."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def found_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def expect_the_others(device: Device, odd: UUID) -> None:
    result = await device.replica.sync()
    (error,) = result.errors
    assert (error.id, error.what, error.code) == (odd, "download", "invalid_digest")
    assert device.names() == {"odd.txt": None, "plain.txt": b"plain"}


@pytest.mark.parametrize("sha256", ODD)
async def test_one_that_is_none_stops_no_other_document(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice, key: Key | None, sha256: str
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await upload(tenant.user, b"plain", "plain.txt")
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), sha256)
    device = make_device(tenant, key=key)
    await expect_the_others(device, UUID(odd["id"]))
    await expect_the_others(device, UUID(odd["id"]))
    assert device.store.check() == []


async def test_one_that_is_mended_is_fetched(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    file = UUID(odd["file"]["id"])
    await give_sha256(writer.connection, file, "odd")
    device = make_device(tenant)
    assert len((await device.replica.sync()).errors) == 1
    await give_sha256(writer.connection, file, odd["file"]["sha256_hash"])
    assert (await device.replica.sync()).errors == []
    assert device.names() == {"odd.txt": b"odd"}


async def test_a_path_reads_no_file_of_this_machine(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice, outside: Path
) -> None:
    secret = outside / "secret"
    secret.write_bytes(b"sec")
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), leading_to(secret))
    device = make_device(tenant)
    (error,) = (await device.replica.sync()).errors
    assert error.code == "invalid_digest"
    assert device.replica.content(UUID(odd["id"])) is None


async def test_a_path_writes_no_file_of_this_machine(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice, outside: Path
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), leading_to(outside / "planted"))
    device = make_device(tenant)
    await device.replica.sync()
    with pytest.raises(InvalidDigest):
        await device.client.download(UUID(odd["id"]), outside / "wanted")
    assert found_in(outside) == []


async def test_a_path_sends_no_file_of_this_machine(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice, outside: Path
) -> None:
    """Who edits a document that others delete brings it back, with its bytes."""
    secret = outside / "secret"
    secret.write_bytes(b"sec")
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await upload(tenant.user, b"plain", "plain.txt")
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), leading_to(secret))
    device = make_device(tenant)
    await device.replica.sync()
    device.replica.update(UUID(odd["id"]), filename="mine.txt")
    await tenant.admin.delete(f"/documents/{odd['id']}")
    for _ in range(2):
        (error,) = (await device.replica.sync()).errors
        assert (error.what, error.code) == ("upload", "invalid_digest")
    assert device.line.count("POST", "/files") == 0
    assert device.names()["plain.txt"] == b"plain"


@pytest.mark.parametrize("md5", ["'/'", "upper(md5_hash)", "repeat('0', 32)"])
async def test_an_md5_of_another_form_stops_nothing(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice, md5: str
) -> None:
    """The bytes are fetched, and sent where the document is brought back after its erasure."""
    odd = await upload(tenant.user, b"odd", "odd.txt")
    async with before_the_rules(writer.connection):
        await writer.connection.execute(
            f"UPDATE files SET md5_hash = {md5} WHERE id = $1", UUID(odd["file"]["id"])
        )
    device = make_device(tenant)
    assert (await device.replica.sync()).errors == []
    assert device.names() == {"odd.txt": b"odd"}
    device.replica.update(UUID(odd["id"]), filename="mine.txt")
    await tenant.admin.delete(f"/documents/{odd['id']}")
    assert (await device.replica.sync()).errors == []
    other = make_device(tenant)
    assert (await other.replica.sync()).errors == []
    assert other.names() == {"mine.txt": b"odd"}


async def test_an_edit_of_a_document_whose_type_is_none_is_pushed(
    tenant: TestTenant, writer: SqlWriter, make_device: MakeDevice
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await writer.connection.execute(
        "UPDATE documents SET mime_type = E'a\\r\\nb' WHERE id = $1", UUID(odd["id"])
    )
    device = make_device(tenant)
    await device.replica.sync()
    device.replica.update(UUID(odd["id"]), content=b"mine")
    assert (await device.replica.sync()).errors == []
    other = make_device(tenant)
    await other.replica.sync()
    assert other.names() == {"odd.txt": b"mine"}


@pytest.mark.parametrize("sha256", [*ODD, "\0" * 64, "../" * 20 + "../x", "a" * 64 + "\n"])
def test_the_store_holds_nothing_under_what_is_none(
    tmp_path: Path, key: Key | None, sha256: str
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with Store.open(tmp_path / "store", key=key) as store:
        assert not store.blobs.has(sha256)
        for attempt in (store.blobs.sink, store.blobs.remove):
            with pytest.raises(InvalidDigest):
                attempt(sha256)
        with pytest.raises(InvalidDigest):
            store.blobs.content(sha256, 1)
        assert store.blobs.tidy({sha256}, lambda: {sha256})
