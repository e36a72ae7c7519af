"""The form of an upload (RFC 7578), whose file is read while it is sent."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from syncapi.client.transfer.contents import Content
from syncapi.client.transfer.parts import read_blocks

_END: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class UploadForm:
    """A form with one file, in a form that can be sent again and again.

    Attributes:
        headers: its type and its length.
    """

    head: bytes
    content: Content
    size: int
    tail: bytes
    headers: dict[str, str]

    async def body(self) -> AsyncIterator[bytes]:
        """The whole form; `SourceChanged` if the file has become shorter."""
        yield self.head
        async with aclosing(read_blocks(self.content, 0, self.size)) as blocks:
            async for block in blocks:
                yield block
        yield self.tail


def upload_form(content: Content, filename: str, mime_type: str, folder: str) -> UploadForm:
    """The form that makes a document."""
    boundary = token_hex(16)
    fields = {"filename": filename, "mime_type": mime_type, "folder": folder}
    lines = [_field(boundary, name, text) for name, text in fields.items() if text]
    lines.append(
        f"--{boundary}{_END}"
        f'Content-Disposition: form-data; name="file"; filename="file"{_END}'
        f"Content-Type: application/octet-stream{_END}{_END}"
    )
    head, tail = "".join(lines).encode(), f"{_END}--{boundary}--{_END}".encode()
    size = content.size
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    return UploadForm(head, content, size, tail, headers)


def _field(boundary: str, name: str, text: str) -> str:
    return (
        f'--{boundary}{_END}Content-Disposition: form-data; name="{name}"{_END}{_END}{text}{_END}'
    )
