"""Files without a byte are files too, and get in nobody's way."""

import hashlib

from fixtures.service import TestTenant
from fixtures.uploads import upload


async def test_what_follows_an_empty_file_is_kept(tenant: TestTenant) -> None:
    """Some S3 servers lose the next request on a connection that sent an empty body."""
    empty = await upload(tenant.user, b"", "empty.txt")
    assert empty["file"]["file_size"] == 0
    for number in range(3):
        content = f"not empty {number}".encode()
        document = await upload(tenant.user, content, "full.txt")
        assert document["file"]["sha256_hash"] == hashlib.sha256(content).hexdigest()
        await upload(tenant.user, b"", "again.txt")
