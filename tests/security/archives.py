"""Archives and workbooks as a sender of attacks makes them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from functools import cache

TYPES = ('<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
         '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
         'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
         'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>')
RELATIONS = ('<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
             'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>')
BOOK = ('<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>')
NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


def workbook(rows: str, head: str = "", sheet: str = "worksheets/sheet1.xml") -> bytes:
    """A workbook whose one sheet holds these rows; ``head`` comes before its root."""
    return archive({
        "[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS.format(kind="officeDocument", target="xl/workbook.xml"), "xl/workbook.xml": BOOK,
        "xl/_rels/workbook.xml.rels": RELATIONS.format(kind="worksheet", target=sheet),
        f"xl/{sheet}": f"{head}<worksheet {NAMESPACE}><sheetData>{rows}</sheetData></worksheet>"})


@cache
def swelling(megabytes: int, name: str = "word/document.xml") -> bytes:
    """Zeros that take a thousandth of their size."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", TYPES)
        with made.open(name, "w", force_zip64=True) as part:
            for _ in range(megabytes):
                part.write(b"0" * 1024 * 1024)
    return out.getvalue()


def that_lies(body: bytes) -> bytes:
    """The same archive, whose directory and headers say that every part unpacks to ten bytes."""
    changed = bytearray(body)
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = changed.find(mark)
        while at >= 0:
            struct.pack_into("<I", changed, at + place, 10)
            at = changed.find(mark, at + 4)
    return bytes(changed)


def one_part_many_times(times: int) -> bytes:
    """A directory whose entries all point at the same packed megabytes."""
    with zipfile.ZipFile(io.BytesIO(swelling(4, "x"))) as single:
        body, end = single.fp.getvalue(), single.start_dir  # type: ignore[union-attr]
    data, directory = body[:end], body[end:]
    entries, tail = directory[:directory.find(b"PK\x05\x06")], bytearray(directory[directory.find(b"PK\x05\x06"):])
    entry = entries[entries.find(b"PK\x01\x02", 4):]
    struct.pack_into("<HHI", tail, 8, times, times, len(entry) * times)
    return data + entry * times + bytes(tail)


def beyond_every_place(body: bytes) -> bytes:
    """The same archive, whose first entry lies, by the long form of numbers, further away than any file can be read."""
    start = body.find(b"PK\x01\x02")
    name, extra = struct.unpack_from("<HH", body, start + 28)
    long = struct.pack("<HHQ", 1, 8, 2**63)
    entry = bytearray(body[start:start + 46 + name] + long + body[start + 46 + name:])
    struct.pack_into("<H", entry, 30, extra + len(long))
    struct.pack_into("<I", entry, 42, 0xFFFFFFFF)
    end = entry.rfind(b"PK\x05\x06")
    struct.pack_into("<I", entry, end + 12, end)
    return body[:start] + bytes(entry)


def before_its_beginning(body: bytes) -> bytes:
    """The same archive, whose end says that the directory begins a thousand million bytes further on than it does."""
    changed = bytearray(body)
    end = changed.rfind(b"PK\x05\x06")
    struct.pack_into("<I", changed, end + 16, 10**9)
    return bytes(changed)
