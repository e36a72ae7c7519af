"""The examples of docs/client.md for a replica and a mirror run as they stand there."""

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest

from fixtures.checkout import CHECKOUT
from simulation.runs import Place
from syncapi.client import Client, MirrorOptions, Replica, Store, open_mirror

CLIENT = CHECKOUT / "docs" / "client.md"


def _example(heading: str) -> str:
    section = CLIENT.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return section.partition("```python\n")[2].partition("```")[0]


@pytest.mark.parametrize(
    ("heading", "outcome"),
    [("The replica", "result"), ("The mirror of a folder", "report")],
)
def test_it_runs(
    heading: str,
    outcome: str,
    own_place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents" / "report.txt").write_text("mine")
    body = f"async def run():\n{textwrap.indent(_example(heading), '    ')}    return {outcome}\n"
    names: dict[str, Any] = {
        "Client": Client,
        "MirrorOptions": MirrorOptions,
        "Path": Path,
        "Replica": Replica,
        "Store": Store,
        "open_mirror": open_mirror,
        "tenant_id": own_place.tenant_id,
        "token": own_place.token,
        "url": own_place.url,
    }
    exec(body, names)
    done = asyncio.run(names["run"]())
    assert done.errors == [] if outcome == "result" else done.counts == {"create": 1}
