"""A rule holds from the moment in which it is written, whatever is under way."""

import pytest

from fixtures.mirrors import write
from simulation.device import Device
from syncapi.client.api.client import Client
from syncapi.client.folder.model import Scan
from syncapi.client.folder.observe.scanner import scan
from syncapi.client.transfer.uploads import Uploader


async def names(client: Client) -> set[str]:
    return {document.filename for document in (await client.documents()).documents}


@pytest.fixture
def secretive(laptop: Device) -> Device:
    write(laptop, "a.txt", "a")
    write(laptop, "secrets/key", "password")
    return laptop


async def test_one_that_is_written_during_a_scan(
    secretive: Device, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def somebody_writes(*arguments: object) -> Scan:
        found = scan(*arguments)  # type: ignore[arg-type]  # passed through
        if not (secretive.root / ".syncignore").exists():
            write(secretive, ".syncignore", "secrets/\n")
        return found

    monkeypatch.setattr("syncapi.client.folder.observe.observer.scan", somebody_writes)
    report = await secretive.sync_calmly()
    assert (report.failures, report.left) == ([], 0)
    assert await names(client) == {".syncignore", "a.txt"}


async def test_one_that_is_written_while_files_are_sent(
    secretive: Device, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Uploader.send
    sent: list[object] = []

    async def somebody_writes(uploader: Uploader, *arguments: object) -> object:
        if not sent:
            write(secretive, ".syncignore", "secrets/\n")
        sent.append(arguments)
        return await send(uploader, *arguments)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(Uploader, "send", somebody_writes)
    report = await secretive.sync_calmly()
    assert (report.failures, report.left) == ([], 0)
    assert await names(client) == {".syncignore", "a.txt"}
    assert len(sent) == 3, "a.txt, and once more with the rules; the bytes of the key never"


async def test_one_that_is_written_before_a_deletion_is_sent(
    secretive: Device, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await secretive.sync_calmly()
    (secretive.root / "secrets/key").unlink()

    def somebody_writes(*arguments: object) -> Scan:
        found = scan(*arguments)  # type: ignore[arg-type]  # passed through
        if not (secretive.root / ".syncignore").exists():
            write(secretive, ".syncignore", "secrets/\n")
        return found

    monkeypatch.setattr("syncapi.client.folder.observe.observer.scan", somebody_writes)
    await secretive.sync_calmly()
    assert await names(client) == {".syncignore", "a.txt", "key"}
