"""Drawn signatures for tests: PNG pictures of any shape, right and wrong."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from itertools import count

HEAD = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int = 120, height: int = 40, *, colour: int = 6, lines: int = 3, dot: bool = False, filters: int = 0, depth: int = 8, interlace: int = 0,
        more: bytes = b"", behind: bytes = b"", raw: bytes | None = None) -> bytes:
    """A sheet with ``lines`` long strokes (or one dot), each line of it under the filter ``filters``."""
    step = CHANNELS[colour]
    blank = {0: b"\xff", 2: b"\xff\xff\xff", 3: b"\xff", 4: b"\xff\xff", 6: b"\xff\xff\xff\xff"}[colour]
    inked = {0: b"\x10", 2: b"\x10\x10\x30", 3: b"\x10", 4: b"\x10\xff", 6: b"\x10\x10\x30\xff"}[colour]
    rows = []
    for y in range(height if raw is None else 0):
        stroke = 10 <= y < 10 + lines and not dot
        rows.append(b"".join(inked if stroke and 5 <= x < width - 5 or dot and 10 <= y < 13 and 10 <= x < 13 else blank for x in range(width)))
    packed = zlib.compress(raw if raw is not None else b"".join(filtered(rows, step, filters)))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return HEAD + chunk(b"IHDR", head) + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"") + behind


def filtered(rows: list[bytes], step: int, kind: int) -> list[bytes]:
    """The lines as the format writes them under one of its five filters."""
    found, above = [], bytes(len(rows[0])) if rows else b""
    for row in rows:
        left, corner = bytes(step) + row, bytes(step) + above
        guesses = (bytes(len(row)), left, above, map(_half, left, above), map(_nearest, left, above, corner))[kind]
        found.append(bytes([kind, *((value - guess) & 255 for value, guess in zip(row, guesses, strict=False))]))
        above = row
    return found


def _half(left: int, up: int) -> int:
    return (left + up) // 2


def _nearest(left: int, up: int, corner: int) -> int:
    """Of the three the one that is nearest to where they lead."""
    return min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))[2]


def text(picture: bytes) -> str:
    """As a drawing pad sends it."""
    return "data:image/png;base64," + b64encode(picture).decode()


def fresh() -> bytes:
    """A picture that no test has drawn yet: the same one is taken once."""
    return png(120 + next(_drawn))


def signed() -> str:
    return text(fresh())


_drawn = count(1)
