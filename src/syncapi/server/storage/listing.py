"""What is in the bucket, a page at a time."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from syncapi.server.storage.calls import S3Calls


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object, without its bytes.

    Attributes:
        key: where it is in the bucket.
        size: in bytes.
        written_at: when it was, by S3's clock.
    """

    key: str
    size: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """A multipart upload that is neither completed nor aborted.

    Attributes:
        key: where its object would be.
        upload_id: as S3 knows it.
        begun_at: when it was, by S3's clock.
    """

    key: str
    upload_id: str
    begun_at: datetime


class BucketListing:
    """Lists what is below a prefix and older than a moment of S3's clock.

    Both raise `Unavailable` when S3 fails.
    """

    def __init__(self, call: S3Calls) -> None:
        self._call = call

    async def objects(self, prefix: str, before: datetime) -> AsyncGenerator[list[ListedObject]]:
        """Pages of objects, in the order of their keys. They may be deleted between pages."""
        where: dict[str, str] = {}
        while True:
            answer = await self._call("list_objects_v2", Prefix=prefix, **where)
            yield [
                ListedObject(entry["Key"], entry["Size"], entry["LastModified"])
                for entry in answer.get("Contents", ())
                if entry["LastModified"] < before
            ]
            if not answer.get("IsTruncated"):
                return
            where = {"ContinuationToken": answer["NextContinuationToken"]}

    async def uploads(self, prefix: str, before: datetime) -> AsyncGenerator[list[ListedUpload]]:
        """Pages of multipart uploads. They may be aborted between pages."""
        where: dict[str, str] = {}
        while True:
            answer = await self._call("list_multipart_uploads", Prefix=prefix, **where)
            found = answer.get("Uploads", ())
            yield [
                ListedUpload(entry["Key"], entry["UploadId"], entry["Initiated"])
                for entry in found
                if entry["Initiated"] < before
            ]
            if not answer.get("IsTruncated") or not found:
                return
            # Some leave out the key: it is that of the last one.
            where = {
                "KeyMarker": answer.get("NextKeyMarker") or found[-1]["Key"],
                "UploadIdMarker": answer.get("NextUploadIdMarker") or found[-1]["UploadId"],
            }
