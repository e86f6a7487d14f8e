"""What an uploaded file is: read from its bytes, and held against its name. Nothing in it is run, unpacked or drawn here."""

from __future__ import annotations

import io
import re
import zipfile
from typing import BinaryIO

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.base.packed import Swollen, measure

HEAD = 4096
UNPACKED_MAX = 200 * 1024 * 1024
_SIGNATURES = (
    (re.compile(rb"%PDF-"), "application/pdf", ("pdf",)),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png", ("png",)),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg", ("jpg", "jpeg")),
    (re.compile(rb"GIF8[79]a"), "image/gif", ("gif",)),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp", ("webp",)),
    (re.compile(rb"PK\x03\x04"), "application/zip", ("docx", "xlsx", "pptx", "zip")),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "application/x-ole-storage", ("doc", "xls", "ppt")),
)
# By extension: the type, and the part that makes an archive a paper of that kind.
_OFFICE = {
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "word/document.xml"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xl/workbook.xml"),
    "pptx": ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "ppt/presentation.xml"),
}
_CARD = "[Content_Types].xml"
_MACROS = re.compile(r"(?i)(^|/)(vbaproject|vbadata|activex\d*)\.(bin|xml)$")
_PLAIN = {"txt": "text/plain", "csv": "text/csv"}
# What a page, a script or a program begins with; a text of people begins otherwise.
_NO_TEXT = re.compile(rb"(?i)\s*<\s*[!?a-z/]|#!|MZ[\x80-\xff\x00-\x1f]|\x7fELF")


def kind_of(name: str, body: bytes | BinaryIO) -> str:
    """The media type by content, when it fits the extension. Invalid: pages, scripts, programs, papers with macros, archives that
    unpack to more than 200 MB or cannot be read, and whatever its name does not say."""
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    stream.seek(0)
    head = stream.read(HEAD)
    try:
        return _kind(name.rsplit(".", 1)[-1].lower() if "." in name else "", head, stream)
    finally:
        stream.seek(0)


def _kind(extension: str, head: bytes, stream: BinaryIO) -> str:
    for signature, media_type, extensions in _SIGNATURES:
        if signature.match(head):
            if extension not in extensions:
                raise _refused()
            if media_type == "application/zip":
                return _archive(extension, stream)
            return media_type
    if extension in _PLAIN and b"\x00" not in head and not _NO_TEXT.match(head.removeprefix(b"\xef\xbb\xbf")):
        return _PLAIN[extension]
    raise _refused()


def _archive(extension: str, stream: BinaryIO) -> str:
    try:
        parts = measure(stream, UNPACKED_MAX)
    except (Swollen, zipfile.BadZipFile) as wrong:
        raise _refused() from wrong
    if extension not in _OFFICE:
        return "application/zip"
    media_type, needed = _OFFICE[extension]
    if not {_CARD, needed} <= parts or any(_MACROS.search(part) for part in parts):
        raise _refused()
    return media_type


def _refused() -> Invalid:
    return Invalid([Problem("", message("file.type"))])
