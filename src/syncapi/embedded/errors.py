"""What goes wrong with embedded servers."""

from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot run; the text says why and what to do."""


class EndedEarlyError(EmbeddedError):
    """The server's process ended before it was ready."""


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, to put under an error."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
