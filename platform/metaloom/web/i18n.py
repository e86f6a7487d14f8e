"""Words of the screens: ``t('key')`` over ``templates/i18n/{zh,en}.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from metaloom.base.text import DEFAULT_LOCALE, LOCALES

JS_WORDS = ("loading", "no_results", "js.failed", "js.offline", "js.leave", "js.upload_failed", "js.remove", "js.copied", "js.too_many_selected",
            "js.selected", "js.no_way", "js.search_hint", "js.required", "js.retry", "close")


@cache
def words(templates: Path, locale: str) -> Mapping[str, str]:
    """All words of one language."""
    file = templates / "i18n" / f"{locale if locale in LOCALES else DEFAULT_LOCALE}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def translate(templates: Path, locale: str, key: str, **slots: object) -> str:
    """The words of ``key``; an unknown key shows itself (a test walks every key that is used)."""
    sentence = words(templates, locale).get(key, key)
    return sentence.format(**slots) if slots else sentence


@cache
def translator(templates: Path, locale: str) -> Callable[..., str]:
    """``translate`` in one language, for a page that asks two hundred times."""
    known = words(templates, locale)

    def t(key: str, **slots: object) -> str:
        sentence = known.get(key, key)
        return sentence.format(**slots) if slots else sentence

    return t


def script_words(templates: Path, locale: str) -> str:
    """The few words that the browser says by itself, as JSON for a data attribute."""
    known = words(templates, locale)
    return json.dumps({key: known.get(key, key) for key in JS_WORDS}, ensure_ascii=False)
