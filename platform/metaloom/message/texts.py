"""Texts with slots, filled and made plain: one function per thought, no record, no clock."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from string import Formatter

from metaloom.base.text import Text

UNSEEN = "-"
SUBJECT_MAX = 200
BODY_MAX = 4_000
SLOT_MAX = 500


def slots_in(*texts: Text | None) -> frozenset[str]:
    """The slots that the texts have in any language: ``{customer.name}`` is the slot ``customer.name``."""
    said = [words for text in texts if text is not None for words in (text.zh, text.en)]
    return frozenset(name for words in said for _, name, _, _ in Formatter().parse(words) if name)


def fill(text: Text, words: Mapping[str, str], locale: str) -> str:
    """The text in ``locale`` with its slots filled; a slot without words (the receiver may not read it) shows ``-``."""
    parts = []
    for before, name, _, _ in Formatter().parse(text.say(locale)):
        parts.append(before)
        if name is not None:
            parts.append(words.get(name, UNSEEN)[:SLOT_MAX])
    return "".join(parts)


def one_line(text: str, limit: int = SUBJECT_MAX) -> str:
    """Printable, on one line, at most ``limit`` characters: fit for a subject or a mail header."""
    return _cut(" ".join("".join(" " if _is_odd(c) or c in "\n\t" else c for c in text).split()), limit)


def plain(text: str, limit: int = BODY_MAX) -> str:
    """Printable lines without control or direction characters, at most ``limit`` characters."""
    lines = ("".join(c for c in line if not _is_odd(c)).rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return _cut("\n".join(lines).strip("\n"), limit)


def _is_odd(character: str) -> bool:
    """Control, format (bidi overrides, zero width), private and unassigned characters; line breaks and tabs are none here."""
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
