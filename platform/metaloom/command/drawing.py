"""A signature drawn by hand (手写签名): the picture that comes with a decision, believed only after it was read.

A picture is what a drawing pad makes: a PNG of eight bits a channel, not interlaced, with nothing in it besides its pixels, and with a
line that is seen on white paper. Everything else is refused before the case is locked, so that whoever sends rubbish costs nobody anything.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message, register

FIELD = "signature"
PREFIX = "data:image/png;base64,"
BYTES_MAX, PIXELS_MAX, SIDE_MAX = 96 * 1024, 150_000, 2_000         # a pad has 600 × 180 pixels on every screen
TEXT_MAX = len(PREFIX) + (BYTES_MAX + 2) // 3 * 4
INK_MIN, SPAN_MIN, CONTRAST = 60, 24, 64
"""A line has so many pixels unlike the paper, and is so long in one direction: a dot or a grain of dust is none."""

_HEAD = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}          # by the colour type of the format: grey, colour, both with transparency
_ASKED = {0: (0,), 2: (1,), 4: (0, 1), 6: (1, 3)}       # the channel in which ink shows (grey or green), and how dense it is
_HARMLESS = frozenset({b"IHDR", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"pHYs", b"cHRM", b"sBIT"})
_COMMON = {b"gAMA": (45455).to_bytes(4), b"cHRM": b"".join(one.to_bytes(4) for one in (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))}
"""What these parts say of a screen's common colours; with anything else a screen might show the ink as paper."""

register({
    "drawing.not_png": ("手写签名须为签名板生成的 PNG 图片。", "A drawn signature is a PNG picture as the drawing pad makes it."),
    "drawing.too_large": ("手写签名图片过大：最多 {kilobytes} KB、{pixels} 像素。",
                          "The drawn signature is too large: at most {kilobytes} KB and {pixels} pixels."),
    "drawing.blank": ("签名为空，请在签名框内手写签名。", "The signature is blank; please sign by hand in the box."),
    "drawing.used": ("该签名图片已用于其他审批任务，请重新手写签名。", "This drawing was used for another task; please sign by hand again."),
})


@dataclass(frozen=True)
class Drawing:
    """The bytes of a drawn signature and their SHA-256, by which the log names them."""

    png: bytes
    digest: str


class _NoPicture(ValueError):
    """The bytes are no picture of the kind that is taken."""


