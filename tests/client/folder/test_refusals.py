"""What the ledger holds of a push that was refused, or whose answer was lost."""

import pytest

from fixtures.mirrors import texts, write
from fixtures.service import TestTenant
from simulation.device import Device
from syncapi.client.api.client import Client
from syncapi.client.errors import SyncError
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.documents import DocumentChanges
from syncapi.server.domain.access import Role


async def sync(device: Device) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync()


async def test_a_deletion_that_is_refused_is_tried_again_and_brings_nothing_back(
    laptop: Device, tenant: TestTenant, client: Client
) -> None:
    """A user, who may not delete, removes a file and syncs twice."""
    for name in ("a.txt", "b.txt"):
        write(laptop, name, name)
    await sync(laptop)
    laptop.speak_as(tenant.tokens[Role.USER])
    (laptop.root / "a.txt").unlink()
    for _ in range(2):
        report = await sync(laptop)
        assert [(f.path, f.what, f.code) for f in report.failures] == [
            ("a.txt", "delete", "forbidden")
        ]
        assert report.counts == {}
        assert texts(laptop) == {"b.txt": "b.txt"}
    laptop.speak_as(tenant.tokens[Role.ADMIN])
    assert (await sync(laptop)).counts == {"delete": 1}
    assert [d.filename for d in (await client.documents()).documents] == ["b.txt"]


async def push_without_an_answer(laptop: Device, push: str) -> None:
    """Have a file in step, and another one pushed whose answer was lost."""
    write(laptop, "kept.txt", "kept")
    if push == "update":
        write(laptop, "a.txt", "first")
    await sync(laptop)
    write(laptop, "a.txt", "pushed")
    laptop.api.only, laptop.api.rate, laptop.api.pushes_only = "lost", 1.0, True
    with pytest.raises(SyncError):
        await sync(laptop)
    laptop.set_faults(0)


@pytest.mark.parametrize("what", ["edited", "deleted", "renamed"])
@pytest.mark.parametrize("push", ["create", "update"])
async def test_a_push_whose_answer_was_lost_is_known_again(
    what: str, push: str, laptop: Device, client: Client
) -> None:
    """Although the file was changed before the next sync."""
    await push_without_an_answer(laptop, push)
    match what:
        case "edited":
            write(laptop, "a.txt", "edited since")
        case "deleted":
            (laptop.root / "a.txt").unlink()
        case "renamed":
            (laptop.root / "a.txt").rename(laptop.root / "b.txt")
    report = await sync(laptop)
    assert (report.failures, report.conflicts) == ([], [])
    assert report.counts == ({"delete": 1} if what == "deleted" else {"update": 1})
    there = {d.filename: d.file.file_size for d in (await client.documents()).documents}
    expected = {"edited": {"a.txt": 12}, "deleted": {}, "renamed": {"b.txt": 6}}[what]
    assert there == {"kept.txt": 4, **expected}


@pytest.mark.parametrize("others", ["edit", "delete", "erase", "rename"])
@pytest.mark.parametrize("push", ["create", "update"])
async def test_others_change_what_was_pushed_before_the_next_sync(
    others: str, push: str, laptop: Device, client: Client
) -> None:
    """The answer was lost: what came of the push is no edit against theirs, and comes back not."""
    await push_without_an_answer(laptop, push)
    (pushed,) = (await client.documents(filename="a.txt")).documents
    assert pushed.file.file_size == len("pushed")
    match others:
        case "edit":
            content = BytesContent(b"theirs")
            file = await Uploader(client).send(content, digest_of(content), "text/plain")
            await client.change_document(pushed.id, DocumentChanges(file_id=file.id))
        case "delete" | "erase":
            await client.delete_document(pushed.id, hard=others == "erase")
        case "rename":
            await client.change_document(pushed.id, DocumentChanges(filename="b.txt"))
    report = await sync(laptop)
    assert (report.failures, report.conflicts) == ([], [])
    expected = {"edit": {"a.txt": "theirs"}, "rename": {"b.txt": "pushed"}}.get(others, {})
    if (others, push) == ("erase", "update"):
        expected = {"a.txt": "pushed"}  # nothing shows that it had arrived
    assert texts(laptop) == {"kept.txt": "kept", **expected}
    there = {document.filename for document in (await client.documents()).documents}
    assert there == {"kept.txt", *expected}
