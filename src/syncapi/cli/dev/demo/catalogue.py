"""What is in the demo tenant."""

from collections.abc import Iterator
from dataclasses import dataclass

from syncapi.cli.dev.demo import papers, pictures, records
from syncapi.cli.dev.demo.texts import TEXTS

_README = b"# Demo\n\nEvery file here is a real one.\n"


@dataclass(frozen=True, slots=True)
class DemoFile:
    filename: str
    mime_type: str
    content: bytes


def demo_files() -> Iterator[DemoFile]:
    """44 files, about 10 MB; each is made when its turn comes."""
    yield from _texts()
    yield from _papers()
    yield from _pictures()
    yield from _tables()
    yield from _others()


def _texts() -> Iterator[DemoFile]:
    for name, text in TEXTS.items():
        mime_type = "text/markdown" if name.endswith(".md") else "text/plain"
        yield DemoFile(name, mime_type, text.encode())
    yield DemoFile("README.md", "text/markdown", _README)
    yield DemoFile("empty.txt", "text/plain", b"")
    page = "<!doctype html><meta charset=utf-8><title>Demo</title><h1>Demo — 示例</h1>\n"
    yield DemoFile("index.html", "text/html", page.encode())


def _papers() -> Iterator[DemoFile]:
    for number in range(1, 7):
        lines = (f"Invoice 2026-{number:03}", "", f"Total: {number * 118.75:.2f} €", "Thank you.")
        yield DemoFile(f"{lines[0]}.pdf", "application/pdf", papers.pdf([lines]))
    photo = (640, 400, pictures.noise(640, 400, 3))
    chapters = [[f"Chapter {n}", *(f"Line {i} of {n}." for i in range(20))] for n in range(1, 31)]
    yield DemoFile("Annual report.pdf", "application/pdf", papers.pdf(chapters, photo))


def _pictures() -> Iterator[DemoFile]:
    png = pictures.png
    yield DemoFile("pixel.png", "image/png", png(1, 1, pictures.gradient))
    yield DemoFile("logo.png", "image/png", png(96, 96, pictures.gradient))
    yield DemoFile("weave.png", "image/png", png(480, 320, pictures.weave))
    yield DemoFile("photo 1.png", "image/png", pictures.noise_png(900, 600, 1))
    yield DemoFile("photo 2.png", "image/png", pictures.noise_png(1200, 900, 2))
    yield DemoFile("chart.svg", "image/svg+xml", pictures.svg_chart([40, 90, 130, 70, 180, 110]))
    yield DemoFile("swatch.bmp", "image/bmp", pictures.bmp(200, 120, (59, 110, 165)))


def _tables() -> Iterator[DemoFile]:
    yield DemoFile("sales 2026 Q1.csv", "text/csv", records.sales_csv(400, 1))
    yield DemoFile("sales 2026.csv", "text/csv", records.sales_csv(40_000, 2))
    yield DemoFile("inventory.json", "application/json", records.inventory_json(2_500, 3))
    yield DemoFile("cities.geojson", "application/geo+json", records.cities_geojson())
    log = records.server_log(30_000, 4)
    yield DemoFile("server.log", "text/plain", log)
    yield DemoFile("server.log.gz", "application/gzip", records.gzipped(log))


def _others() -> Iterator[DemoFile]:
    letters = {name: text.encode() for name, text in TEXTS.items()}
    yield DemoFile("letters.zip", "application/zip", records.zipped(letters))
    yield DemoFile("letters.tar", "application/x-tar", records.tarred(letters))
    yield DemoFile("tone.wav", "audio/wav", records.tone(20, 440))
    yield DemoFile("review.ics", "text/calendar", records.calendar())
    yield DemoFile("Zoë Müller.vcf", "text/vcard", records.contact())
    yield DemoFile("minutes.eml", "message/rfc822", records.message())
    # The same bytes again: stored once.
    yield DemoFile("copy of README.md", "text/markdown", _README)
