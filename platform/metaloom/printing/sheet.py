"""A paper before it is drawn: words only, in the language of its reader, masked already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metaloom.base.messages import register

CELLS_MAX = 40_000                  # of the tables of one paper, rows × columns

register({
    "print.missing": ("〓 处为本字体没有的字符，请以系统中的记录为准。", "〓 stands for a character that the font lacks; the record itself has it."),
})


@dataclass(frozen=True, slots=True)
class Line:
    """A label with its words. ``wide``: it takes the whole width."""

    label: str
    words: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with words, ``columns`` pairs beside each other."""

    label: str
    lines: tuple[Line, ...]
    columns: int = 2


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a column; numbers stand at the right."""

    label: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below heads that every page repeats; ``totals`` (one text for each column) is the last row."""

    label: str
    heads: tuple[Head, ...]
    rows: Sequence[Sequence[str]]
    totals: tuple[str, ...] = ()
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Paragraphs, one a line. ``headings``: a line that begins with one of these is bold."""

    label: str
    text: str
    headings: tuple[str, ...] = ()
    large: bool = False


@dataclass(frozen=True, slots=True)
class Signs:
    """Places to sign: whose, and the word before the day."""

    label: str
    places: tuple[str, ...]
    day: str = ""


Block = Facts | Table | Words | Signs


@dataclass(frozen=True, slots=True)
class Sheet:
    """``pages``: how a page is numbered, with ``{page}`` and ``{pages}``. ``left`` and ``right`` stand at the head of each page,
    ``note`` at its foot above ``printed`` and the page number."""

    title: str
    blocks: tuple[Block, ...]
    left: str = ""
    right: str = ""
    note: str = ""
    printed: str = ""
    pages: str = "{page} / {pages}"
    paper: str = "A4"
    landscape: bool = False
    author: str = ""
    missing: str = ""
    """Said at the end where the font lacks a character of the text, which then stands as 〓."""
