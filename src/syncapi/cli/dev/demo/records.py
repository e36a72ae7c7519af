"""Tables, messages, archives and sounds: bytes that programs exchange."""

import csv
import gzip
import io
import json
import math
import struct
import tarfile
import wave
import zipfile
from collections.abc import Mapping
from datetime import date, timedelta
from random import Random

_CITIES = (
    "Athens",
    "Berlin",
    "Cairo",
    "Delhi",
    "Kyiv",
    "Lagos",
    "Lima",
    "Osaka",
    "Quito",
    "Turin",
)
_EPOCH = (2026, 1, 1, 0, 0, 0)


def sales_csv(rows: int, seed: int) -> bytes:
    """RFC 4180, with a header."""
    random = Random(seed)  # noqa: S311 - the same data each time
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(("day", "city", "order", "quantity", "unit_price"))
    for number in range(rows):
        day = date(2026, 1, 1) + timedelta(days=number * 365 // rows)
        price = f"{random.randint(100, 99_999) / 100:.2f}"
        writer.writerow(
            (day, random.choice(_CITIES), f"A{number:06}", random.randint(1, 40), price)
        )
    return output.getvalue().encode()


def inventory_json(items: int, seed: int) -> bytes:
    random = Random(seed)  # noqa: S311 - the same data each time
    stock = [
        {"sku": f"SKU-{i:05}", "city": random.choice(_CITIES), "count": random.randint(0, 500)}
        for i in range(items)
    ]
    return json.dumps({"as_of": "2026-01-01", "items": stock}, indent=1).encode()


def cities_geojson() -> bytes:
    places = {"Athens": (23.73, 37.98), "Lagos": (3.38, 6.52), "Osaka": (135.50, 34.69)}
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Point", "coordinates": list(place)},
        }
        for name, place in places.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def server_log(lines: int, seed: int) -> bytes:
    random = Random(seed)  # noqa: S311 - the same data each time
    return b"".join(
        b"2026-01-01T%02d:%02d:%02dZ %s GET /orders/%d %d ms\n"
        % (
            *(i // 3600 % 24, i // 60 % 60, i % 60),
            random.choice((b"INFO", b"INFO", b"WARN")),
            *(random.randint(1, 99_999), random.randint(1, 900)),
        )
        for i in range(lines)
    )


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zipped(files: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return output.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return output.getvalue()


def tone(seconds: float, hertz: float) -> bytes:
    """A sine as WAV: 16 bits, mono, 22,050 samples a second."""
    rate = 22_050
    samples = (
        round(12_000 * math.sin(2 * math.pi * hertz * i / rate))
        for i in range(int(seconds * rate))
    )
    output = io.BytesIO()
    with wave.open(output, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return output.getvalue()


def calendar() -> bytes:
    """One event (RFC 5545)."""
    lines = (
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//syncapi//demo//EN", "BEGIN:VEVENT"),
        *("UID:review@demo", "DTSTAMP:20260101T000000Z", "DTSTART:20260302T090000Z"),
        *("SUMMARY:Quarterly review", "END:VEVENT", "END:VCALENDAR", ""),
    )
    return "\r\n".join(lines).encode()


def contact() -> bytes:
    """One card (RFC 6350)."""
    lines = (
        *("BEGIN:VCARD", "VERSION:4.0", "FN:Zoë Müller", "ORG:Demo"),
        *("EMAIL:zoe@example.com", "END:VCARD", ""),
    )
    return "\r\n".join(lines).encode()


def message() -> bytes:
    """A mail (RFC 5322)."""
    return (
        b"From: zoe@example.com\r\nTo: team@example.com\r\nSubject: Minutes\r\n"
        b"Date: Thu, 1 Jan 2026 09:00:00 +0000\r\nMessage-ID: <1@demo>\r\n\r\n"
        b"The minutes are in the shared folder.\r\n"
    )
