"""The functions of the language: one table that the checker, the docs and editors read."""

from __future__ import annotations

from dataclasses import dataclass

from .types import ALL_TARGETS, BOOL, DATE, DATETIME, DECIMAL, INT, TEXT, Type

Group = str
"""What an argument may be: number, int, decimal, text, date, moment (date, datetime or time), field (a text field), any."""

MAX_MONTHS = 12_000
MAX_DAYS = 366_000
SPACES = " \t\n\r\u3000"


@dataclass(frozen=True, slots=True)
class Function:
    """One function. `result` None means: the common type of the arguments. `least`/`most` count arguments."""

    name: str
    params: tuple[Group, ...]
    result: Type | None
    signature: str
    meaning: str
    least: int = -1
    variadic: bool = False
    special: bool = False
    targets: frozenset[str] = ALL_TARGETS

    @property
    def fewest(self) -> int:
        return self.least if self.least >= 0 else len(self.params)


def _f(name: str, params: str, result: Type | None, signature: str, meaning: str, *, least: int = -1, variadic: bool = False, special: bool = False,
       targets: frozenset[str] = ALL_TARGETS) -> Function:
    return Function(name, tuple(params.split()), result, signature, meaning, least, variadic, special, targets)


FUNCTIONS: dict[str, Function] = {f.name: f for f in (
    _f("round", "number int", DECIMAL, "round(x, places=0)", "rounds half away from zero; `places` is a literal 0…12", special=True),
    _f("floor", "number", INT, "floor(x)", "the next lower whole number"),
    _f("ceil", "number", INT, "ceil(x)", "the next higher whole number"),
    _f("abs", "number", None, "abs(x)", "the value without its sign"),
    _f("min", "any", None, "min(a, b, …)", "the smallest of numbers, dates, datetimes or times; nulls are left out",
       variadic=True, special=True),
    _f("max", "any", None, "max(a, b, …)", "the greatest of numbers, dates, datetimes or times; nulls are left out",
       variadic=True, special=True),
    _f("coalesce", "any", None, "coalesce(a, b, …)", "the first value that is not null", variadic=True, special=True),
    _f("length", "text", INT, "length(t)", "number of characters (code points)"),
    _f("lower", "text", TEXT, "lower(t)", "A–Z become a–z, nothing else changes"),
    _f("upper", "text", TEXT, "upper(t)", "a–z become A–Z, nothing else changes"),
    _f("trim", "text", TEXT, "trim(t)", "without spaces, tabs, line ends and U+3000 at both ends"),
    _f("contains", "text text", BOOL, "contains(t, part)", "true when `part` stands in `t`; the empty text stands in every text"),
    _f("starts_with", "text text", BOOL, "starts_with(t, part)", "true when `t` begins with `part`"),
    _f("ends_with", "text text", BOOL, "ends_with(t, part)", "true when `t` ends with `part`"),
    _f("concat", "text", TEXT, "concat(a, b, …)", "the texts joined; null when one is null", variadic=True),
    _f("date", "text", DATE, "date('2026-01-31')", "a date literal", special=True),
    _f("datetime", "text", DATETIME, "datetime('2026-01-31T08:00:00+08:00')", "a datetime literal with its offset", special=True),
    _f("time", "text", None, "time('08:30')", "a time literal", special=True),
    _f("days_between", "date date", INT, "days_between(a, b)", "days from `a` to `b`, negative when `b` is earlier"),
    _f("add_days", "date int", DATE, "add_days(d, n)",
       "null outside the years 1…9999 and for more than 366,000 days"),
    _f("add_months", "date int", DATE, "add_months(d, n)",
       "31 January + 1 month = the last of February; null outside the years 1…9999 and for more than 12,000 months"),
    _f("year", "date", INT, "year(d)", "the year"),
    _f("month", "date", INT, "month(d)", "the month, 1…12"),
    _f("day", "date", INT, "day(d)", "the day of the month"),
    _f("age_years", "date date", INT, "age_years(birth, on)", "full years; born on 29 February: from 1 March in common years"),
    _f("business_date", "", DATE, "business_date()", "the business date of the company, never the clock", special=True),
    _f("now", "", DATETIME, "now()", "the instant of the evaluation", special=True),
    _f("user_id", "", None, "user_id()", "record id of the acting user", special=True),
    _f("has_role", "text", BOOL, "has_role('name')", "true when the acting user holds the role; the name is a literal", special=True),
    _f("is_id_card", "field", BOOL, "is_id_card(field)", "18-digit Chinese identity number with a real date and a right check digit"),
    _f("id_card_birthday", "text", DATE, "id_card_birthday(t)", "birthday in an identity number; null when the number is not right (Python and browser)",
       targets=frozenset({"python", "browser"})),
    _f("id_card_is_male", "text", BOOL, "id_card_is_male(t)", "true for a man's identity number; null when the number is not right (Python and browser)",
       targets=frozenset({"python", "browser"})),
    _f("is_mobile", "text", BOOL, "is_mobile(t)", "Chinese mobile number: 11 digits, 13… to 19…"),
    _f("sum", "any any", None, "sum(items.amount) or sum(items, expression)", "total over child rows, nulls left out; 0 without rows",
       least=1, special=True),
    _f("count", "any any", INT, "count(items) or count(items, condition)", "number of child rows (for which the condition is true)",
       least=1, special=True),
    _f("any", "any any", BOOL, "any(items, condition)", "true when the condition is true for a child row", special=True),
    _f("all", "any any", BOOL, "all(items, condition)", "true when the condition is true for every child row; true without rows",
       special=True),
)}
"""`min(items.amount)` and `max(items.amount)` also total over child rows: null without rows."""

AGGREGATES = frozenset({"sum", "count", "any", "all"})
