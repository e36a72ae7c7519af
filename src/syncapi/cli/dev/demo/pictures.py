"""Pictures, drawn by arithmetic."""

import struct
import zlib
from collections.abc import Callable
from random import Random

Pixel = Callable[[int, int], tuple[int, int, int]]


def png(width: int, height: int, pixel: Pixel) -> bytes:
    """An RGB picture as PNG (RFC 2083); `pixel` gives the colour at (x, y)."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter
        for x in range(width):
            rows += bytes(pixel(x, y))
    return _png(width, height, bytes(rows))


def noise_png(width: int, height: int, seed: int) -> bytes:
    """A picture of noise, which no compression makes smaller."""
    row = width * 3
    pixels = noise(width, height, seed)
    rows = b"".join(b"\0" + pixels[y * row : (y + 1) * row] for y in range(height))
    return _png(width, height, rows)


def noise(width: int, height: int, seed: int) -> bytes:
    """The RGB bytes of a picture of noise."""
    return Random(seed).randbytes(width * 3 * height)  # noqa: S311 - the same data each time


def _png(width: int, height: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def gradient(x: int, y: int) -> tuple[int, int, int]:
    return x & 255, y & 255, (x + y) >> 1 & 255


def weave(x: int, y: int) -> tuple[int, int, int]:
    return (x * y >> 4) & 255, (x ^ y) & 255, (x * x + y * y >> 6) & 255


def svg_chart(values: list[int]) -> bytes:
    """Bars as SVG."""
    bars = "".join(
        f'<rect x="{20 * i}" y="{200 - value}" width="16" height="{value}" fill="#3b6ea5"/>'
        for i, value in enumerate(values)
    )
    size = f'width="{20 * len(values)}" height="200"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{bars}</svg>\n'.encode()


def bmp(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A plain area as uncompressed BMP."""
    red, green, blue = colour
    row = bytes((blue, green, red)) * width
    row += b"\0" * (-len(row) % 4)
    size = len(row) * height
    head = struct.pack("<2sIHHI", b"BM", 54 + size, 0, 0, 54)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 2835, 2835, 0, 0)
    return head + info + row * height
