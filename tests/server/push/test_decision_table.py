"""The table in docs/protocol.md, cell by cell, against the real service."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from fixtures.checkout import CHECKOUT
from fixtures.pushing import Json, create, delete, push_one, update
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.push import CHANGEABLE, ChangeResult

PROTOCOL = CHECKOUT / "docs" / "protocol.md"
STRATEGIES = ("reject", "last_write_wins", "first_write_wins", "merge")
NEVER = "2001-01-01T00:00:00Z"


def cells() -> Iterator[tuple[str, str, str, str]]:
    """(change, what the server has, strategy, expected) of every cell."""
    table = PROTOCOL.read_text().partition("<!-- The tests read this table. -->")[2]
    rows = re.findall(r"^\| (create|update|delete) \|(.+)\|$", table, re.MULTILINE)
    for change, rest in rows:
        situation, *expected = (cell.strip() for cell in rest.split("|"))
        for strategy, outcome in zip(STRATEGIES, expected, strict=True):
            yield change, situation, strategy, outcome


@dataclass
class Ground:
    """A tenant, and hands that write past the API."""

    tenant: TestTenant
    writer: SqlWriter

    async def made(self) -> tuple[UUID, str]:
        """A document and its version."""
        result = await push_one(self.tenant.admin, create(self.writer.file_id))
        assert result.document is not None
        return result.id, result.document.model_dump(mode="json")["updated_at"]

    async def renamed(self, document: UUID, version: str, name: str) -> str:
        change = update(document, version, filename=name)
        result = await push_one(self.tenant.admin, change)
        assert result.document is not None
        return str(result.document.model_dump(mode="json")["updated_at"])

    async def copied(self) -> tuple[UUID, str]:
        """A document and its version before the MD5 of its file was mended, twice."""
        document, version = await self.made()
        await self.writer.mend_md5()
        await self.writer.mend_md5()
        assert await self.version(document) > version
        return document, version

    async def version(self, document: UUID) -> str:
        """Of a document, also if it is deleted."""
        query = (
            "SELECT to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
            "FROM feed_entries WHERE tenant_id = $1 AND id = $2"
        )
        return str(await self.writer.connection.fetchval(query, self.tenant.id, document))


Situation = Callable[[Ground], Awaitable[Json]]


async def create_nothing(ground: Ground) -> Json:
    return create(ground.writer.file_id)


async def create_same(ground: Ground) -> Json:
    document, _ = await ground.made()
    return create(ground.writer.file_id, document=document)


async def create_another(ground: Ground) -> Json:
    document, _ = await ground.made()
    return create(ground.writer.file_id, document=document, filename="another.txt")


async def create_deleted(ground: Ground) -> Json:
    document, _ = await ground.made()
    await ground.writer.delete(document)
    return create(ground.writer.file_id, document=document, filename="again.txt")


async def create_hard_deleted(ground: Ground) -> Json:
    document, _ = await ground.made()
    await ground.writer.erase(document)
    return create(ground.writer.file_id, document=document)


async def update_nothing(_ground: Ground) -> Json:
    return update(uuid4(), NEVER, filename="mine.txt")


async def update_base(ground: Ground) -> Json:
    document, version = await ground.made()
    return update(document, version, filename="mine.txt")


async def update_base_equal(ground: Ground) -> Json:
    document, version = await ground.made()
    return update(document, version, filename="made.txt")


async def update_base_deleted(ground: Ground) -> Json:
    document, _ = await ground.made()
    await ground.writer.delete(document)
    return update(document, await ground.version(document), filename="mine.txt")


async def update_base_deleted_equal(ground: Ground) -> Json:
    """The update brings it back, so it is no repeat."""
    document, _ = await ground.made()
    await ground.writer.delete(document)
    return update(document, await ground.version(document), filename="made.txt")


async def update_base_deleted_lost(ground: Ground) -> Json:
    document, _ = await ground.made()
    await ground.writer.delete(document)
    await ground.writer.forget_promises()
    return update(document, await ground.version(document), filename="mine.txt")


async def update_copy(ground: Ground) -> Json:
    document, version = await ground.copied()
    return update(document, version, filename="mine.txt")


async def update_copy_equal(ground: Ground) -> Json:
    document, version = await ground.copied()
    return update(document, version, filename="made.txt")


async def update_later_other(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.renamed(document, version, "theirs.txt")
    return update(document, version, mime_type="text/markdown")


async def update_later_same(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.renamed(document, version, "theirs.txt")
    return update(document, version, filename="mine.txt")


async def update_later_equal(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.renamed(document, version, "both.txt")
    return update(document, version, filename="both.txt")


async def update_later_no_base(ground: Ground) -> Json:
    document, _ = await ground.made()
    return update(document, NEVER, mime_type="text/markdown")


async def update_later_deleted(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.writer.delete(document)
    return update(document, version, filename="mine.txt")


async def update_later_deleted_lost(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.writer.delete(document)
    await ground.writer.forget_promises()
    return update(document, version, filename="mine.txt")


async def update_hard_deleted(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.writer.erase(document)
    return update(document, version, filename="mine.txt")


async def delete_nothing(_ground: Ground) -> Json:
    return delete(uuid4(), NEVER)


async def delete_base(ground: Ground) -> Json:
    return delete(*await ground.made())


async def delete_copy(ground: Ground) -> Json:
    return delete(*await ground.copied())


async def delete_later(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.renamed(document, version, "theirs.txt")
    return delete(document, version)


async def delete_deleted(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.writer.delete(document)
    return delete(document, version)


async def delete_hard_deleted(ground: Ground) -> Json:
    document, version = await ground.made()
    await ground.writer.erase(document)
    return delete(document, version)


SITUATIONS: dict[tuple[str, str], Situation] = {
    ("create", "nothing"): create_nothing,
    ("create", "the same document"): create_same,
    ("create", "another document"): create_another,
    ("create", "a deleted document"): create_deleted,
    ("create", "a hard-deleted document"): create_hard_deleted,
    ("update", "nothing"): update_nothing,
    ("update", "the base"): update_base,
    ("update", "the base, equal to the update"): update_base_equal,
    ("update", "the base, which is deleted"): update_base_deleted,
    ("update", "the base, which is deleted, equal to the update"): update_base_deleted_equal,
    ("update", "the base, which is deleted, and its bytes are lost"): update_base_deleted_lost,
    ("update", "later, a copy of the base"): update_copy,
    ("update", "later, a copy of the base, equal to the update"): update_copy_equal,
    ("update", "later, other fields changed"): update_later_other,
    ("update", "later, the same field changed"): update_later_same,
    ("update", "later, equal to the update"): update_later_equal,
    ("update", "later, base not in the history"): update_later_no_base,
    ("update", "later, deleted"): update_later_deleted,
    ("update", "later, deleted, and its bytes are lost"): update_later_deleted_lost,
    ("update", "a hard-deleted document"): update_hard_deleted,
    ("delete", "nothing"): delete_nothing,
    ("delete", "the base"): delete_base,
    ("delete", "later, a copy of the base"): delete_copy,
    ("delete", "later"): delete_later,
    ("delete", "a deleted document"): delete_deleted,
    ("delete", "a hard-deleted document"): delete_hard_deleted,
}


def test_the_table_and_the_situations_are_the_same() -> None:
    assert {(change, situation) for change, situation, _, _ in cells()} == set(SITUATIONS)


@pytest.mark.parametrize(("change", "situation", "strategy", "expected"), list(cells()))
async def test_cell(
    change: str,
    situation: str,
    strategy: str,
    expected: str,
    tenant: TestTenant,
    make_writer: MakeWriter,
) -> None:
    ground = Ground(tenant, await make_writer(tenant.id))
    sent = await SITUATIONS[change, situation](ground)
    before = await _state(ground, sent)

    result = await push_one(tenant.admin, sent, on_conflict=strategy)

    assert _told(result) == expected
    after = await _state(ground, sent)
    if result.status == "applied":
        assert after != before
        _assert_as_sent(after, sent)
    else:
        assert after == before


def _told(result: ChangeResult) -> str:
    if result.conflict is None:
        return result.status
    return f"{result.status} {result.conflict.resolution}"


async def _state(ground: Ground, sent: Json) -> dict[str, object] | None:
    query = """SELECT folder, filename, mime_type, file_id::text, is_deleted FROM documents
               WHERE tenant_id = $1 AND id = $2"""
    row = await ground.writer.connection.fetchrow(query, ground.tenant.id, UUID(sent["id"]))
    return None if row is None else dict(row)


def _assert_as_sent(after: dict[str, object] | None, sent: Json) -> None:
    assert after is not None
    assert after["is_deleted"] is (sent["op"] == "delete")
    wanted = {name: sent[name] for name in CHANGEABLE if name in sent}
    assert {name: after[name] for name in wanted} == wanted
