"""Regions of China by their codes of GB/T 2260: 省, 市, 区县.

``regions.json`` is made by ``templates/static/build`` and is the file that the browser's picker reads: names by codes of
two (province), four (city) and six (county) digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

BETWEEN = " / "

_CODE = re.compile(r"[1-9][0-9]{5}", re.ASCII)
_GROUPS = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})  # stand between a province and its counties, and name no city


def is_region(code: str) -> bool:
    """Whether ``code`` has six digits and names a province (440000), a city (440300) or a county (440305)."""
    return _CODE.fullmatch(code) is not None and significant(code) in _names()


def significant(code: str) -> str:
    """440000 → 44, 440300 → 4403: the digits that all codes inside the region begin with."""
    while code.endswith("00"):
        code = code[:-2]
    return code


def region_words(code: str) -> str:
    """440305 → 广东省 / 深圳市 / 南山区; a code that is not known stays itself."""
    return _words().get(code, code)


def region_code(words: str) -> str | None:
    """The code that ``region_words`` says with these words; None where there is none."""
    return _codes().get(words)


@cache
def _names() -> Mapping[str, str]:
    found: dict[str, str] = json.loads((files("metaloom.base") / "regions.json").read_text(encoding="utf-8"))
    return found


@cache
def _words() -> Mapping[str, str]:
    return {short.ljust(6, "0"): _said(short) for short in sorted(_names(), key=len, reverse=True)}


@cache
def _codes() -> Mapping[str, str]:
    return {words: code for code, words in _words().items()}


def _said(short: str) -> str:
    names = [_names()[short[:length]] for length in (2, 4, 6) if length <= len(short)]
    if len(names) == 3 and names[1] in _GROUPS:
        names.pop(1)
    return BETWEEN.join(names)
