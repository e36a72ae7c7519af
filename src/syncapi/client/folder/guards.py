"""Deletions on a scale that nobody means: stop and ask before them.

An unmounted disk looks like an emptied folder, and a mistake on the server like a wish to delete
everything here.
"""

from dataclasses import dataclass

from syncapi.client.errors import SafetyStop
from syncapi.client.folder.actions import Delete, Plan, Trash

_ALLOW = "If that is meant, repeat with --allow-mass-delete."


@dataclass(frozen=True, slots=True)
class Guards:
    """How many deletions are believed without asking: either bound lets them pass.

    Attributes:
        share: of the files that are kept in step, between 0 and 1.
        number: of files.
    """

    share: float = 0.25
    number: int = 10

    def check(self, plan: Plan, *, files_here: int, files_known: int) -> None:
        """Hold a plan against the bounds.

        Args:
            plan: what would be done.
            files_here: in the folder now.
            files_known: that were in step after the last sync.

        Raises:
            SafetyStop: it would delete too much, on either side.
        """
        there = sum(isinstance(action, Delete) for action in plan.actions)
        here = sum(isinstance(action, Trash) for action in plan.actions)
        if there and not files_here:
            raise SafetyStop(
                f"The folder is empty, but {files_known} files were in step with the server. "
                "Nothing was deleted there. Is a disk not mounted?",
                hint=f"{_ALLOW} To fetch the files again, repeat with --restore-missing.",
            )
        if self._is_mass(there, files_known):
            raise SafetyStop(
                f"{there} of {files_known} files are gone from the folder. Nothing was deleted "
                "on the server.",
                hint=_ALLOW,
            )
        if self._is_mass(here, files_known):
            raise SafetyStop(
                f"{here} of {files_known} files are gone from the server. Nothing was deleted "
                "in the folder.",
                hint=f"{_ALLOW} They go to the trash of this machine first.",
            )

    def _is_mass(self, deletions: int, known: int) -> bool:
        return deletions > self.number and deletions > self.share * known
