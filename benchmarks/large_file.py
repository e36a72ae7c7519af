"""One large file by every way in and out of the service, and what memory that takes.

Nothing is assumed of what arrives: each way out is read to its end and held against the SHA-256
of what went in, the archives by the standard library's readers.
"""

import hashlib
import secrets
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any, cast
from uuid import UUID, uuid4

import httpx

from benchmarks.memory import forget_peak, memory
from benchmarks.setting import Setting

MIB = 1024**2
_BLOCK = 16 * MIB
_SENDERS = 2
_TYPE = "application/octet-stream"
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are made when they are asked for, no two blocks alike."""

    size: int
    noise: bytes

    @classmethod
    def of(cls, size: int) -> "Content":
        return cls(size, secrets.token_bytes(_BLOCK))

    def blocks(self) -> Iterator[bytes]:
        for number in range(-(-self.size // _BLOCK)):
            start = number * _BLOCK
            yield (number.to_bytes(8, "big") + self.noise[8:])[: self.size - start]

    def slice(self, offset: int, size: int) -> bytes:
        """Some of the bytes."""
        first, last = offset // _BLOCK, -(-(offset + size) // _BLOCK)
        text = b"".join(
            number.to_bytes(8, "big") + self.noise[8:] for number in range(first, last)
        )
        start = offset - first * _BLOCK
        return text[start : start + size]

    def declaration(self) -> _Json:
        """What to declare."""
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        for block in self.blocks():
            md5.update(block)
            sha256.update(block)
        return {
            "sha256_hash": sha256.hexdigest(),
            "md5_hash": md5.hexdigest(),
            "file_size": self.size,
            "mime_type": _TYPE,
        }


class LargeFile:
    """The ways of one file, each measured. One line is printed for each as it ends."""

    def __init__(self, setting: Setting, tenant: UUID, size: int, *, seconds: float) -> None:
        self._pid = setting.pid
        self._content = Content.of(size)
        self._end = time.monotonic() + seconds
        self._member = httpx.Client(
            base_url=f"{setting.url}/api/tenants/{tenant}",
            headers=setting.headers,
            timeout=120,
            trust_env=False,
        )
        self._stranger = httpx.Client(timeout=120, trust_env=False)

    def run(self, form_size: int) -> None:
        """Go all ways.

        Args:
            form_size: bytes of the file that is uploaded through the service.

        Raises:
            TimeoutError: it takes longer than it may.
        """
        declared = self._content.declaration()
        print(f"a file of {self._content.size / MIB:,.0f} MiB; memory is the service's")
        state = self._measured("PUT of the parts to S3", lambda: self._send(declared))
        self._measured("complete: read and verified", lambda: self._complete(state["id"]))
        document = self._document(state["id"])
        sha256 = declared["sha256_hash"]
        self._measured("GET of the signed URL", lambda: self._download(document, sha256))
        self._measured("batch-download as tar", lambda: self._tar(document, sha256))
        self._measured("batch-download as zip", lambda: self._zip(document, sha256))
        form = Content.of(form_size)
        self._measured("upload by form", lambda: self._form(form), form_size)

    def _measured(self, what: str, act: Callable[[], _Json], size: int | None = None) -> _Json:
        before = memory(self._pid, "VmRSS")
        forget_peak(self._pid)
        started = time.monotonic()
        result = act()
        seconds = time.monotonic() - started
        peak = memory(self._pid, "VmHWM")
        rate = (size or self._content.size) / MIB / seconds
        print(
            f"  {what:30} {seconds:7.1f} s {rate:6.0f} MiB/s   "
            f"VmRSS before {before / MIB:4.0f} MiB, VmHWM {peak / MIB:4.0f} MiB "
            f"({(peak - before) / MIB:+.0f})",
            flush=True,
        )
        return result

    def _send(self, declared: _Json) -> _Json:
        state = self._data(self._member.post("/files", json=declared))
        upload = state["upload"]
        with ThreadPoolExecutor(_SENDERS) as senders:
            while True:
                list(senders.map(self._put, upload["parts"]))
                if upload["next_after"] is None:
                    return state
                where = {"after": upload["next_after"]}
                following = self._member.get(f"/files/{state['id']}", params=where)
                upload = self._data(following)["upload"]

    def _put(self, part: _Json) -> None:
        self._check_time()
        body = self._content.slice(part["offset"], part["size"])
        self._stranger.put(part["url"], content=body).raise_for_status()

    def _complete(self, file_id: str) -> _Json:
        """Repeat while it times out, as the protocol says."""
        while True:
            self._check_time()
            try:
                answer = self._member.post(f"/files/{file_id}/complete", timeout=60)
            except httpx.ReadTimeout:
                continue
            return self._data(answer)

    def _document(self, file_id: str) -> str:
        document = str(uuid4())
        change = {
            "op": "create",
            "change_id": str(uuid4()),
            "id": document,
            "filename": "large.bin",
            "mime_type": _TYPE,
            "file_id": file_id,
        }
        data = self._data(self._member.post("/documents/sync", json={"changes": [change]}))
        assert data["results"][0]["status"] == "applied", data
        return document

    def _download(self, document: str, sha256: str) -> _Json:
        url = self._data(self._member.get(f"/documents/{document}/download-url"))["download_url"]
        hasher = hashlib.sha256()
        with self._stranger.stream("GET", url) as answer:
            answer.raise_for_status()
            for piece in answer.iter_raw(MIB):
                self._check_time()
                hasher.update(piece)
        assert hasher.hexdigest() == sha256
        return {}

    def _tar(self, document: str, sha256: str) -> _Json:
        with self._archive(document, "tar") as answer:
            stream = cast("IO[bytes]", _Readable(answer.iter_raw(MIB)))
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                names = []
                for member in archive:
                    names.append(member.name)
                    if member.name == "large.bin":
                        content = archive.extractfile(member)
                        assert content is not None
                        assert self._sha256(content) == sha256
        assert names == ["large.bin", "manifest.json"]
        return {}

    def _zip(self, document: str, sha256: str) -> _Json:
        with tempfile.TemporaryFile() as file:
            with self._archive(document, "zip") as answer:
                for piece in answer.iter_raw(MIB):
                    self._check_time()
                    file.write(piece)
            with zipfile.ZipFile(file) as archive:
                assert archive.namelist() == ["large.bin", "manifest.json"]
                with archive.open("large.bin") as content:
                    assert self._sha256(content) == sha256
        return {}

    def _archive(self, document: str, format_: str) -> Any:  # noqa: ANN401 - a context manager
        body = {"document_ids": [document], "format": format_}
        return self._member.stream("POST", "/documents/batch-download", json=body)

    def _form(self, content: Content) -> _Json:
        answer = self._member.post(
            "/documents",
            content=_form(content),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        file: _Json = answer.json()["data"]["document"]["file"]
        assert file["sha256_hash"] == content.declaration()["sha256_hash"]
        return file

    def _sha256(self, content: IO[bytes]) -> str:
        hasher = hashlib.sha256()
        while piece := content.read(MIB):
            self._check_time()
            hasher.update(piece)
        return hasher.hexdigest()

    def _data(self, answer: httpx.Response) -> _Json:
        answer.raise_for_status()
        data: _Json = answer.json()["data"]
        return data

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise TimeoutError("the large file takes longer than --seconds")


class _Readable:
    """Pieces as a file that cannot seek."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size and (piece := next(self._pieces, b"")):
            self._held += piece
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _form(content: Content) -> Iterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="form.bin"\r\n\r\n'
    yield from content.blocks()
    yield b"\r\n--b--\r\n"
