"""Writes through the API: uploads, renames, new content, deletions."""

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from soak.reader import ProtocolError
from soak.tally import Budget, Tally
from soak.world import Member, World

_OUTCOMES = {
    HTTPStatus.OK: "done",
    HTTPStatus.CREATED: "done",
    HTTPStatus.NOT_FOUND: "gone already",
    HTTPStatus.BAD_REQUEST: "content gone already",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.PRECONDITION_FAILED: "changed meanwhile",
    HTTPStatus.SERVICE_UNAVAILABLE: "503",
}
_REMEMBERED = 40
_STRATEGIES = ("reject", "last_write_wins", "first_write_wins", "merge")


@dataclass(slots=True)
class ApiWriter:
    """A member who works with documents.

    Attributes:
        declares: whether files are sent straight to S3, too.
    """

    world: World
    member: Member
    rng: random.Random
    tally: Tally
    declares: bool = True
    _known: list[dict[str, Any]] = field(default_factory=list)

    async def write(self, budget: Budget) -> None:
        """Act until the budget is spent; a service that is gone is asked again."""
        acts = {
            self.upload: 5,
            self.rename: 6,
            self.change_content: 2,
            self.delete: 3,
            self.erase: 1,
            self.push: 6,
            self.look: 3,
            self.declare: 3 if self.declares else 0,
        }
        while budget.take():
            act = self.rng.choices(list(acts), list(acts.values()))[0]
            try:
                await act()
            except httpx.TransportError:
                self.tally("api: connection lost")
                await budget.pause(0.1)
            await asyncio.sleep(self.rng.random() ** 2 * 0.05)

    async def upload(self) -> None:
        """Some of the bytes are those of another document."""
        content = f"content {self.rng.randint(0, 200)}".encode()
        files = {"file": (f"file {self.rng.random()}.txt", content, "text/plain")}
        answer = await self._send("upload", "POST", "/documents", files=files)
        if answer.status_code == HTTPStatus.CREATED:
            self._remember(answer.json()["data"]["document"])

    async def declare(self) -> None:
        """Send bytes straight to S3, and refer to them a moment later, whatever is erased."""
        content = f"content {self.rng.randint(0, 200)}".encode()
        declared = {
            "sha256_hash": hashlib.sha256(content).hexdigest(),
            "md5_hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "file_size": len(content),
            "mime_type": "text/plain",
        }
        answer = await self._send("declaration", "POST", "/files", json=declared)
        if not answer.is_success:
            return
        found = answer.json()["data"]
        if found["status"] == "pending":
            found = await self._complete(found["id"], found["upload"], content)
        if found is not None:
            await asyncio.sleep(self.rng.random() * 0.3)
            await self._refer(found["file"]["id"])

    async def _complete(
        self, id_: str, upload: dict[str, Any], content: bytes
    ) -> dict[str, Any] | None:
        """The answer that has the file; None where it takes another try from the start."""
        for part in upload["parts"]:
            piece = content[part["offset"] : part["offset"] + part["size"]]
            sent = await self.world.http.put(part["url"], content=piece, headers=upload["headers"])
            if not sent.is_success:
                return None
        answer = await self._send("completion", "POST", f"/files/{id_}/complete")
        data: dict[str, Any] | None = answer.json()["data"] if answer.is_success else None
        return data

    async def _refer(self, file_id: str) -> None:
        """The file was promised by an answer a moment ago: a document with it must be made."""
        change = {
            "op": "create",
            "change_id": self._id(),
            "id": self._id(),
            "filename": "declared.txt",
            "mime_type": "text/plain",
            "file_id": file_id,
        }
        answer = await self._send("push", "POST", "/documents/sync", json={"changes": [change]})
        if answer.status_code == HTTPStatus.OK:
            result = answer.json()["data"]["results"][0]
            self.tally(f"api: a document with a declared file, {result['status']}")
            if result["status"] != "applied":
                what = f"a file that an answer promised is gone: {result}"
                raise ProtocolError("api writer", what, self.member.exchanges)

    async def look(self) -> None:
        """See what others wrote."""
        query = {"per_page": 20, "page": self.rng.randint(1, 3)}
        answer = await self._send("list", "GET", "/documents", params=query)
        if answer.status_code == HTTPStatus.OK:
            for document in answer.json()["data"]["documents"]:
                self._remember(document)

    async def rename(self) -> None:
        await self._change("rename", {"filename": f"renamed {self.rng.random()}.txt"})

    async def change_content(self) -> None:
        if self._known:
            file = self.rng.choice(self._known)["file"]
            await self._change("new content", {"file_id": file["id"]})

    async def delete(self) -> None:
        await self._delete("soft deletion", {})

    async def erase(self) -> None:
        await self._delete("hard deletion", {"hard": "true"})

    async def push(self) -> None:
        """Some changes at once, now and then a second time."""
        known = {document["id"]: document for document in self._known}
        if not known:
            return
        chosen = self.rng.sample(list(known.values()), self.rng.randint(1, min(6, len(known))))
        body = {
            "changes": [self._pushed(document) for document in chosen],
            "mode": self.rng.choice(("partial", "partial", "atomic")),
            "on_conflict": self.rng.choice(_STRATEGIES),
        }
        for _ in range(self.rng.choice((1, 1, 2))):
            answer = await self._send("push", "POST", "/documents/sync", json=body)
            if answer.status_code == HTTPStatus.OK:
                self._take_in(answer.json()["data"]["results"])

    def _pushed(self, document: dict[str, Any]) -> dict[str, str]:
        """A change of the document, or a new one with its content."""
        name, file_id = f"pushed {self.rng.random()}.txt", document["file"]["id"]
        common = {"change_id": self._id(), "id": document["id"]}
        based = {**common, "base_updated_at": document["updated_at"]}
        new = {"filename": name, "mime_type": "text/plain", "file_id": file_id}
        return self.rng.choice(
            (
                {**common, **new, "op": "create", "id": self._id()},
                {**based, "op": "update", "filename": name},
                {**based, "op": "update", "mime_type": "text/csv", "file_id": file_id},
                {**based, "op": "delete"},
            )
        )

    def _take_in(self, results: list[dict[str, Any]]) -> None:
        for result in results:
            self.tally(f"api: pushed change, {result['status']}")
            if result["status"] == "applied" and not result["document"]["is_deleted"]:
                self._remember(result["document"])

    def _id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    async def _change(self, name: str, changes: dict[str, str]) -> None:
        if not self._known:
            return
        path = f"/documents/{self.rng.choice(self._known)['id']}"
        headers = {}
        if self.rng.random() < 0.3:
            read = await self._send("read", "GET", path)
            if read.status_code == HTTPStatus.OK:
                headers = {"If-Match": read.headers["etag"]}
        await self._send(name, "PATCH", path, json=changes, headers=headers)

    async def _delete(self, name: str, query: dict[str, str]) -> None:
        if self._known:
            document = self._known.pop(self.rng.randrange(len(self._known)))
            await self._send(name, "DELETE", f"/documents/{document['id']}", params=query)

    def _remember(self, document: dict[str, Any]) -> None:
        self._known.append(document)
        if len(self._known) > _REMEMBERED:
            self._known.pop(self.rng.randrange(_REMEMBERED))

    async def _send(
        self, name: str, method: str, path: str, **arguments: object
    ) -> httpx.Response:
        answer = await self.world.request(self.member, method, path, **arguments)  # type: ignore[arg-type]  # passed through
        outcome = _OUTCOMES.get(HTTPStatus(answer.status_code))
        if outcome is None or (outcome == "503" and "retry-after" not in answer.headers):
            what = f"{name}: {answer.status_code} {answer.text}"
            raise ProtocolError("api writer", what, self.member.exchanges)
        self.tally(f"api: {name}, {outcome}")
        return answer
