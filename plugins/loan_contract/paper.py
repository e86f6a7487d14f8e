"""Text to PDF, in one small module: A4 pages of Chinese text with the standard font STSong-Light of the Adobe-GB1 collection, which
viewers bring (it is not embedded). The same text gives the same bytes, so a contract's digest can be found again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

WIDTH, HEIGHT, MARGIN = 595, 842, 64
SIZE, LEADING, TITLE = 11.5, 20, 18
LINE = (WIDTH - 2 * MARGIN) / SIZE
"""How many full-width characters stand in a line."""
NEVER_FIRST = "，。；：！？、）》”’…％%"


def pdf(title: str, body: str) -> bytes:
    """The document. Each line of ``body`` is a paragraph, an empty one a gap; a line that begins with 第…条 is a heading."""
    lines = list(_lines(body))
    first, rest = int((HEIGHT - 2 * MARGIN - 60) / LEADING), int((HEIGHT - 2 * MARGIN) / LEADING)
    pages = [lines[:first], *(lines[start:start + rest] for start in range(first, len(lines), rest))]
    return _file([_page(title if number == 0 else "", page, number + 1, len(pages)) for number, page in enumerate(pages)])


def _lines(body: str) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a heading), wrapped; no line begins with a closing mark."""
    for paragraph in body.strip().splitlines():
        text = unicodedata.normalize("NFC", paragraph.strip())
        heading = text.startswith("第") and "条" in text[:6]
        taken, wide = "", 0.0
        for mark in text:
            space = _width(mark)
            if wide + space > LINE and mark not in NEVER_FIRST:
                yield taken, heading
                taken, wide = "", 0.0
            taken, wide = taken + mark, wide + space
        yield taken, heading


def _width(mark: str) -> float:
    return 1.0 if unicodedata.east_asian_width(mark) in "WFA" else 0.5


def _page(title: str, lines: list[tuple[str, bool]], number: int, count: int) -> bytes:
    said, top = [], HEIGHT - MARGIN - SIZE
    if title:
        said.append(_text(title, TITLE, (WIDTH - TITLE * sum(map(_width, title))) / 2, HEIGHT - MARGIN - TITLE, True))
        top -= 60
    for line, (text, heading) in enumerate(lines):
        if text:
            said.append(_text(text, SIZE, MARGIN, top - line * LEADING, heading))
    foot = f"第 {number} 页 共 {count} 页"
    said.append(_text(foot, 9, (WIDTH - 9 * sum(map(_width, foot))) / 2, MARGIN / 2, False))
    return "\n".join(said).encode("ascii")


def _text(text: str, size: float, x: float, y: float, bold: bool) -> str:
    """One run of text; bold is drawn as outline and fill."""
    return f"BT /F1 {size} Tf {'2 Tr 0.3 w' if bold else '0 Tr'} {x:.2f} {y:.2f} Td <{text.encode('utf-16-be').hex()}> Tj ET"


def _file(pages: list[bytes]) -> bytes:
    kids = " ".join(f"{6 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light-UniGB-UTF16-H /Encoding /UniGB-UTF16-H /DescendantFonts [4 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >>"
        b" /FontDescriptor 5 0 R /DW 1000 /W [1 95 500] >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880"
        b" /StemV 93 >>",
    ]
    for number, content in enumerate(pages):
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Resources << /Font << /F1 3 0 R >> >>"
                       f" /Contents {7 + 2 * number} 0 R >>".encode())
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    out, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)
