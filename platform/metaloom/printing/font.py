"""The font of all paper: Noto Sans SC, one weight, 30,890 characters (all of 通用规范汉字表). Each file holds the characters it uses."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from metaloom.storage.settings import templates_root

NAME = "NotoSansSC"
FILE = "static/vendor/noto-sans-sc/NotoSansSC-Regular.ttf"
GETA = "〓"
"""What stands where the font has no character: the mark that typesetters use."""
_BEYOND = re.compile(r"<([0-9A-F]{5,6})>")
_SPOKEN_NOWHERE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Font(TTFont):  # type: ignore[misc]
    """The library writes characters beyond U+FFFF into the table of meanings as they are; the format wants UTF-16."""

    def addObjects(self, doc: Any) -> None:  # noqa: N802 - the library's name
        names = [self.getSubsetInternalName(number, doc)[1:] for number in range(len(self.state[doc].subsets))]
        super().addObjects(doc)
        fonts = doc.idToObject["BasicFonts"].dict
        for name in names:
            stream = doc.idToObject[fonts[name].ToUnicode.name]
            stream.content = _BEYOND.sub(lambda found: f"<{chr(int(found[1], 16)).encode('utf-16-be').hex().upper()}>", stream.content)


@cache
def font() -> Font:
    """The font, read once for each process (0.2 s)."""
    made = Font(NAME, str(templates_root() / FILE))
    pdfmetrics.registerFont(made)
    return made


def printable(text: str) -> str:
    """``text`` in characters that the font has: no control and direction marks, no lone accents; anything else it lacks is ``GETA``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join([MARKS[mark] for mark in unicodedata.normalize("NFC", text)])


class Marks(dict[str, str]):
    """Character → what is printed of it, decided once."""

    def __missing__(self, mark: str) -> str:
        self[mark] = found = self._found(mark)
        return found

    @staticmethod
    def _found(mark: str) -> str:
        if mark == "\n":
            return mark
        if mark in "\t\u00a0\u2002\u2003\u2009\u202f":
            return " "
        kind = unicodedata.category(mark)
        if kind in _SPOKEN_NOWHERE:
            return ""
        if ord(mark) in font().face.charToGlyph:
            return mark
        return "" if kind in ("Mn", "Me", "Mc") else GETA


MARKS = Marks()


class Widths(dict[str, float]):
    """Character → its width in ems, looked up once."""

    def __missing__(self, mark: str) -> float:
        face = font().face
        found: float = face.charWidths.get(ord(mark), face.defaultWidth) / 1000
        self[mark] = found
        return found


WIDTHS = Widths()


def width(text: str, size: float) -> float:
    """How wide ``text`` stands at ``size`` points."""
    return sum([WIDTHS[mark] for mark in text]) * size
