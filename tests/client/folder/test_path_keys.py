"""Keys of records that stand for paths: all processes that have the store open have the same."""

from pathlib import Path

import pytest

from syncapi.client.folder.memory.ledger import PathKeys
from syncapi.client.store.store import Store


def test_two_processes_that_begin_at_once_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path) as one, Store.open(tmp_path) as other:
        quicker: list[PathKeys] = []
        begin = one.transaction

        def be_late() -> object:
            quicker.append(PathKeys(other))
            return begin()

        monkeypatch.setattr(one, "transaction", be_late)
        slower = PathKeys(one)
        assert [keys.of("a") for keys in quicker] == [slower.of("a")]
        assert PathKeys(other).of("a") == slower.of("a")
