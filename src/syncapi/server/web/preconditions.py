"""Answers that carry a document's version, and conditions on it (RFC 9110 §13.1)."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response

from syncapi.protocol.documents import Document, DocumentData
from syncapi.protocol.versions import version_tag
from syncapi.server.domain.errors import InvalidInput
from syncapi.server.domain.version_conditions import UNCONDITIONAL, VersionCondition
from syncapi.server.web.responses import success

_TAG = r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
# There is one way to read a text: blanks that two parts can claim cost exponential time.
_TAGS = rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*"
_PATTERN = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'


def etag(updated_at: datetime) -> str:
    """The version as a weak validator: compression changes the bytes, and not the version."""
    return f'W/"{version_tag(updated_at)}"'


def names(if_none_match: Sequence[str], tag: str) -> bool:
    """Whether one of the entity tags in the lines of ``If-None-Match`` is this one.

    The comparison is the weak one (RFC 9110 §13.1.2). What is malformed names nothing.
    """
    text = ", ".join(if_none_match)
    if text.strip() == "*":
        return True
    return re.fullmatch(_TAGS, text) is not None and tag.removeprefix("W/").strip('"') in (
        re.findall(_TAG, text)
    )


def document_answer(
    message: str,
    document: Document,
    *,
    status: int = HTTPStatus.OK.value,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer a document with its version as the entity tag."""
    tagged = {"ETag": etag(document.updated_at), **(headers or {})}
    return success(message, DocumentData(document=document), status=status, headers=tagged)


def _condition(header: str, text: str) -> VersionCondition:
    if text.strip() == "*":
        return VersionCondition(None)
    if not re.fullmatch(_TAGS, text):
        raise InvalidInput.of(
            f"header.{header}", "Send the ETag of the document as you got it, quotes included."
        )
    return VersionCondition(frozenset(re.findall(_TAG, text)))


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            description="Go on only if the document still has this version: its `ETag`.",
            examples=['W/"1795426200123456"'],
            json_schema_extra={"pattern": _PATTERN},
        ),
    ] = None,
) -> VersionCondition:
    return UNCONDITIONAL if if_match is None else _condition("If-Match", if_match)


async def _if_none_match(
    if_none_match: Annotated[
        str | None,
        Header(
            description="Answer 304, without a body, if the document still has this version.",
            examples=['W/"1795426200123456"'],
            json_schema_extra={"pattern": _PATTERN},
        ),
    ] = None,
) -> VersionCondition | None:
    return None if if_none_match is None else _condition("If-None-Match", if_none_match)


IfMatch = Annotated[VersionCondition, Depends(_if_match)]
IfNoneMatch = Annotated[VersionCondition | None, Depends(_if_none_match)]
