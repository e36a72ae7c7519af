"""Times have six digits, whatever they are: their text order is their time order."""

from fixtures.pulling import BEGINNING, ask, page_of
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter


async def test_a_whole_second_keeps_its_zeros(tenant: TestTenant, make_writer: MakeWriter) -> None:
    writer = await make_writer(tenant.id)
    document = await writer.insert_one()
    await writer.connection.execute(
        "UPDATE documents SET created_at = '2026-01-02 03:04:05Z' WHERE id = $1", document
    )
    answer = await ask(tenant.viewer, since=BEGINNING, include_urls=False)
    (pulled,) = page_of(answer).added
    assert pulled.id == document
    assert '"created_at":"2026-01-02T03:04:05.000000Z"' in answer.text
