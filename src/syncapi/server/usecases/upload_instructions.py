"""What a client must do for an upload: signed URLs of the parts that are missing."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncapi.protocol.files import FileState, PartRange, PendingUpload, UploadPart
from syncapi.server.domain.transfers import ranges
from syncapi.server.postgres.direct_uploads import DirectUpload
from syncapi.server.postgres.documents import file_info
from syncapi.server.postgres.files import StoredFile
from syncapi.server.storage.signing import UrlSigner


@dataclass(frozen=True, slots=True)
class UrlTerms:
    """When URLs are signed, and for how long they work.

    Attributes:
        signed_at: in whole seconds, as signatures count.
    """

    signed_at: datetime
    seconds: int

    @property
    def expires_at(self) -> datetime:
        return self.signed_at + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Underway:
    """An upload that is not complete.

    Attributes:
        received: the sizes of the parts that have arrived, by number.
        terms: of the URLs to sign; the upload is kept for at least as long as they work.
    """

    upload: DirectUpload
    received: dict[int, int]
    terms: UrlTerms


class UploadInstructions:
    """Signs URLs for uploads.

    Args:
        signer: signs URLs of the bucket at the address that clients use.
        binds_content: whether S3 verifies what is sent against ``x-amz-checksum-sha256``.
    """

    def __init__(self, signer: UrlSigner, *, binds_content: bool) -> None:
        self._signer = signer
        self._binds_content = binds_content

    def make(self, underway: Underway, *, after: int, most: int) -> FileState:
        """Sign URLs for at most ``most`` of the missing parts after the part ``after``."""
        upload, plan = underway.upload, underway.upload.plan
        missing = plan.missing(underway.received)
        open_parts = set(missing)
        asked = [number for number in missing if number > after]
        numbers = asked[:most]
        headers = self._headers(upload)
        urls = self._urls(underway, numbers, headers)
        everything = range(1, plan.part_count + 1)
        pending = PendingUpload(
            kind="single" if upload.s3_upload_id is None else "multipart",
            headers=headers,
            part_size=plan.part_size,
            part_count=plan.part_count,
            received=[
                PartRange(first=first, last=last)
                for first, last in ranges(n for n in everything if n not in open_parts)
            ],
            parts=[
                UploadPart(number=n, offset=plan.offset(n), size=plan.size(n), url=url)
                for n, url in zip(numbers, urls, strict=True)
            ],
            next_after=numbers[-1] if len(asked) > most else None,
            expires_at=underway.terms.expires_at,
        )
        return FileState(id=upload.id, status="pending", file=None, upload=pending)

    def _urls(self, underway: Underway, numbers: list[int], headers: dict[str, str]) -> list[str]:
        upload, terms = underway.upload, underway.terms
        at, seconds = terms.signed_at, terms.seconds
        if upload.s3_upload_id is not None:
            return self._signer.sign_parts(
                upload.s3_path, upload.s3_upload_id, numbers, at, seconds
            )
        return [
            self._signer.sign_put(upload.s3_path, at, seconds, headers=headers) for _ in numbers
        ]

    def _headers(self, upload: DirectUpload) -> dict[str, str]:
        """The headers that are signed with a single PUT, so that no other bytes can be sent."""
        if upload.s3_upload_id is not None:
            return {}
        headers = {
            "content-type": upload.mime_type,
            "content-md5": _base64_of(upload.digest.md5_hash),
        }
        if self._binds_content:
            headers["x-amz-checksum-sha256"] = _base64_of(upload.digest.sha256_hash)
        return headers


def complete(file: StoredFile) -> FileState:
    """The state of an upload whose file is complete."""
    return FileState(id=file.id, status="complete", file=file_info(file), upload=None)


def _base64_of(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()
