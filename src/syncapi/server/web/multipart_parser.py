"""A multipart/form-data body as a sequence of events (RFC 7578)."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from syncapi.server.domain.errors import InvalidInput, UnsupportedType

BODY: Final = "body"

_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})
# How browsers write what would end a quoted name: the HTML standard, "multipart/form-data
# encoding algorithm".
_ESCAPES = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))


@dataclass(frozen=True, slots=True)
class PartHead:
    """The head of a part.

    Attributes:
        filename: as sent, maybe with a path; None or empty where none was sent.
        media_type: without its parameters; empty where none was sent.
    """

    name: str
    filename: str | None
    media_type: str


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


Event = PartHead | bytes | PartEnd


async def form_events(
    content_type: str, body: AsyncIterator[bytes]
) -> AsyncGenerator[list[Event]]:
    """Parse ``body`` as it comes; each item is what one chunk of it brought.

    Raises:
        UnsupportedType: it is no multipart/form-data.
        InvalidInput: it breaks the rules of one, or ends too early.
    """
    sink = _Sink()
    parser = _parser(content_type, sink)
    async for data in body:
        try:
            parser.write(data)
        except FormParserError as error:
            raise InvalidInput.of(BODY, f"It is not multipart/form-data: {error}.") from error
        yield sink.take()
    if not sink.is_whole:
        raise InvalidInput.of(BODY, "It ends before its last boundary. Send it again, as a whole.")


def _parser(content_type: str, sink: "_Sink") -> MultipartParser:
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise UnsupportedType("Send the file as Content-Type: multipart/form-data.")
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidInput.of("header.Content-Type", "The boundary is missing.")
    try:
        # The parser's type of callbacks exists for type checkers alone.
        return MultipartParser(boundary, sink.callbacks())  # type: ignore[arg-type]
    except FormParserError as error:
        raise InvalidInput.of("header.Content-Type", f"{error}.") from error


class _Sink:
    """Collects what the parser calls back."""

    def __init__(self) -> None:
        self.is_whole = False
        self._events: list[Event] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_head,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_head(self) -> None:
        self._events.append(_head_of(self._headers))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(PartEnd())

    def _on_end(self) -> None:
        self.is_whole = True


def _head_of(headers: dict[bytes, bytes]) -> PartHead:
    disposition, options = parse_options_header(headers.get(b"content-disposition", b""))
    if disposition != b"form-data" or not options.get(b"name"):
        raise InvalidInput.of(
            BODY, 'A part lacks its head: Content-Disposition: form-data; name="…".'
        )
    name = _text(options[b"name"], BODY)
    encoding = headers.get(b"content-transfer-encoding", b"").strip().lower()
    if encoding.decode("latin-1") not in _PLAIN_ENCODINGS:
        raise InvalidInput.of(f"{BODY}.{name}", "Send it as it is: no Content-Transfer-Encoding.")
    filename = options.get(b"filename")
    media_type, _ = parse_options_header(headers.get(b"content-type", b""))
    return PartHead(
        name=name,
        filename=None if filename is None else _text(filename, f"{BODY}.{name}"),
        media_type=media_type.decode("latin-1"),
    )


def _text(raw: bytes, field: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput.of(field, "A name in its head is not UTF-8.") from error
    for escaped, plain in _ESCAPES:
        text = text.replace(escaped, plain)
    return text
