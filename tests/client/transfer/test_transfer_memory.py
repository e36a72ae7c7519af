"""The memory of a program that moves files which are larger than what it may use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.memory import memory
from fixtures.service import TestTenant
from syncapi.server.domain.access import Role

MIB = 1024**2
_SIZE = 200 * MIB
_ALLOWED = 48 * MIB

_SCRIPT = """
import json
import os
import sys
from pathlib import Path
from uuid import UUID

sys.path.insert(0, sys.argv.pop())
import pytest

from fixtures.memory import forget_peak, memory

from syncapi.client import BlockingClient

def grown(work):
    forget_peak(os.getpid())
    before = memory(os.getpid())
    result = work()
    return result, memory(os.getpid(), "VmHWM") - before

url, tenant, token, folder = sys.argv[1:]
source, copy = Path(folder, "source"), Path(folder, "copy")
with BlockingClient(url, UUID(tenant), token, timeout=120) as client:
    small = client.upload(b"warm", "warm.txt")
    client.download(small.id, Path(folder, "warm"))
    document, by_upload = grown(lambda: client.upload(source))
    _, by_download = grown(lambda: client.download(document.id, copy))
    _, by_form = grown(lambda: client.upload_document(source, "form"))
print(json.dumps([by_upload, by_download, by_form]))
"""


@pytest.mark.slow
def test_it_stays_flat_with_a_file_of_200_mebibytes(
    service_url: str, tenant: TestTenant, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    with source.open("wb") as stream:
        for number in range(_SIZE // MIB):
            stream.write(number.to_bytes(4, "big") * (MIB // 4))
    arguments = [service_url, str(tenant.id), tenant.tokens[Role.USER], str(tmp_path)]
    tests = str(Path(memory.__code__.co_filename).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments, tests], stdout=subprocess.PIPE, check=True
    )
    assert (tmp_path / "copy").stat().st_size == _SIZE
    by_upload, by_download, by_form = json.loads(done.stdout)
    assert by_upload < _ALLOWED
    assert by_download < _ALLOWED
    assert by_form < _ALLOWED
    print(
        "MiB, by upload, download and form:", by_upload // MIB, by_download // MIB, by_form // MIB
    )
