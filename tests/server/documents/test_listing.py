"""Lists: order, pages and filters."""

import asyncio

import pytest

from fixtures.service import TestTenant
from fixtures.uploads import Json, assert_problem, upload


async def listed(tenant: TestTenant, **query: str | int) -> Json:
    answer = await tenant.viewer.get("/documents", params=query)
    assert answer.status_code == 200, answer.text
    data: Json = answer.json()["data"]
    return data


async def names(tenant: TestTenant, **query: str | int) -> list[str]:
    return [document["filename"] for document in (await listed(tenant, **query))["documents"]]


async def test_the_newest_comes_first_a_page_at_a_time(tenant: TestTenant) -> None:
    for number in range(5):
        await upload(tenant.user, filename=f"{number}")
    assert await names(tenant) == ["4", "3", "2", "1", "0"]
    pages = [await listed(tenant, page=page, per_page=2) for page in (1, 2, 3, 4)]
    found = [[document["filename"] for document in page["documents"]] for page in pages]
    assert found == [["4", "3"], ["2", "1"], ["0"], []]
    for number, page in enumerate(pages, 1):
        assert page["pagination"] == {"page": number, "per_page": 2, "total": 5, "pages": 3}


async def test_an_empty_tenant_has_no_pages(tenant: TestTenant) -> None:
    expected = {"page": 1, "per_page": 20, "total": 0, "pages": 0}
    assert await listed(tenant) == {"documents": [], "pagination": expected}


async def test_a_listed_document_is_as_it_reads_alone(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    assert (await listed(tenant))["documents"] == [document]


async def test_the_deleted_are_not_listed(tenant: TestTenant) -> None:
    kept, gone = await upload(tenant.user, filename="kept"), await upload(tenant.user)
    await tenant.admin.delete(f"/documents/{gone['id']}")
    data = await listed(tenant)
    assert data["documents"] == [kept]
    assert data["pagination"]["total"] == 1


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("REPORT", {"Report.pdf", "report_1%.txt"}),
        ("über", {"ÜBER.txt"}),
        ("%", {"report_1%.txt"}),
        ("_", {"report_1%.txt"}),
        ("\\", set()),
        ("/", set()),
        ("t_1", {"report_1%.txt"}),
        ("rt.", {"Report.pdf"}),
        ("' OR 1=1 --", set()),
        ("", {"Report.pdf", "report_1%.txt", "ÜBER.txt"}),
    ],
)
async def test_a_part_of_the_name_is_taken_literally(
    tenant: TestTenant, part: str, found: set[str]
) -> None:
    for name in ("Report.pdf", "report_1%.txt", "ÜBER.txt"):
        await upload(tenant.user, fields={"filename": name})
    assert set(await names(tenant, filename=part)) == found


async def test_a_folder_is_taken_exactly(tenant: TestTenant) -> None:
    for folder in ("", "a", "a/b", "A"):
        await upload(
            tenant.user, fields={"filename": f"in {folder!r}".replace("/", "|"), "folder": folder}
        )
    assert await names(tenant, folder="a") == ["in 'a'"]
    assert await names(tenant, folder="a/b") == ["in 'a|b'"]
    assert await names(tenant, folder="") == ["in ''"]
    assert await names(tenant, folder="b") == []
    assert len(await names(tenant)) == 4
    refused = await tenant.viewer.get("/documents", params={"folder": "a/"})
    assert_problem(refused, 400, "invalid_request", "folder", word="leave it empty for the root")


async def test_times_bound_the_list_exclusively(tenant: TestTenant) -> None:
    first, second, third = [await upload(tenant.user, filename=name) for name in "abc"]
    changed = await tenant.user.patch(f"/documents/{first['id']}", json={"filename": "a2"})
    modified = changed.json()["data"]["document"]["updated_at"]
    assert await names(tenant, modified_after=second["updated_at"]) == ["c", "a2"]
    assert await names(tenant, modified_before=third["updated_at"]) == ["b"]
    assert await names(tenant, created_after=first["created_at"]) == ["c", "b"]
    assert await names(tenant, modified_after=modified) == []
    between = {"modified_after": second["updated_at"], "modified_before": modified}
    data = await listed(tenant, **between)
    assert [document["filename"] for document in data["documents"]] == ["c"]
    assert data["pagination"]["total"] == 1


async def test_times_may_have_an_offset(tenant: TestTenant) -> None:
    await upload(tenant.user)
    assert await names(tenant, created_after="2000-01-01T00:00:00+05:00") == ["a.txt"]
    assert await names(tenant, created_after="2999-01-01T00:00:00-05:00") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": 0}, "page"),
        ({"per_page": 0}, "per_page"),
        ({"per_page": 101}, "per_page"),
        ({"page": 10**18}, "page"),
        ({"page": "x"}, "page"),
        ({"filename": "\x00"}, "filename"),
        ({"filename": "a" * 256}, "filename"),
        ({"modified_after": "yesterday"}, "modified_after"),
        ({"modified_before": "2026-01-01T00:00:00"}, "modified_before"),
        ({"created_after": "2026-13-01T00:00:00Z"}, "created_after"),
        ({"file_name": "a"}, "file_name"),
    ],
    ids=str,
)
async def test_a_bad_query_is_refused_by_name(
    tenant: TestTenant, query: dict[str, str | int], field: str
) -> None:
    answer = await tenant.viewer.get("/documents", params=query)
    assert_problem(answer, 400, "invalid_request", field)


async def test_a_total_and_its_page_are_of_one_moment(tenant: TestTenant) -> None:
    """While documents come and go, a list that fits on its page never contradicts itself."""

    async def come_and_go() -> None:
        for _ in range(8):
            document = await upload(tenant.user)
            await tenant.admin.delete(f"/documents/{document['id']}")

    writers = asyncio.gather(*(come_and_go() for _ in range(3)))
    while not writers.done():
        data = await listed(tenant, per_page=100)
        assert len(data["documents"]) == data["pagination"]["total"]
    await writers
