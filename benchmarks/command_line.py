"""The command line as a process of its own, with nothing of the machine's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from benchmarks.memory import memory
from benchmarks.setting import Setting

PROGRAM = (sys.executable, "-m", "syncapi")


def environment_of(setting: Setting, tenant: UUID, place: Path) -> dict[str, str]:
    """What the programs are told of the service and of its S3; their state lies in a folder."""
    s3 = setting.s3
    own = ("SYNCAPI_", "AWS_")  # rclone reads the latter too
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(own)},
        "SYNCAPI_URL": setting.url,
        "SYNCAPI_TENANT": str(tenant),
        "SYNCAPI_TOKEN": setting.token,
        "SYNCAPI_CONFIG_DIR": str(place / "config"),
        "SYNCAPI_STATE_DIR": str(place / "state"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENDPOINT": s3.s3_endpoint_url,
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": s3.s3_access_key_id,
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": s3.s3_secret_access_key,
        "RCLONE_CONFIG": str(place / "rclone.conf"),
    }


def first_sync(folder: Path) -> Iterable[list[str]]:
    """What is typed to have a folder kept in step."""
    yield [*PROGRAM, "login"]
    yield [*PROGRAM, "init", folder.name]
    yield [*PROGRAM, "sync", folder.name]


def peak_memory(environment: dict[str, str], place: Path, command: list[str]) -> int:
    """Run a command; the most bytes that it had in memory, as the system has counted them.

    Raises:
        RuntimeError: it failed.
    """
    with (place / "output").open("w+") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=place, stdout=output, stderr=subprocess.STDOUT
        )
        peak = 0
        while process.poll() is None:
            # The count goes with the process; a process that has ended has none.
            try:
                peak = max(peak, memory(process.pid, "VmHWM"))
            except (FileNotFoundError, IndexError):
                continue
            time.sleep(0.05)
        output.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command}: {output.read()[-2000:]}")
    return peak
