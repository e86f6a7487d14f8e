"""Words, instants and stretches of time as the reader of a page knows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from metaloom.web.current import Current, locale, site
from metaloom.web.i18n import translate


def t(key: str, **slots: object) -> str:
    """The words of ``key`` in the reader's language."""
    return translate(site().templates, locale(), key, **slots)


def moment(pinned: Current, at: datetime | None, *, seconds: bool = False) -> str:
    """An instant to the minute, or to the second, in the tenant's zone; empty for none."""
    return at.astimezone(pinned.zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M") if at is not None else ""


def age(since: datetime | str | None, until: datetime) -> str:
    """How long ago, in one unit: minutes, hours or days."""
    if since is None:
        return ""
    begun = datetime.fromisoformat(since) if isinstance(since, str) else since
    minutes = max(0, int((until - (begun if begun.tzinfo else begun.replace(tzinfo=UTC))).total_seconds() // 60))
    unit, number = ("minutes", minutes) if minutes < 60 else ("hours", minutes // 60) if minutes < 48 * 60 else ("days", minutes // 1440)
    return t(f"approval.age_{unit}", n=number)


def form_ids(values: Any) -> list[int]:
    """The numbers among what a form sent, each small enough for the database."""
    return [number for value in values if (number := whole(value)) is not None]


def whole(text: str, digits: int = 18) -> int | None:
    """The number that an address or a form gave, if it is one and small enough for the database."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None


def bracketed(words: str) -> str:
    """In brackets behind other words, as the language of the page sets them."""
    return f"（{words}）" if locale() == "zh" else f" ({words})"


def listed(parts: Iterable[str]) -> str:
    """One after another, as the language of the page sets them."""
    return ("、" if locale() == "zh" else ", ").join(parts)


def colon() -> str:
    """Between a word and what is said of it, as the language of the page sets it."""
    return "：" if locale() == "zh" else ": "
