"""One finding about metadata, and the error that carries many of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """``code`` is stable (``ML-REF-001``); ``message`` says found and expected; ``hint`` says the cure.

    ``severity`` is ``error`` (refuses the catalog) or ``warning`` (published, shown).
    ``address`` names the definition concerned, e.g. ``sales.customer/field/name``. ``said`` gives message and hint in both
    languages, for the screens; files and terminals are answered in English.
    """

    code: str
    message: str
    position: Position = NOWHERE
    hint: str = ""
    severity: str = "error"
    address: str = ""
    zh: str = ""
    hint_zh: str = ""

    @property
    def said(self) -> tuple[Text, Text]:
        """Message and hint for people who read them on a screen."""
        return Text(self.zh or self.message, self.message), Text(self.hint_zh or self.hint, self.hint)

    def __str__(self) -> str:
        line = f"{self.position} {self.code} {self.message}"
        return f"{line} — {self.hint}" if self.hint else line


class MetadataRefused(Exception):
    """Metadata was not accepted; ``diagnostics`` holds every finding, in file order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: (d.position, d.code)))
        super().__init__("\n".join(str(d) for d in self.diagnostics))
