"""Every file of a folder held against the server, byte by byte."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from syncapi.client.folder.disk.disk import Disk, MovedOn
from syncapi.client.folder.model import Base, Scan
from syncapi.client.folder.reports import Checked
from syncapi.client.transfer.contents import FileContent, digest_of
from syncapi.protocol.documents import Document


def check_files(
    disk: Disk, found: Scan, entries: Iterable[Base], documents: Mapping[UUID, Document]
) -> Iterator[Checked]:
    """Read every file that is kept in step, whatever the index says of it. Blocks.

    Yields:
        One for each document that should be here and each file without a document, by path.
    """
    paths = {entry.id: entry.path for entry in entries if entry.id in documents}
    here = {file.path for file in found.files}
    for document_id, document in documents.items():
        path = paths.get(document_id)
        if path is None:
            yield Checked("/".join(filter(None, (document.folder, document.filename))), "missing")
        else:
            yield _held_against(disk, path, document)
    for path in sorted(here - set(paths.values())):
        yield Checked(path, "extra")


def _held_against(disk: Disk, path: str, document: Document) -> Checked:
    try:
        digest = digest_of(FileContent(disk.place(path)))
    except (FileNotFoundError, MovedOn):
        return Checked(path, "missing")
    except OSError:
        return Checked(path, "unreadable")
    is_same = digest.sha256_hash == document.file.sha256_hash
    return Checked(path, "ok" if is_same else "different")
