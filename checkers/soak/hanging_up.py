"""Requests whose answer is never read, because the client closes its connection first."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from soak.stories import Json

When = Literal["answered", "sent", "half sent"]

_NO_LINGER = struct.pack("ii", 1, 0)  # close resets the connection
_PATIENCE_SECONDS = 60


async def post_and_hang_up(
    url: str, headers: Mapping[str, str], body: Json, *, when: When
) -> None:
    """Send a request and close: once the answer has begun to arrive, at once, or midway.

    Raises:
        OSError: the server is not there, or does not answer.
    """
    request = _request(url, headers, json.dumps(body).encode())
    if when == "half sent":
        request = request[: -len(request) // 3]
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        await loop.sock_connect(connection, (parts.hostname, parts.port))
        await loop.sock_sendall(connection, request)
        if when == "answered":
            await asyncio.wait_for(_readable(loop, connection), _PATIENCE_SECONDS)


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Wait until there is something to read, and leave it unread."""
    arrived = asyncio.Event()
    loop.add_reader(connection, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(connection)


def _request(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
