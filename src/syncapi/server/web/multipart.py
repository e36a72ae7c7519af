"""A form with one file, read as it comes: never whole in memory, never on disk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from syncapi.server.domain.errors import InvalidInput
from syncapi.server.web.multipart_parser import BODY, Event, PartEnd, PartHead, form_events

FILE: Final = "file"

_MOST_BESIDES = 64 * 1024
"""Bytes of everything but the file: heads, fields, and what surrounds the form."""

_LONGEST_FIELD = 4096
"""Bytes of a text field."""

Check = Callable[[str], object]


class FileForm:
    """Reads a multipart/form-data body: the part ``file`` and text fields, in any order.

    `chunks` gives the bytes of the file and reads no more of the body than is asked for. When it
    ends, the form was whole and ``fields`` is complete.

    Attributes:
        fields: the text fields so far, as sent. Empty ones are left out, since browsers send them
            for inputs that were not filled in.
        head: the head of the part ``file``; None until it came.
    """

    def __init__(
        self,
        content_type: str,
        body: AsyncIterator[bytes],
        checks: Mapping[str, Check],
        *,
        idle_seconds: float = 60,
    ) -> None:
        """Prepare to read.

        Args:
            content_type: the header of the request.
            body: the body of the request.
            checks: by the name of each text field, a function that refuses a wrong value as soon
                as it is read.
            idle_seconds: how long to wait for more of the body.
        """
        self.fields: dict[str, str] = {}
        self.head: PartHead | None = None
        self._checks = checks
        self._events = form_events(content_type, self._count(body, idle_seconds))
        self._besides = 0
        self._seen: set[str] = set()
        self._part: str | None = None
        self._text = b""

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes of the file.

        Raises:
            InvalidInput: names the field that is missing, unknown, given twice, too long or not
                UTF-8, or ``body`` where the form itself is broken.
            UnsupportedType: the body is no multipart/form-data.
        """
        async with aclosing(self._events) as batches:
            async for batch in batches:
                for event in batch:
                    if (data := self._take(event)) is not None:
                        yield data
                if self._besides > _MOST_BESIDES:
                    raise InvalidInput.of(
                        BODY, f"The form has more than {_MOST_BESIDES} bytes besides the file."
                    )
        if self.head is None:
            raise InvalidInput.of(f"{BODY}.{FILE}", "It is required: the file to upload.")

    async def _count(
        self, body: AsyncIterator[bytes], idle_seconds: float
    ) -> AsyncGenerator[bytes]:
        while True:
            try:
                async with asyncio.timeout(idle_seconds):
                    data = await anext(body, None)
            except TimeoutError as error:
                raise InvalidInput.of(
                    BODY, f"Nothing more came for {idle_seconds:g} seconds. Send it again."
                ) from error
            if data is None:
                return
            self._besides += len(data)
            yield data

    def _take(self, event: Event) -> bytes | None:
        """Note the event; return it if it is data of the file."""
        if isinstance(event, PartHead):
            self._begin(event)
        elif isinstance(event, PartEnd):
            self._end()
        elif self._part == FILE:
            self._besides -= len(event)
            return event
        else:
            self._text += event
            if len(self._text) > _LONGEST_FIELD:
                raise InvalidInput.of(
                    f"{BODY}.{self._part}", f"It has more than {_LONGEST_FIELD} bytes."
                )
        return None

    def _begin(self, head: PartHead) -> None:
        if head.name in self._seen:
            raise InvalidInput.of(f"{BODY}.{head.name}", "It is given twice. Give it once.")
        if head.name == FILE:
            self.head = head
        elif head.name not in self._checks:
            known = ", ".join([FILE, *self._checks])
            message = f"There is no such field. There are: {known}."
            raise InvalidInput.of(f"{BODY}.{head.name[:100]}", message)
        self._seen.add(head.name)
        self._part = head.name

    def _end(self) -> None:
        name, text, self._part, self._text = self._part, self._text, None, b""
        if name is None or name == FILE or not text:
            return
        try:
            value = text.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput.of(f"{BODY}.{name}", "It is not UTF-8.") from error
        self._checks[name](value)
        self.fields[name] = value
