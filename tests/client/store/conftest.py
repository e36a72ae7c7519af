"""The store that these tests are about; elsewhere `store` is the bucket of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncapi.client.store.keys import Key
from syncapi.client.store.store import Store


@pytest.fixture
def store(tmp_path: Path, key: Key | None) -> Iterator[Store]:
    """A new store, plain and encrypted."""
    with Store.open(tmp_path / "store", key=key) as opened:
        yield opened
