"""A small HTTP/1.1 client for measuring: keep-alive, no parsing beyond what a ratio needs."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    headers: dict[str, str]
    body: bytes | None = None

    def encode(self) -> bytes:
        parts = urlsplit(self.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = {"Host": parts.netloc, **self.headers}
        if self.body is not None:
            head |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        method = "GET" if self.body is None else "POST"
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (self.body or b"")


class Connection:
    """One connection that is used again and again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=2**24))

    async def send(self, encoded: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(encoded)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = 0
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 : head.index(b"\r\n", at)])
        body = await self._reader.readexactly(length) if length else b""
        return int(head[9:12]), body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def throughput(request: Request, status: int, *, clients: int, seconds: float) -> float:
    """Answers per second with so many clients, each waiting for its answer."""
    encoded = request.encode()
    until = time.perf_counter() + seconds
    connections = [await Connection.open(request.url) for _ in range(clients)]

    async def client(connection: Connection) -> int:
        answered = 0
        while time.perf_counter() < until:
            got, _ = await connection.send(encoded)
            assert got == status, got
            answered += 1
        return answered

    started = time.perf_counter()
    answered = sum(await asyncio.gather(*map(client, connections)))
    elapsed = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return answered / elapsed


async def in_turn(url: str, requests: list[list[bytes]]) -> float:
    """Seconds until each client has sent its requests, one after the other, and been answered."""
    connections = [await Connection.open(url) for _ in requests]

    async def client(connection: Connection, mine: list[bytes]) -> None:
        for request in mine:
            status, body = await connection.send(request)
            assert status == 200, body

    started = time.perf_counter()
    await asyncio.gather(*map(client, connections, requests))
    elapsed = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return elapsed
