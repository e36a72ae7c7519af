"""The memory of a process, as ``/proc`` tells it."""

import re
from pathlib import Path


def memory(pid: int, name: str) -> int:
    """Bytes: ``VmRSS`` in use now, ``VmHWM`` at most."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024


def forget_peak(pid: int) -> None:
    """Let ``VmHWM`` begin anew, from what is in use now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