def read_drawing(text: str) -> Drawing:
    """The drawing out of base64, with or without ``data:image/png;base64,``. Invalid for what is no PNG, too large or blank."""
    if len(text) > TEXT_MAX:
        raise _refused("too_large", kilobytes=BYTES_MAX // 1024, pixels=PIXELS_MAX)
    try:
        png = b64decode(text.removeprefix(PREFIX), validate=True)
        width, height, colour, packed = _opened(png)
        if width * height > PIXELS_MAX or max(width, height) > SIDE_MAX:
            raise _refused("too_large", kilobytes=BYTES_MAX // 1024, pixels=PIXELS_MAX)
        blank = not _has_line(_unpacked(packed, height * (width * _CHANNELS[colour] + 1)), width, height, colour)
    except (_NoPicture, binascii.Error, zlib.error, ValueError) as wrong:
        raise _refused("not_png") from wrong
    if blank:
        raise _refused("blank")
    return Drawing(png, sha256(png).hexdigest())


def _refused(why: str, **slots: object) -> Invalid:
    return Invalid([Problem(FIELD, message(f"drawing.{why}", **slots))])


# -- the file ----------------------------------------------------------------------------------------------------------------


def _opened(png: bytes) -> tuple[int, int, int, bytes]:
    """Width, height, colour type and the packed pixels."""
    chunks = list(_chunks(png))
    kinds = [kind for kind, _ in chunks]
    head = chunks[0][1] if chunks else b""
    if not chunks or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or kinds.count(b"IHDR") != 1 or len(head) != 13 or not set(kinds) <= _HARMLESS:
        raise _NoPicture
    if any(body != _COMMON[kind] for kind, body in chunks if kind in _COMMON):
        raise _NoPicture
    width, height, (depth, colour, packing, filtering, interlace) = int.from_bytes(head[:4]), int.from_bytes(head[4:8]), tuple(head[8:])
    if not width or not height or depth != 8 or colour not in _CHANNELS or packing or filtering or interlace:
        raise _NoPicture
    return width, height, colour, b"".join(body for kind, body in chunks if kind == b"IDAT")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of the file up to its very end; nothing may stand behind the last one."""
    at = len(_HEAD)
    if not png.startswith(_HEAD):
        raise _NoPicture
    while at < len(png):
        size, kind = int.from_bytes(png[at:at + 4]), png[at + 4:at + 8]
        body, check = png[at + 8:at + 8 + size], png[at + 8 + size:at + 12 + size]
        if len(kind) != 4 or len(body) != size or len(check) != 4 or zlib.crc32(kind + body) != int.from_bytes(check):
            raise _NoPicture
        at += 12 + size
        yield kind, body
        if kind == b"IEND" and at != len(png):
            raise _NoPicture


def _unpacked(packed: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes: a picture that would unpack to more is none."""
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(packed, size + 1)
    if len(raw) != size or unpacking.unconsumed_tail or not unpacking.eof:
        raise _NoPicture
    return raw


# -- the pixels --------------------------------------------------------------------------------------------------------------


def _has_line(raw: bytes, width: int, height: int, colour: int) -> bool:
    """Whether enough pixels differ from the corner, and far enough apart, as the picture is seen on white paper."""
    ink, *dense = [_channel(raw, width, height, _CHANNELS[colour], channel) for channel in _ASKED[colour]]
    return _is_line(map(_on_paper, ink, *dense) if dense else ink)


def _on_paper(line: bytes, dense: bytes) -> bytes:
    """What is seen of a line's ink: all of it where it is dense, white paper where it is not."""
    if dense.count(255) == len(dense):
        return line
    return bytes([255 - (255 - value) * density // 255 for value, density in zip(line, dense, strict=True)])


def _is_line(lines: Iterator[bytes]) -> bool:
    paper, ink, left, right, rows = -1, 0, -1, -1, [0, 0]
    for y, line in enumerate(lines):
        paper = line[0] if paper < 0 else paper
        if line.count(paper) == len(line):
            continue
        found = [x for x, value in enumerate(line) if abs(value - paper) > CONTRAST]
        if found:
            rows = [y, y] if not ink else [rows[0], y]
            left, right = min(found[0], left if ink else found[0]), max(found[-1], right)
            ink += len(found)
    return ink >= INK_MIN and max(right - left, rows[1] - rows[0]) >= SPAN_MIN


def _channel(raw: bytes, width: int, height: int, step: int, channel: int) -> Iterator[bytes]:
    """One channel of every line as it was before the format's filters: each channel is filtered by itself."""
    above: Sequence[int] = bytes(width)
    long = width * step + 1
    for start in range(0, height * long, long):
        kind, line = raw[start], raw[start + 1 + channel:start + long:step]
        above = _unfiltered(kind, line, above)
        yield above


def _unfiltered(kind: int, line: bytes, above: Sequence[int]) -> bytes:
    if kind == 0:
        return line
    if kind == 1:
        sums: Iterator[int] = accumulate(line, lambda left, found: (left + found) & 255)
        return bytes(sums)
    if kind == 2:
        return bytes([(found + up) & 255 for found, up in zip(line, above, strict=True)])
    if kind not in (3, 4):
        raise _NoPicture
    done, left, corner = bytearray(), 0, 0
    for found, up in zip(line, above, strict=True):
        left = (found + ((left + up) // 2 if kind == 3 else _nearest(left, up, corner))) & 255
        corner = up
        done.append(left)
    return bytes(done)


def _nearest(left: int, up: int, corner: int) -> int:
    """Paeth's guess: whichever neighbour is nearest to left + up - corner."""
    guess = left + up - corner
    off_left, off_up, off_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    return left if off_left <= off_up and off_left <= off_corner else up if off_up <= off_corner else corner


__all__ = ["BYTES_MAX", "FIELD", "PREFIX", "TEXT_MAX", "Drawing", "read_drawing"]
