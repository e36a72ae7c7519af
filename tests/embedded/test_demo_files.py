"""The demo's files are what their names say."""

import csv
import gzip
import io
import json
import struct
import tarfile
import unicodedata
import wave
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Iterator

import pytest

from syncapi.cli.dev.demo.catalogue import DemoFile, demo_files

FILES = {file.filename: file for file in demo_files()}


def of_type(mime_type: str) -> list[DemoFile]:
    found = [file for file in FILES.values() if file.mime_type == mime_type]
    assert found
    return found


def test_there_are_a_few_dozen_with_names_of_their_own() -> None:
    files = list(demo_files())
    assert 36 <= len(files) <= 60
    assert len({file.filename for file in files}) == len(files)
    assert sum(len(file.content) > 1_000_000 for file in files) >= 3


def test_names_and_texts_are_in_several_scripts() -> None:
    words = {unicodedata.name(character).split()[0] for character in "".join(FILES)}
    scripts = {"LATIN", "GREEK", "CYRILLIC", "CJK", "HANGUL", "DEVANAGARI", "ARABIC", "HEBREW"}
    assert scripts <= words
    for file in of_type("text/plain"):
        file.content.decode()


def test_they_are_the_same_each_time() -> None:
    assert {file.filename: file for file in demo_files()} == FILES


@pytest.mark.parametrize("file", of_type("image/png"), ids=lambda file: file.filename)
def test_a_png_decodes(file: DemoFile) -> None:
    chunks = dict(_chunks(file.content))
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    stream = io.BytesIO(png)
    assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    while head := stream.read(8):
        length, kind = struct.unpack(">I4s", head)
        content = stream.read(length)
        assert struct.unpack(">I", stream.read(4))[0] == zlib.crc32(kind + content)
        yield kind, content


@pytest.mark.parametrize("file", of_type("application/pdf"), ids=lambda file: file.filename)
def test_the_cross_references_of_a_pdf_lead_to_its_objects(file: DemoFile) -> None:
    pdf = file.content
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    lines = pdf[start:].splitlines()
    assert lines[0] == b"xref"
    count = int(lines[1].split()[1])
    for number, entry in enumerate(lines[3 : 2 + count], start=1):
        assert pdf[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)


def test_archives_open_and_hold_the_letters() -> None:
    with zipfile.ZipFile(io.BytesIO(FILES["letters.zip"].content)) as archive:
        assert archive.testzip() is None
        zipped = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(FILES["letters.tar"].content)) as archive:
        tarred = {name: _member(archive, name) for name in archive.getnames()}
    assert zipped == tarred
    assert all(FILES[name].content == content for name, content in zipped.items())
    assert gzip.decompress(FILES["server.log.gz"].content) == FILES["server.log"].content


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


def test_tables_parse() -> None:
    for file in of_type("text/csv"):
        rows = list(csv.reader(io.StringIO(file.content.decode(), newline="")))
        assert {len(row) for row in rows} == {5}
    assert len(json.loads(FILES["inventory.json"].content)["items"]) == 2_500
    assert json.loads(FILES["cities.geojson"].content)["type"] == "FeatureCollection"


def test_sound_and_drawings_parse() -> None:
    with wave.open(io.BytesIO(FILES["tone.wav"].content)) as sound:
        assert sound.getnframes() == 20 * sound.getframerate()
    assert ET.fromstring(FILES["chart.svg"].content).tag.endswith("svg")
    bmp = FILES["swatch.bmp"].content
    assert struct.unpack_from("<I", bmp, 2)[0] == len(bmp)
