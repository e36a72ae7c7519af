"""What an examination finds."""

import enum
from dataclasses import dataclass
from typing import Self

from syncapi.cli.exit_codes import ExitCode, explanation_of


class Level(enum.Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: was looked at.
        said: what was found.
        hint: what to do about it.
        exit_code: of the verb, if this is a failure.
    """

    level: Level
    what: str
    said: str
    hint: str | None = None
    exit_code: ExitCode = ExitCode.FAILED

    @classmethod
    def ok(cls, what: str, said: str) -> Self:
        return cls(Level.OK, what, said)

    @classmethod
    def warning(cls, what: str, said: str, hint: str) -> Self:
        return cls(Level.WARN, what, said, hint)

    @classmethod
    def of_failure(cls, what: str, error: Exception) -> Self:
        """What the error says.

        Raises:
            Exception: the error itself, if it is a fault of the program.
        """
        explanation = explanation_of(error)
        if explanation is None:
            raise error
        request = f" (request id {explanation.request_id})" if explanation.request_id else ""
        said = f"{explanation.message}{request}"
        return cls(Level.FAIL, what, said, explanation.hint, explanation.exit_code)
