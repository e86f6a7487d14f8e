"""The one error of the plugin: an input that has no meaning, with the key at fault and the cure in both languages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "not_decimal": ("{key} 必须是十进制数，收到 {found}", "{key} must be a Decimal, found {found}"),
    "not_number": ("{key} 必须是数字，收到 {found}", "{key} must be a number, found {found}"),
    "negative": ("{key} 不能为负数，收到 {found}", "{key} must not be negative, found {found}"),
    "wrong_type": ("{key} 的类型应为 {limit}，收到 {found}", "{key} must be of type {limit}, found {found}"),
    "wrong_shape": ("{key} 的内容不符合要求（{limit}），收到 {found}", "{key} is not as it should be ({limit}), found {found}"),
    "not_with": ("{key} 不能与 {limit} 同时使用", "{key} does not go with {limit}"),
    "needs": ("{key} 需要同时给出 {limit}", "{key} needs {limit} too"),
    "too_late": ("{key} 不能晚于 {limit}，收到 {found}", "{key} must not be after {limit}, found {found}"),
    "too_much": ("{key} 不能超过 {limit}，收到 {found}", "{key} must not exceed {limit}, found {found}"),
    "nothing_left": ("{key}：贷款在 {found} 已结清，不能再变更", "{key}: the loan is settled by {found}; nothing is left to change"),
    "not_finite": ("{key} 必须是有限数，收到 {found}", "{key} must be a finite number, found {found}"),
    "too_many_places": (
        "{key} 最多 {limit} 位小数，收到 {found}",
        "{key} may have at most {limit} decimal places, found {found}",
    ),
    "not_whole": ("{key} 必须是整数，收到 {found}", "{key} must be a whole number, found {found}"),
    "out_of_range": ("{key} 必须在 {limit} 之间，收到 {found}", "{key} must be within {limit}, found {found}"),
    "not_date": ("{key} 必须是日期，收到 {found}", "{key} must be a date, found {found}"),
    "unknown_choice": ("{key} 只能是 {limit}，收到 {found}", "{key} must be one of {limit}, found {found}"),
    "required": ("缺少 {key}", "{key} is missing"),
    "unknown_key": ("不认识的参数 {key}，可用：{limit}", "unknown parameter {key}, known are: {limit}"),
    "not_text": ("{key} 必须是文本，收到 {found}", "{key} must be text, found {found}"),
    "wrong_order": ("{key} 不能早于 {limit}，收到 {found}", "{key} must not be before {limit}, found {found}"),
    "twice": ("{key}：{found} 重复", "{key}: {found} stands there twice"),
    "conflict": ("{key} 与 {limit} 矛盾，收到 {found}", "{key} contradicts {limit}, found {found}"),
    "no_rate": (
        "{key} 无法得出年化利率：需要先有一笔放款，后有还款",
        "{key} has no rate of return: it needs one outflow first, then receipts",
    ),
}


TOLD_MAX: Final = 100
"""A small request can hold thousands of mistakes."""


class LoanMathError(ValueError):
    """An input the arithmetic refuses.

    `key` names the parameter, `code` the kind of refusal (stable, for tests and translation).
    `str()` is English; `text("zh")` is what a Chinese screen shows. `others` are wrong as well.
    """

    def __init__(self, key: str, code: str, *, found: object = None, limit: object = None, others: tuple[LoanMathError, ...] = ()) -> None:
        self.key = key
        self.others = others
        self.code = code
        self.found = _short(found)
        self.limit = str(limit)
        super().__init__(self.text("en"))

    def text(self, language: str) -> str:
        chinese, english = _TEXTS[self.code]
        template = chinese if language.startswith("zh") else english
        return template.format(key=self.key, found=self.found, limit=self.limit)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.key, self.code, self.found, self.limit, self.others)


def raise_all(refusals: Iterable[LoanMathError]) -> None:
    """Nothing without any; else the first with the others at it, one for each key, at most TOLD_MAX."""
    by_key: dict[str, LoanMathError] = {}
    for one in refusals:
        by_key.setdefault(one.key, one)
    if by_key:
        first, *others = islice(by_key.values(), TOLD_MAX)
        first.others = tuple(others)
        raise first


def _rebuild(key: str, code: str, found: str, limit: str, others: tuple[LoanMathError, ...]) -> LoanMathError:
    """Errors cross process borders (the plugin runs in a pool); keyword-only arguments need this to unpickle."""
    return LoanMathError(key, code, found=found, limit=limit, others=others)


def _short(found: object) -> str:
    try:
        text = found if isinstance(found, str) else repr(found)
    except ValueError:  # an integer of more than 4300 digits refuses to become text
        text = type(found).__name__
    return text if len(text) <= 60 else text[:57] + "..."
