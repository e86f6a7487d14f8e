"""The language of an answer: Accept-Language first, then the person's own, then Chinese."""

from __future__ import annotations

from flask import g, request

from metaloom.base.text import DEFAULT_LOCALE, LOCALES, Text


def locale() -> str:
    """``zh`` or ``en``."""
    wanted = request.accept_languages
    if wanted:
        found = next((tag.split("-")[0].lower() for tag, _ in wanted if tag.split("-")[0].lower() in LOCALES), None)
        if found:
            return found
    person = getattr(g.get("metaloom"), "__dict__", {}).get("plan")
    own = person.actor.locale if person is not None else DEFAULT_LOCALE
    return own if own in LOCALES else DEFAULT_LOCALE


def say(text: Text | None) -> str | None:
    """A label in that language."""
    return None if text is None else text.say(locale())
