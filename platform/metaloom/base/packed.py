"""What a zip archive really unpacks to, measured part by part without keeping any of it.

The directory of an archive is written by whoever sends it: it may say that gigabytes are ten bytes, or let many entries point at the
same packed bytes. So each entry is unpacked into nothing, as a reader would that follows the directory, and counted.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

CHUNK = 1024 * 1024
ENTRIES_MAX = 5_000
_LOCAL = struct.Struct("<4s22xHH")


class Swollen(Exception):
    """The archive unpacks to more than is allowed, or holds too many parts."""


def measure(body: BinaryIO, most: int, see: Callable[[str], Callable[[bytes], None]] | None = None) -> frozenset[str]:
    """The names of the parts. ``most``: bytes that all parts together may unpack to. ``see``: asked with each part's name for what is
    told its unpacked bytes, at most ``CHUNK`` at a time and b"" at their end.

    Swollen when there is more; zipfile.BadZipFile when it is no archive, is damaged, encrypted, packed in an unusual way, or
    names a part outside of itself.
    """
    try:
        return _measured(body, most, see)
    except (OverflowError, OSError, struct.error, ValueError, NotImplementedError, EOFError) as broken:  # a directory may name any place and size
        raise zipfile.BadZipFile(str(broken)) from broken


def _measured(body: BinaryIO, most: int, see: Callable[[str], Callable[[bytes], None]] | None) -> frozenset[str]:
    with zipfile.ZipFile(body) as archive:
        entries = archive.infolist()
        if len(entries) > ENTRIES_MAX:
            raise Swollen
        left = most
        for entry in entries:
            if entry.filename.startswith(("/", "\\")) or ".." in entry.filename.replace("\\", "/").split("/") or ":" in entry.filename:
                raise zipfile.BadZipFile("a part outside of the archive")
            tell = see(entry.filename) if see is not None else None
            left -= _unpacked(body, entry, left, tell)
            if tell is not None:
                tell(b"")
    return frozenset(entry.filename for entry in entries)


def _unpacked(body: BinaryIO, entry: zipfile.ZipInfo, most: int, tell: Callable[[bytes], None] | None) -> int:
    """How many bytes the part has, each told and forgotten; Swollen as soon as there are more than ``most``."""
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("encrypted, or packed in an unusual way")
    body.seek(entry.header_offset)
    head = body.read(_LOCAL.size)
    if len(head) != _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("no part where the directory says")
    _, name, extra = _LOCAL.unpack(head)
    body.seek(name + extra, 1)
    packed, size = entry.compress_size, 0
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    while packed > 0 and (chunk := body.read(min(packed, CHUNK))):
        packed -= len(chunk)
        while chunk:
            try:
                piece = unpack.decompress(chunk, CHUNK) if unpack else chunk
            except zlib.error as broken:
                raise zipfile.BadZipFile(str(broken)) from broken
            chunk = unpack.unconsumed_tail if unpack else b""
            size += len(piece)
            if size > most:
                raise Swollen
            if tell is not None and piece:
                tell(piece)
            if unpack and unpack.eof:
                break
    return size
