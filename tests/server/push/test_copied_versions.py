"""A version that equals a client's base is a copy of it only if no other one came in between."""

import pytest

from fixtures.pushing import create, delete, push_one, update
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter


@pytest.mark.parametrize("way", ["restored", "edited back", "given to another user"])
async def test_what_somebody_brought_back_is_no_copy(
    tenant: TestTenant, make_writer: MakeWriter, way: str
) -> None:
    writer = await make_writer(tenant.id)
    made = (await push_one(tenant.admin, create(writer.file_id))).document
    assert made is not None
    base = made.model_dump(mode="json")["updated_at"]
    match way:
        case "restored":
            await writer.delete(made.id)
            await writer.undelete(made.id)
        case "edited back":
            await writer.touch(made.id)
            await writer.connection.execute(
                "UPDATE documents SET filename = $2 WHERE id = $1", made.id, made.filename
            )
        case "given to another user":
            await writer.connection.execute(
                "UPDATE documents SET user_id = gen_random_uuid() WHERE id = $1", made.id
            )
    await writer.mend_md5()

    for change in (delete(made.id, base), update(made.id, base, filename="mine.txt")):
        result = await push_one(tenant.admin, change)
        assert result.status == "conflict"
        assert result.conflict is not None
        assert result.conflict.base is not None
