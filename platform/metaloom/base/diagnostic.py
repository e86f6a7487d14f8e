"""One finding about metadata, and the error that carries many of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """``code`` is stable (``ML-REF-001``); ``message`` says found and expected; ``hint`` says the cure.

    ``severity`` is ``error`` (refuses the catalog) or ``warning`` (published, shown).
    ``address`` names the definition concerned, e.g. ``sales.customer/field/name``.
    """

    code: str
    message: str
    position: Position = NOWHERE
    hint: str = ""
    severity: str = "error"
    address: str = ""

    def __str__(self) -> str:
        line = f"{self.position} {self.code} {self.message}"
        return f"{line} — {self.hint}" if self.hint else line


class MetadataRefused(Exception):
    """Metadata was not accepted; ``diagnostics`` holds every finding, in file order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: (d.position, d.code)))
        super().__init__("\n".join(str(d) for d in self.diagnostics))
