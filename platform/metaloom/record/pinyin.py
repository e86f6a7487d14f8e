"""The pinyin companion of a Chinese name: ``张三`` is found by ``zhangsan``, ``zhang san``, ``zs`` (M10)."""

from __future__ import annotations

import re
from functools import lru_cache

LENGTH_MAX = 480
_TYPED = re.compile(r"[a-z0-9]+", re.ASCII)


@lru_cache(maxsize=20_000)
def companion(text: str) -> str:
    """What is stored beside ``text``: all syllables joined, then the initials."""
    # not at the top: its table of phrases is a third of the start of a process that writes no name
    from pypinyin import Style, lazy_pinyin

    whole = "".join(lazy_pinyin(text, style=Style.NORMAL)).lower()
    initials = "".join(lazy_pinyin(text, style=Style.FIRST_LETTER)).lower()
    return f"{whole} {initials}"[:LENGTH_MAX]


def query(text: str) -> str:
    """What to look for in companions when someone typed ``text``; empty when it is no pinyin."""
    joined = re.sub(r"[\s'’]+", "", text.lower())
    return joined if _TYPED.fullmatch(joined) else ""
