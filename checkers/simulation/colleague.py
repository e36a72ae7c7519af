"""Somebody who works on the server itself, in a web client say."""

import copy
import random
from collections.abc import Callable
from typing import Self
from uuid import UUID

from simulation.people import FOLDERS, NAMES, Contents
from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError
from syncapi.client.folder.ignore_rules import IGNORE_FILE
from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.protocol.push import CreateChange

HOSTILE = ("\u202egpj.exe", "zero\u200bwidth.txt")


class Colleague:
    """Changes documents through the API, each with what the server has.

    Attributes:
        erased: documents that were erased with their history.
        deleted: documents that were deleted and may be undeleted.
    """

    def __init__(
        self,
        client: Client,
        rng: random.Random,
        contents: Contents,
        make_id: Callable[[], UUID],
    ) -> None:
        self._client = client
        self._rng = rng
        self._contents = contents
        self._make_id = make_id
        self.deleted: list[UUID] = []
        self.erased: set[UUID] = set()

    def through(self, client: Client) -> Self:
        """The same one, who speaks to the server through another client."""
        other = copy.copy(self)
        other._client = client
        return other

    async def act(self, *, may_erase: bool = True) -> str:
        """Do something; say what."""
        found = (await self._client.documents(per_page=100)).documents
        # What makes its rules no text stops each device until a person mends it.
        changeable = [document for document in found if document.filename != IGNORE_FILE]
        documents = sorted(changeable, key=lambda document: document.id)
        acts = {
            self.create: 3,
            self.edit: 4,
            self.rename: 4,
            self.delete: 2,
            self.erase: int(may_erase),
            self.undelete: 1,
            self.retype: 1,
            self.go_back: 1,
        }
        act = self._rng.choices(list(acts), list(acts.values()))[0]
        if not documents:
            act = self.create
        return await act(documents)

    async def create(self, _documents: list[Document]) -> str:
        name = self._rng.choice((*NAMES, *NAMES, *HOSTILE))
        folder = self._rng.choice(FOLDERS)
        file = await self._client.upload(self._contents.new(), "unnamed", folder="elsewhere")
        await self._client.delete_document(file.id)
        change = CreateChange(
            op="create",
            change_id=self._make_id(),
            id=self._make_id(),
            folder=folder,
            filename=name,
            mime_type="text/plain",
            file_id=file.file.id,
        )
        await self._client.push([change])
        return f"server: create {folder}/{name}"

    async def edit(self, documents: list[Document]) -> str:
        document = self._rng.choice(documents)
        other = await self._client.upload(self._contents.new(), "unnamed", folder="elsewhere")
        await self._client.delete_document(other.id)
        await self._client.change_document(document.id, DocumentChanges(file_id=other.file.id))
        return f"server: edit {document.folder}/{document.filename}"

    async def edit_one(self, document_id: UUID) -> str:
        """Edit a document that may be gone by now."""
        try:
            return await self.edit([await self._client.document(document_id)])
        except ApiError as error:
            return f"server: edit {document_id}: {error.code}"

    async def rename(self, documents: list[Document]) -> str:
        document = self._rng.choice(documents)
        folder, name = self._rng.choice(FOLDERS), self._rng.choice(NAMES)
        changes = DocumentChanges(folder=folder, filename=name)
        await self._client.change_document(document.id, changes)
        return f"server: rename {document.folder}/{document.filename} to {folder}/{name}"

    async def retype(self, documents: list[Document]) -> str:
        document = self._rng.choice(documents)
        await self._client.change_document(document.id, DocumentChanges(mime_type="text/csv"))
        return f"server: retype {document.folder}/{document.filename}"

    async def go_back(self, documents: list[Document]) -> str:
        """Write an earlier version again."""
        document = self._rng.choice(documents)
        past = [version.updated_at async for version in self._client.versions(document.id)]
        await self._client.restore(document.id, self._rng.choice(past))
        return f"server: go back with {document.folder}/{document.filename}"

    async def delete(self, documents: list[Document]) -> str:
        document = self._rng.choice(documents)
        await self._client.delete_document(document.id)
        self.deleted.append(document.id)
        return f"server: delete {document.folder}/{document.filename}"

    async def erase(self, documents: list[Document]) -> str:
        document = self._rng.choice(documents)
        await self._client.delete_document(document.id, hard=True)
        self.erased.add(document.id)
        return f"server: erase {document.folder}/{document.filename}"

    async def undelete(self, _documents: list[Document]) -> str:
        if not self.deleted:
            return "server: nothing to undelete"
        document = self.deleted.pop(self._rng.randrange(len(self.deleted)))
        try:
            await self._client.restore(document)
        except ApiError as error:  # a device has made it anew meanwhile
            return f"server: undelete: {error.code}"
        return "server: undelete"
