"""What an author of a rule is told: code, place, sentence and cure, in both languages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from metaloom.base.text import Text


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both counted from 1."""

    line: int = 1
    column: int = 1


MESSAGES: dict[str, tuple[str, str]] = {
    "too_long": ("the expression has {found} characters, at most {limit} are allowed",
                 "表达式有 {found} 个字符，最多允许 {limit} 个"),
    "too_deep": ("the expression is nested deeper than {limit} levels", "表达式嵌套超过 {limit} 层"),
    "too_many_nodes": ("the expression has more than {limit} parts", "表达式的组成部分超过 {limit} 个"),
    "too_costly": ("the expression costs {found} units, at most {limit} are allowed",
                   "表达式计算量为 {found}，最多允许 {limit}"),
    "too_many_digits": ("the result may have more than {limit} digits", "计算结果可能超过 {limit} 位数字"),
    "empty": ("the expression is empty", "表达式为空"),
    "syntax": ("this is not a valid expression: {detail}", "表达式语法错误：{detail}"),
    "character": ("the character {found} is not allowed here", "此处不允许使用字符 {found}"),
    "unclosed_text": ("the text that begins here has no closing quote", "此处开始的文本缺少结束引号"),
    "not_allowed": ("{found} is not part of the expression language", "表达式语言不支持 {found}"),
    "literal": ("{found} is not a valid literal", "{found} 不是有效的字面值"),
    "literal_too_large": ("the number {found} is too large or too long", "数字 {found} 过大或过长"),
    "text_too_long": ("a text literal has at most {limit} characters", "文本字面值最多 {limit} 个字符"),
    "list_place": ("a list may only stand to the right of in", "列表只能放在 in 的右侧"),
    "list_literals": ("a list holds literals of one type and is not empty", "列表只能包含同一类型的字面值，且不能为空"),
    "mixed_is": ("is null cannot be chained with other comparisons", "is null 不能与其他比较连写"),
    "is_only_null": ("is compares with null only", "is 只能与 null 比较"),
    "null_comparison": ("a comparison with null is never true", "与 null 比较永远不成立"),
    "null_operand": ("null cannot be used here", "此处不能使用 null"),
    "unknown_name": ("there is no field named {name}", "没有名为 {name} 的字段"),
    "unknown_function": ("there is no function named {name}", "没有名为 {name} 的函数"),
    "unknown_choice": ("{found} is not a choice of this field", "{found} 不是该字段的选项"),
    "not_a_link": ("{name} is not a link, nothing can follow it", "{name} 不是关联字段，后面不能再取字段"),
    "path_too_long": ("a path has at most {limit} names", "路径最多 {limit} 级"),
    "children_alone": ("{name} is a list of child rows and cannot be used as a value",
                       "{name} 是明细列表，不能直接作为值使用"),
    "children_wanted": ("{name} needs child rows as its first argument", "函数 {name} 的第一个参数必须是明细"),
    "nested_aggregate": ("a total cannot stand inside another total", "汇总函数不能嵌套"),
    "operand": ("{op} cannot be applied to {found}", "{op} 不能用于 {found}"),
    "operands": ("{op} cannot combine {left} with {right}", "{op} 不能用于 {left} 与 {right}"),
    "condition": ("a condition must be true or false, this is {found}", "条件必须是布尔值，此处为 {found}"),
    "branches": ("the values here have different types: {found}", "此处各值类型不一致：{found}"),
    "argument_count": ("{name} takes {expected} arguments, {found} were given",
                       "函数 {name} 需要 {expected} 个参数，实际为 {found} 个"),
    "argument": ("argument {number} of {name} must be {expected}, this is {found}",
                 "函数 {name} 的第 {number} 个参数应为 {expected}，实际为 {found}"),
    "target": ("{name} is not available for {missing}", "{name} 不能用于 {missing}"),
    "result": ("the expression gives {found}, {expected} is wanted", "表达式结果为 {found}，需要 {expected}"),
}

HINTS: dict[str, tuple[str, str]] = {
    "did_you_mean": ("did you mean {guess}?", "是否想写 {guess}？"),
    "use_is_null": ("write: x is null, or: x is not null", "请写 x is null 或 x is not null"),
    "plain_number": ("write plain digits, such as 1000 or 12.5", "请写普通数字，例如 1000 或 12.5"),
    "use_equals": ("write == to compare", "比较相等请写 =="),
    "use_and": ("write and", "请写 and"),
    "use_or": ("write or", "请写 or"),
    "use_not": ("write not or !=", "请写 not 或 !="),
    "no_backslash": ("text has no escapes; use the other kind of quote", "文本不支持转义，请换用另一种引号"),
    "missing_comma": ("is a comma missing? write + to join text", "是否缺少逗号？连接文本请用 +"),
    "shorter": ("split the rule or use a computed field", "请拆分规则或使用计算字段"),
    "parentheses": ("put parentheses around each comparison", "请给每个比较加括号"),
    "use_days_between": ("use days_between(a, b)", "请使用 days_between(a, b)"),
    "use_add_days": ("use add_days(date, n) or add_months(date, n)", "请使用 add_days(日期, n) 或 add_months(日期, n)"),
    "use_date": ("write a date as date('2026-01-31')", "日期请写成 date('2026-01-31')"),
    "use_total": ("use sum(x.field), count(x), any(x, condition) or all(x, condition)",
                  "请使用 sum(x.字段)、count(x)、any(x, 条件) 或 all(x, 条件)"),
    "quote_text": ("text stands in quotes: '{name}'", "文本要加引号：'{name}'"),
    "choices_have_no_order": ("choices have no order; use == or in", "选项没有大小顺序，请使用 == 或 in"),
}


class ExpressionError(ValueError):
    """One finding about an expression. `line` and `column` point into the text as its author wrote it.

    `message` and `hint` are English; `localized("zh_CN")` gives both in the reader's language.
    """

    def __init__(self, code: str, at: Position, hint: str | None = None, **params: object) -> None:
        self.code = "expression." + code
        self.line, self.column = at.line, at.column
        self._key, self._hint_key, self._params = code, hint, params
        self.message, self.hint = self.localized("en")
        super().__init__(f"{self.line}:{self.column} {self.code} {self.message}" + (f" ({self.hint})" if self.hint else ""))

    def localized(self, language: str) -> tuple[str, str | None]:
        """Message and hint in `language` (`zh_CN` or anything else for English)."""
        index = 1 if language.lower().startswith("zh") else 0
        message = MESSAGES[self._key][index].format(**self._params)
        return message, HINTS[self._hint_key][index].format(**self._params) if self._hint_key else None

    @property
    def said(self) -> Text:
        """The sentence with its cure in both languages, without the place."""
        (zh, cure_zh), (en, cure) = self.localized("zh"), self.localized("en")
        return Text(f"{zh}（{cure_zh}）" if cure_zh else zh, f"{en} ({cure})" if cure else en)


def guess(name: str, known: Iterable[str]) -> dict[str, str]:
    """Keyword arguments that add "did you mean" to an error when a known name is near; empty otherwise."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return {"hint": "did_you_mean", "guess": near[0]} if near else {}
