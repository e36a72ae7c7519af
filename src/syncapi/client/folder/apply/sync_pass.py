"""What one round of a sync has seen and done so far."""

import errno
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from syncapi.client.errors import ApiError, SyncError
from syncapi.client.folder.disk.disk import Identity, MovedOn
from syncapi.client.folder.model import LocalFile
from syncapi.client.folder.plan.actions import Action, Plan
from syncapi.client.folder.reports import Done, Failure, MirrorReport, Progress
from syncapi.protocol.documents import Document
from syncapi.protocol.push import ChangeProblem


@dataclass(slots=True)
class SyncPass:
    """A plan on its way.

    Attributes:
        files: what is on the disk, by path, as it was seen and has been moved since.
        documents: what lives on the server, by id, as was pulled.
        rules_hold: asks whether what is ignored is still what the plan was made by.
        blocked: documents of which an action was not done; their later ones must not be, either.
        is_raced: something changed under the plan, so that another round is due.
    """

    plan: Plan
    files: dict[str, LocalFile]
    documents: Mapping[UUID, Document]
    report: MirrorReport
    progress: Progress
    rules_hold: Callable[[], bool] = lambda: True
    blocked: set[UUID] = field(default_factory=set)
    is_raced: bool = False
    _by_content: dict[str, list[str]] | None = None

    def identity(self, path: str) -> Identity:
        """Of a file as it was seen.

        Raises:
            MovedOn: it was not there.
        """
        file = self.files.get(path)
        if file is None:
            raise MovedOn(f"{path} is not there")
        return Identity.of(file)

    def having(self, sha256: str) -> list[str]:
        """Paths of files that had these bytes when they were seen."""
        if self._by_content is None:
            self._by_content = defaultdict(list)
            for file in self.files.values():
                self._by_content[file.sha256].append(file.path)
        return list(self._by_content.get(sha256, ()))

    def arrived(self, file: LocalFile) -> None:
        """Note a file that was fetched."""
        self.files[file.path] = file
        if self._by_content is not None:
            self._by_content[file.sha256].append(file.path)

    def moved(self, source: str, target: str) -> None:
        self.files[target] = replace(self.files.pop(source), path=target)

    def admits(self, action: Action) -> bool:
        return action.id is None or action.id not in self.blocked

    def done(self, action: Action, path: str, detail: str = "") -> None:
        entry = Done(action.name, path, detail)
        self.report.done.append(entry)
        self.progress.file_done(entry)

    def postpone(self, action: Action) -> None:
        """It is for the next round."""
        self.is_raced = True
        self._block(action)

    def failed(self, action: Action, path: str, error: Exception) -> None:
        self._note(action, failure_of(action.name, path, error))

    def refused(self, action: Action, path: str, problem: ChangeProblem) -> None:
        """The server took the push, but not this change of it."""
        what = action.name
        self._note(action, Failure(path, what, problem.detail, code=problem.code))

    def _note(self, action: Action, failure: Failure) -> None:
        self._block(action)
        self.report.failures.append(failure)
        self.progress.failed(failure)

    def _block(self, action: Action) -> None:
        if action.id is not None:
            self.blocked.add(action.id)


def failure_of(what: str, path: str, error: Exception) -> Failure:
    """Tell a person what did not work."""
    if isinstance(error, OSError):
        return Failure(path, what, error.strerror or str(error), _WAYS_OUT.get(error.errno or 0))
    hint = error.hint if isinstance(error, SyncError) else None
    if isinstance(error, ApiError):
        return Failure(path, what, str(error), hint, error.request_id, error.code)
    return Failure(path, what, str(error), hint)


_WAYS_OUT: Mapping[int, str] = {
    errno.EACCES: "give yourself the right to write there, then sync again",
    errno.ENOSPC: "make room on the disk, then sync again",
    errno.EROFS: "mount the disk for writing, then sync again",
    errno.ENAMETOOLONG: "give the document a shorter name, then sync again",
}
