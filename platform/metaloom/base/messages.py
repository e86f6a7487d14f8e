"""What the platform says to people: codes here, words in the two languages beside them.

Each room registers its own sentences once at import (``register``); a sentence may hold ``{name}`` slots.
A slot filled with a :class:`~metaloom.base.text.Text` is shown in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from metaloom.base.text import DEFAULT_LOCALE, Text

_SENTENCES: dict[str, Text] = {}


def register(sentences: Mapping[str, tuple[str, str]]) -> None:
    """Add sentences ``{code: (zh, en)}``; a code said twice with other words is a programmer's error."""
    for code, (zh, en) in sentences.items():
        text = Text(zh, en)
        if _SENTENCES.setdefault(code, text) != text:
            raise AssertionError(f"message {code} is registered twice with different words")


def known_codes() -> frozenset[str]:
    """Every registered code; a test walks them in both languages."""
    return frozenset(_SENTENCES)


@dataclass(frozen=True)
class Message:
    """A sentence by code with its slots, or free words (``text``) that metadata supplied."""

    code: str
    slots: Mapping[str, object] = field(default_factory=dict)
    text: Text | None = None

    def say(self, locale: str = DEFAULT_LOCALE) -> str:
        words = self.text or _SENTENCES.get(self.code)
        if words is None:
            return self.code
        slots = {k: v.say(locale) if isinstance(v, (Text, Message)) else v for k, v in self.slots.items()}
        return _Filler().vformat(words.say(locale), (), slots)


class _Filler(Formatter):
    """Fills ``{name}`` and ``{link.name}`` by the whole name, never by attribute; an unknown slot stays as it is written."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[object, str]:
        return kwargs.get(field_name, "{" + field_name + "}"), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value)


def message(code: str, /, **slots: object) -> Message:
    """Short form of :class:`Message`."""
    return Message(code, slots)


def words(text: Text, /, **slots: object) -> Message:
    """A message whose words come from metadata (a rule's message, a check's message)."""
    return Message("metadata", slots, text)
