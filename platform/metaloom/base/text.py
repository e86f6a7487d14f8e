"""A sentence or word shown to people, in the languages the platform speaks."""

from __future__ import annotations

from dataclasses import dataclass

LOCALES = ("zh", "en")
DEFAULT_LOCALE = "zh"


@dataclass(frozen=True, slots=True)
class Text:
    """One label in both languages; ``zh`` (简体中文) is the one people see first."""

    zh: str
    en: str

    def say(self, locale: str = DEFAULT_LOCALE) -> str:
        """The words in ``locale``; an unknown locale falls back to Chinese."""
        return self.en if locale == "en" else self.zh
