"""Run a server so that it cannot outlive its parent, and not as root where it refuses that.

Run as a script, by path and with ``-I -S``, between fork and exec: a function that the parent
runs there itself (`preexec_fn`) may deadlock in a process with threads. Imports nothing of ours.

    die_with_parent.py PARENT_PID STOP_SIGNAL UID:GID|- COMMAND [ARGUMENT…]
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: str, stop_signal: str, owner: str, *command: str) -> None:
    """Become `command`; it gets `stop_signal` when the thread that started it ends."""
    if owner != "-":
        uid, gid = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid: a change of credentials clears the setting.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(stop_signal))
    if os.getppid() == int(parent):  # else the parent ended before the leash was on
        os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
