"""Text into lines: Chinese breaks anywhere but before closing and after opening marks (避头尾), words of letters stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metaloom.printing.font import WIDTHS, width

NEVER_FIRST = frozenset("，。；：！？、）》」』】〕”’…％%‰·—～,.;:!?)]}")
NEVER_LAST = frozenset("（《「『【〔“‘￥¥$([{")
_PIECES = re.compile(r"[A-Za-z0-9_@#&+\-*/\\.,:%'’]+|\s+|.", re.DOTALL)


def lines(text: str, size: float, room: float, most: int | None = None) -> list[str]:
    """The lines of ``text`` in ``room`` points; a line break of the text begins a new one. ``most``: the rest is cut with …"""
    if "\n" not in text and width(text, size) <= room:
        return [text]
    found: list[str] = []
    for paragraph in text.split("\n"):
        found += _paragraph(paragraph, room / size)
        if most is not None and len(found) > most:
            return [*found[:most - 1], found[most - 1][:-1] + "…"]
    return found


def _paragraph(text: str, room: float) -> list[str]:
    """Lines of one paragraph; ``room`` in ems."""
    found, taken, wide = [], "", 0.0
    for piece in _whole_pieces(text):
        space = sum([WIDTHS[mark] for mark in piece])
        if wide + space <= room:
            taken, wide = taken + piece, wide + space
            continue
        if taken.strip():
            found.append(taken.rstrip())
            taken, wide = "", 0.0
            piece = piece.lstrip(" ")
        for mark in piece:  # a word longer than the line is cut where the line ends
            space = WIDTHS[mark]
            if wide + space > room and taken:
                found.append(taken)
                taken, wide = "", 0.0
            taken, wide = taken + mark, wide + space
    return [*found, taken.rstrip()] if taken.strip() or not found else found


def longest_word(text: str) -> float:
    """The widest piece that must not be torn, in ems; at most sixteen."""
    pieces = (sum([WIDTHS[mark] for mark in piece]) for part in text.split("\n") for piece in _whole_pieces(part))
    return min(max(pieces, default=0.0), 16.0)


def _whole_pieces(text: str) -> Iterator[str]:
    """What must not be torn: a word, a character with the marks that cling to it."""
    held = ""
    for found in _PIECES.finditer(text):
        piece = found[0]
        if held and piece[0] not in NEVER_FIRST and held[-1] not in NEVER_LAST:
            yield held
            held = ""
        held += piece
        if len(held) > 40:
            yield held
            held = ""
    if held:
        yield held
