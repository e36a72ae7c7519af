"""PDF, written by hand: pages of text in a standard font, with a picture if wanted."""

import zlib
from collections.abc import Sequence

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf(pages: Sequence[Sequence[str]], picture: tuple[int, int, bytes] | None = None) -> bytes:
    """A PDF 1.4 file (ISO 32000).

    Args:
        pages: the lines of each page; characters of Windows-1252.
        picture: width, height and RGB bytes, shown on every page.
    """
    first_page = 5
    kids = b" ".join(b"%d 0 R" % (first_page + 2 * i) for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), kids),
        _FONT,
        _image(*picture) if picture else b"null",
    ]
    for i, lines in enumerate(pages):
        objects += [_page(first_page + 2 * i + 1), _stream(b"", _drawing(lines, picture))]
    return _file(objects)


def _page(content: int) -> bytes:
    resources = b"<< /Font << /F1 3 0 R >> /XObject << /I1 4 0 R >> >>"
    return (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
        b"/Resources %s /Contents %d 0 R >>" % (resources, content)
    )


def _drawing(lines: Sequence[str], picture: tuple[int, int, bytes] | None) -> bytes:
    text = b"BT /F1 11 Tf 15 TL 60 780 Td " + b" ".join(map(_line, lines)) + b" ET"
    return text + (b" q 475 0 0 300 60 60 cm /I1 Do Q" if picture else b"")


def _line(line: str) -> bytes:
    escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return b"(%s) Tj T*" % escaped.encode("cp1252")


def _image(width: int, height: int, rgb: bytes) -> bytes:
    entries = (
        b"/Type /XObject /Subtype /Image /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        b"/Filter /FlateDecode /Width %d /Height %d " % (width, height)
    )
    return _stream(entries, zlib.compress(rgb))


def _stream(entries: bytes, content: bytes) -> bytes:
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


def _file(objects: Sequence[bytes]) -> bytes:
    output = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(output))
        output += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(output)
    output += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    output += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(output) + trailer % (len(objects) + 1, start)
