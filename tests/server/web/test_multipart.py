"""The reader of forms, fed byte by byte and all at once, with good forms and bad ones."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapi.server.domain.errors import InvalidInput, UnsupportedType
from syncapi.server.web.multipart import Check, FileForm

TYPE = "multipart/form-data; boundary=b"
FILE = ("file", 'filename="a.txt"', b"content")


def _refuse_bad(value: str) -> None:
    if value == "bad":
        raise InvalidInput.of("body.filename", "It is bad.")


CHECKS: dict[str, Check] = {"filename": _refuse_bad, "mime_type": str}


def part(name: str, more: str, content: bytes, *heads: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f"; {more}" if more else "")
    head = "\r\n".join([disposition, *heads])
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def form_of(*parts: tuple[str, str, bytes]) -> bytes:
    return b"".join(part(*one) for one in parts) + b"--b--\r\n"


async def in_chunks(body: bytes, size: int) -> AsyncGenerator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(
    body: bytes, size: int = 65_536, content_type: str = TYPE
) -> tuple[FileForm, bytes]:
    form = FileForm(content_type, in_chunks(body, size), CHECKS)
    async with aclosing(form.chunks()) as chunks:
        return form, b"".join([chunk async for chunk in chunks])


async def refusal(body: bytes, content_type: str = TYPE) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        await read(body, content_type=content_type)
    return refused.value


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
async def test_fields_may_come_in_any_order(size: int) -> None:
    parts = (("mime_type", "", b"a/b"), FILE, ("filename", "", "ü".encode()))
    for order in (parts, parts[::-1]):
        form, content = await read(form_of(*order), size)
        assert content == b"content"
        assert form.fields == {"mime_type": "a/b", "filename": "ü"}
        assert form.head is not None
        assert form.head.filename == "a.txt"


@given(st.binary(max_size=300), st.integers(1, 64), st.text("-b\r\nXY", min_size=1, max_size=20))
def test_content_comes_out_as_it_went_in(content: bytes, size: int, boundary: str) -> None:
    """Whatever looks like a boundary in the content, and wherever chunks are cut."""
    content += b"\r\n--" + boundary.encode() + b"\r\n-"
    name = "f" + content.hex()[:40]  # a boundary that the content does not have
    request = httpx.Request(
        "POST",
        "http://h",
        files={"file": ("a", content)},
        data={"filename": "x"},
        headers={"Content-Type": f"multipart/form-data; boundary={name}"},
    )
    body = request.read()
    form, out = asyncio.run(read(body, size, request.headers["Content-Type"]))
    assert out == content
    assert form.fields == {"filename": "x"}


async def test_the_body_is_read_no_faster_than_its_file() -> None:
    """Back-pressure: a chunk is taken from the body only when the last one is used up."""
    drawn = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal drawn
        for piece in in_pieces(form_of(("file", 'filename="a"', bytes(10_000))), 100):
            drawn += 1
            yield piece

    form = FileForm(TYPE, body(), CHECKS)
    async with aclosing(form.chunks()) as chunks:
        await anext(chunks)
        after_first = drawn
        await asyncio.sleep(0)
        assert drawn == after_first < 5
        await anext(chunks)
        assert drawn == after_first + 1


def in_pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


async def test_empty_fields_count_as_not_sent() -> None:
    form, _ = await read(form_of(("filename", "", b""), FILE))
    assert form.fields == {}


async def test_an_empty_file_is_a_file() -> None:
    form, content = await read(form_of(("file", 'filename="a"', b"")))
    assert (content, form.head is not None) == (b"", True)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ('filename="a%22b%0D%0Ac"', 'a"b\r\nc'),  # as browsers escape
        ('filename="a\\"b"', 'a"b'),  # as older programs do
        ('filename="a;b=c"', "a;b=c"),
        ("filename=plain", "plain"),
        ('filename="文件.txt"', "文件.txt"),
        ("filename=\"a\"; filename*=UTF-8''b", "a"),  # RFC 7578 §4.2 forbids the second
        ('filename=""', ""),
        ("", None),
    ],
)
async def test_names_of_files_as_programs_write_them(sent: str, meant: str | None) -> None:
    form, _ = await read(form_of(("file", sent, b"")))
    assert form.head is not None
    assert form.head.filename == meant


async def test_the_type_of_the_part_is_known_without_its_parameters() -> None:
    body = part("file", "", b"", "content-TYPE: Text/Plain; charset=utf-8") + b"--b--\r\n"
    form, _ = await read(body)
    assert form.head is not None
    assert form.head.media_type == "text/plain"


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        (form_of(("filename", "", b"a")), "body.file", "required"),
        (b"--b--\r\n", "body.file", "required"),
        (form_of(FILE, FILE), "body.file", "twice"),
        (form_of(FILE, ("filename", "", b"a"), ("filename", "", b"b")), "body.filename", "twice"),
        (form_of(("fileName", "", b"a"), FILE), "body.fileName", "no such field"),
        (form_of(("filename", "", b"\xff"), FILE), "body.filename", "UTF-8"),
        (form_of(("filename", "", b"bad"), FILE), "body.filename", "bad"),
        (form_of(("filename", "", bytes(4097)), FILE), "body.filename", "4096 bytes"),
        (form_of(FILE) + bytes(70_000), "body", "65536 bytes"),
        (form_of(FILE)[:-7], "body", "last boundary"),
        (form_of(FILE)[:20], "body", "last boundary"),
        (b"", "body", "last boundary"),
        (b"no form at all", "body", "multipart"),
        (b"--other\r\n", "body", "multipart"),
        (b"--b\r\nno header\r\n\r\n", "body", "multipart"),
        (b"--b\r\n" + b"X: y\r\n" * 20 + b"\r\n", "body", "multipart"),
        (b"--b\r\nX: " + b"y" * 9000 + b"\r\n\r\n", "body", "multipart"),
        (b"--b\r\nX: y\r\n\r\n--b--", "body", "Content-Disposition"),
        (form_of(("", "", b"")), "body", "Content-Disposition"),
        (
            part("file", "", b"YQ==", "Content-Transfer-Encoding: base64") + b"--b--\r\n",
            "body.file",
            "Content-Transfer-Encoding",
        ),
        (b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n', "body", "UTF-8"),
    ],
)
async def test_a_bad_form_is_refused_by_name(body: bytes, field: str, word: str) -> None:
    refused = await refusal(body)
    assert [error.field for error in refused.errors] == [field]
    assert word in refused.detail


async def test_a_check_refuses_before_the_file_is_read() -> None:
    read_on = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read_on
        yield part("filename", "", b"bad")
        yield part(*FILE)
        read_on = True
        yield b"--b--\r\n"

    with pytest.raises(InvalidInput, match="bad"):
        async with aclosing(FileForm(TYPE, body(), CHECKS).chunks()) as chunks:
            await anext(chunks)
    assert not read_on


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain; boundary=b"])
async def test_another_type_of_body_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedType, match="multipart/form-data"):
        await read(b"{}", content_type=content_type)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 300}"]
)
async def test_a_boundary_that_does_not_do_is_refused(content_type: str) -> None:
    refused = await refusal(b"", content_type)
    assert [error.field for error in refused.errors] == ["header.Content-Type"]


async def test_a_sender_that_says_nothing_more_is_given_up() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield part(*FILE)[:-5]
        await asyncio.Event().wait()

    form = FileForm(TYPE, stalled(), CHECKS, idle_seconds=0.05)
    with pytest.raises(InvalidInput, match="Nothing more came"):
        async with aclosing(form.chunks()) as chunks:
            assert [chunk async for chunk in chunks]
