"""Multipart uploads whose parts come from clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncapi.server.storage.calls import Absent, S3Calls


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that S3 has; the entity tag is quoted, as in HTTP."""

    size: int
    etag: str


class MultipartUploads:
    """Begins multipart uploads, looks at them, and ends them.

    Every method raises `Unavailable` when S3 fails.
    """

    def __init__(self, call: S3Calls) -> None:
        self._call = call

    async def begin(self, key: str, content_type: str) -> str:
        """Begin an upload to ``key``; return its id."""
        answer = await self._call("create_multipart_upload", Key=key, ContentType=content_type)
        return str(answer["UploadId"])

    async def parts(self, key: str, upload_id: str) -> dict[int, SentPart] | None:
        """The parts that S3 has, by number; None if it knows no such upload, or no more.

        Of a part that was sent twice S3 should list the last. Some list both: then the later
        one counts, and where S3's clock cannot tell them apart, none does.
        """
        found: dict[int, list[_Listed]] = {}
        marker = 0
        while True:
            try:
                answer = await self._call(
                    "list_parts", Key=key, UploadId=upload_id, PartNumberMarker=marker
                )
            except Absent:
                return None
            page = [_listed(part) for part in answer.get("Parts", ())]
            for part in page:
                found.setdefault(part.number, []).append(part)
            if not answer.get("IsTruncated") or not page:
                return _latest(found)
            marker = answer["NextPartNumberMarker"]

    async def complete(self, key: str, upload_id: str, parts: Mapping[int, SentPart]) -> None:
        """Make one object of the parts. An upload that is known no more was completed before."""
        listed = [{"PartNumber": number, "ETag": parts[number].etag} for number in sorted(parts)]
        try:
            await self._call(
                "complete_multipart_upload",
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
            )
        except Absent:
            return

    async def abort(self, key: str, upload_id: str) -> None:
        """Drop the upload and its parts; that there is none is no error."""
        try:
            await self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except Absent:
            return


@dataclass(frozen=True, slots=True)
class _Listed:
    number: int
    sent_at: datetime
    part: SentPart


def _listed(part: dict[str, Any]) -> _Listed:
    sent = SentPart(part["Size"], part["ETag"])
    return _Listed(part["PartNumber"], part["LastModified"], sent)


def _latest(found: Mapping[int, Sequence[_Listed]]) -> dict[int, SentPart]:
    parts = {}
    for number, listed in found.items():
        last = max(one.sent_at for one in listed)
        candidates = {one.part for one in listed if one.sent_at == last}
        if len(candidates) == 1:
            parts[number] = candidates.pop()
    return parts
