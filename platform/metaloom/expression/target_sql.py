"""Typed tree to a SQLAlchemy clause that gives the very verdict the Python target gives.

Two rules keep it right. Every operand is mentioned once in the SQL, so that nesting cannot make the text explode.
Numbers never pass through a float: PostgreSQL computes in NUMERIC; SQLite keeps columns as scaled integers, compares
those directly with constants (so that indexes serve) and calls registered exact functions for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

from . import exact
from .check import DECIMAL_DIGITS, INT_DIGITS, Checked, Typed
from .functions import MAX_DAYS, MAX_MONTHS, SPACES
from .sqlite_functions import instant_text
from .types import BOOL, Env

Clause = sa.ColumnElement[Any]


class Resolver(Protocol):
    """How names become columns. The owner of the tables implements it."""

    def column(self, path: tuple[str, ...]) -> Clause:
        """The column behind a path: of the row itself, or of a linked row (an outer join or a scalar sub-select),
        null where a link is null. Decimal columns on SQLite carry their `scale` on `column.type`; a bare link gives its id."""

    def children(self, path: tuple[str, ...], build: Callable[[Resolver], Clause]) -> Clause:
        """A scalar sub-select, correlated with the row, of `build(resolver of the child rows)`."""


def to_sql(checked: Checked, resolver: Resolver, dialect: str, env: Env) -> Clause:
    """The clause for `sqlite` or `postgresql`. Values of `env` are bound as parameters.

    SQLite connections need `register_sqlite_functions`. A decimal result is text on SQLite (converted to Decimal when
    selected): compare it with `ml_cmp`, do not sort by it.
    """
    writer = _DIALECTS[dialect](resolver, env)
    node = checked.node
    if node.type.is_number:
        return writer.number_out(node)
    return writer.emit(node)


class _Writer:
    """What both dialects share; a subclass says how numbers, dates and texts are computed."""

    def __init__(self, resolver: Resolver, env: Env) -> None:
        self.resolver, self.env = resolver, env

    def emit(self, node: Typed) -> Clause:
        """The clause of one part; numbers come in the form the dialect computes with."""
        if node.op in ("const", "env"):
            return self.value(self.constant(node), node)
        if node.op in ("eq", "ne", "lt", "le", "gt", "ge"):
            return self._comparison(node)
        method: Callable[[Typed], Clause] | None = getattr(self, "_" + node.op, None)
        if method is not None:
            return method(node)
        return self.call(node, [self.emit(arg) for arg in node.args])

    def call(self, node: Typed, args: list[Clause]) -> Clause:
        raise NotImplementedError

    def number_field(self, node: Typed) -> Clause:
        raise NotImplementedError

    def number_out(self, node: Typed) -> Clause:
        raise NotImplementedError

    def column(self, node: Typed) -> Clause:
        return self.resolver.column(node.value)

    # -- constants -------------------------------------------------------------------------------

    def constant(self, node: Typed) -> Any:
        """The Python value of a constant or of something the environment knows."""
        if node.op == "const":
            return node.value
        name, argument = node.value
        if name == "has_role":
            return argument in self.env.roles
        return self.env.user[argument] if name == "user" else getattr(self.env, name)

    def value(self, value: Any, node: Typed) -> Clause:
        kind = node.type.kind
        if value is None:
            return sa.cast(sa.null(), self.sql_type(kind))
        if kind == "bool":
            return sa.true() if value else sa.false()
        if node.type.is_number:
            return self.number_constant(value)
        return sa.literal(self.moment(value), self.sql_type(kind))

    def moment(self, value: Any) -> Any:
        return value

    def number_constant(self, value: int | Decimal) -> Clause:
        raise NotImplementedError

    def sql_type(self, kind: str) -> TypeEngine[Any]:
        types: dict[str, TypeEngine[Any]] = {
            "bool": sa.Boolean(), "date": sa.Date(), "datetime": sa.DateTime(timezone=True), "time": sa.Time(),
            "record": sa.BigInteger(), "int": sa.Numeric(), "decimal": sa.Numeric()}
        return types.get(kind, sa.Text())

    # -- leaves ----------------------------------------------------------------------------------

    def _field(self, node: Typed) -> Clause:
        if node.type.is_number:
            return self.number_field(node)
        column = self.column(node)
        return sa.type_coerce(column, sa.Text()) if node.type.is_text else column

    def _to_decimal(self, node: Typed) -> Clause:
        return self.emit(node.args[0])

    # -- truth -----------------------------------------------------------------------------------

    def _and(self, node: Typed) -> Clause:
        return _group(sa.and_(*(self.condition(arg) for arg in node.args)))

    def _or(self, node: Typed) -> Clause:
        return _group(sa.or_(*(self.condition(arg) for arg in node.args)))

    def _not(self, node: Typed) -> Clause:
        return _group(sa.not_(_group(self.condition(node.args[0]))))

    def condition(self, node: Typed) -> Clause:
        return _group(self.emit(node))

    def _is_null(self, node: Typed) -> Clause:
        return _group(_group(self.emit(node.args[0])).is_(sa.null()))

    def _if(self, node: Typed) -> Clause:
        test, yes, no = node.args
        return sa.case((self.condition(test), self.emit(yes)), else_=self.emit(no))

    def _coalesce(self, node: Typed) -> Clause:
        return sa.func.coalesce(*(self.emit(arg) for arg in node.args), type_=self.sql_type(node.type.kind)) \
            if len(node.args) > 1 else self.emit(node.args[0])

    # -- comparisons -----------------------------------------------------------------------------

    def _comparison(self, node: Typed) -> Clause:
        left, right = (_uncast(arg) for arg in node.args)
        op = node.op
        if left.op in ("const", "env") and right.op == "field":
            left, right, op = right, left, _MIRROR[op]
        if left.op == "field" and right.op in ("const", "env"):
            return self.compare_field(op, left, self.constant(right), right)
        if left.type.is_number:
            return self.compare_numbers(op, left, right)
        return self.compare_others(op, left, right)

    def compare_field(self, op: str, field: Typed, value: Any, constant: Typed) -> Clause:
        """A column against a constant: plain, so that an index on the column serves."""
        column = self.column(field)
        if value is None:
            return self.value(None, _BOOL_NODE)
        if field.type.kind == "bool":
            return _group(_compare(op, column, self.value(value, constant)))
        if field.type.is_number:
            return self.compare_number_field(op, column, value)
        return _group(_compare(op, self.ordered(column, field, op), self.beside(column, field, value)))

    def beside(self, column: Clause, field: Typed, value: Any) -> Clause:
        """A constant in the form in which the column stores its values."""
        if field.type.is_text:
            return sa.literal(value, sa.Text())
        return sa.literal(value, column.type) if field.type.kind != "record" else sa.literal(value, sa.BigInteger())

    def compare_number_field(self, op: str, column: Clause, value: int | Decimal) -> Clause:
        raise NotImplementedError

    def compare_numbers(self, op: str, left: Typed, right: Typed) -> Clause:
        raise NotImplementedError

    def compare_others(self, op: str, left: Typed, right: Typed) -> Clause:
        return _group(_compare(op, self.ordered(_group(self.emit(left)), left, op), _group(self.emit(right))))

    def ordered(self, clause: Clause, node: Typed, op: str) -> Clause:
        """The left side of a comparison of texts in code point order."""
        return sa.type_coerce(clause, sa.Text()) if node.type.is_text else clause

    # -- membership ------------------------------------------------------------------------------

    def _in(self, node: Typed) -> Clause:
        item, group = node.args
        if group.op == "field":
            return self.has_member(self.column(group), self.emit(item))
        values = self._members(group)
        if values is None:
            return self.value(None, _BOOL_NODE)
        if item.op in ("const", "env"):
            known = self.constant(item)
            return self.value(None if known is None else known in values, _BOOL_NODE)
        return self.in_values(_uncast(item), sorted(values))

    def _members(self, group: Typed) -> set[Any] | None:
        if group.op == "list":
            return {arg.value for arg in group.args}
        known = self.constant(group)
        return None if known is None else set(known)

    def in_values(self, item: Typed, values: list[Any]) -> Clause:
        if not values:
            return false_unless_null(self.emit(item))
        if item.op == "field" and not item.type.is_number:
            column = self.column(item)
            clause = sa.type_coerce(column, sa.Text()) if item.type.is_text else column
            return _group(clause.in_([self.beside(column, item, value) for value in values]))
        return self.in_computed(item, values)

    def in_computed(self, item: Typed, values: list[Any]) -> Clause:
        return _group(_group(self.emit(item)).in_([sa.literal(self.moment(v), self.sql_type(item.type.kind)) for v in values]))

    def has_member(self, column: Clause, member: Clause) -> Clause:
        raise NotImplementedError

    # -- totals ----------------------------------------------------------------------------------

    def _total(self, node: Typed) -> Clause:
        name, path = node.value

        def build(child: Resolver) -> Clause:
            return type(self)(child, self.env).total_of(node, name)

        return self.total_out(node, self.resolver.children(path, build))

    def total_of(self, node: Typed, name: str) -> Clause:
        if not node.args:
            return sa.func.count()
        inner = node.args[0]
        if name in ("sum", "min", "max"):
            return self.total_values(node, name, inner)
        counted = sa.func.count(sa.case((self.condition(inner), sa.literal_column("1"))))
        if name == "count":
            return counted
        return _group(counted > sa.literal_column("0")) if name == "any" else _group(counted == sa.func.count())

    def total_values(self, node: Typed, name: str, inner: Typed) -> Clause:
        raise NotImplementedError

    def total_out(self, node: Typed, total: Clause) -> Clause:
        return total


# -- PostgreSQL ----------------------------------------------------------------------------------

class _PostgreSQL(_Writer):
    def number_constant(self, value: int | Decimal) -> Clause:
        return sa.literal(Decimal(value), sa.Numeric())

    def number_field(self, node: Typed) -> Clause:
        return sa.cast(self.column(node), sa.Numeric())

    def number_out(self, node: Typed) -> Clause:
        number = _group(self.emit(node))
        if node.type.kind == "int":
            inside = number if node.digits < INT_DIGITS or node.op == "field" else _between(number, exact.INT_LIMIT + 1)
            return sa.cast(inside, sa.BigInteger())
        if node.digits > DECIMAL_DIGITS:
            number = _between(number, exact.DECIMAL_LIMIT)
        return sa.type_coerce(number, sa.Numeric())

    def call(self, node: Typed, args: list[Clause]) -> Clause:
        a = [_group(arg) for arg in args]
        return sa.type_coerce(_POSTGRESQL[node.op](*a), self.sql_type(node.type.kind))

    def _div(self, node: Typed) -> Clause:
        """Exact to the 12th place: see exact.div for why rounding twice is safe with this many places."""
        over, under = (_group(self.emit(arg)) for arg in node.args)
        places = 40 + node.args[1].digits
        quotient = sa.func.round(over, places).op("/", precedence=15)(sa.func.nullif(under, sa.literal_column("0")))
        return sa.func.round(_group(quotient), 12, type_=sa.Numeric())

    def _round(self, node: Typed) -> Clause:
        return sa.func.round(self.emit(node.args[0]), sa.literal_column(str(int(node.value))), type_=sa.Numeric())

    def _concat(self, node: Typed) -> Clause:
        clause = _group(self.emit(node.args[0]))
        for arg in node.args[1:]:
            clause = _group(clause.op("||")(_group(self.emit(arg))))
        return sa.type_coerce(clause, sa.Text())

    def _min(self, node: Typed) -> Clause:
        function = sa.func.least if node.op == "min" else sa.func.greatest
        return function(*(self.emit(arg) for arg in node.args), type_=self.sql_type(node.type.kind))

    _max = _min

    def _is_id_card(self, node: Typed) -> Clause:
        text = sa.type_coerce(self.column(node.args[0]), sa.Text())
        digits = [sa.cast(sa.func.substr(text, i + 1, 1), sa.Integer()) * weight for i, weight in enumerate(exact.ID_WEIGHTS)]
        total = digits[0]
        for digit in digits[1:]:
            total = total + digit
        right = sa.func.substr(exact.ID_CHECKS, sa.func.mod(total, 11) + 1, 1) == sa.func.upper(sa.func.right(text, 1))
        fits = text.op("~")(exact.ID_CARD)
        return sa.case((text.is_(sa.null()), sa.cast(sa.null(), sa.Boolean())), (fits, right), else_=sa.false())

    def compare_number_field(self, op: str, column: Clause, value: int | Decimal) -> Clause:
        if isinstance(value, int) and abs(value) <= exact.INT_LIMIT and isinstance(column.type, sa.Integer):
            return _group(_compare(op, column, sa.literal(value, sa.BigInteger())))
        return _group(_compare(op, sa.type_coerce(column, sa.Numeric()), sa.literal(Decimal(value), sa.Numeric())))

    def compare_numbers(self, op: str, left: Typed, right: Typed) -> Clause:
        return _group(_compare(op, _group(self.emit(left)), _group(self.emit(right))))

    def ordered(self, clause: Clause, node: Typed, op: str) -> Clause:
        if not node.type.is_text:
            return clause
        clause = sa.type_coerce(clause, sa.Text())
        return clause if op in ("eq", "ne") else sa.collate(clause, "C")

    def in_values(self, item: Typed, values: list[Any]) -> Clause:
        if item.type.is_number and values:
            return _group(_group(self.emit(item)).in_([self.number_constant(value) for value in values]))
        return super().in_values(item, values)

    def has_member(self, column: Clause, member: Clause) -> Clause:
        if isinstance(column.type, sa.ARRAY):
            return _group(member == sa.any_(column))
        from sqlalchemy.dialects.postgresql import JSONB
        return sa.func.jsonb_exists(sa.cast(sa.type_coerce(column, sa.Text()), JSONB()), member, type_=sa.Boolean()) \
            if not isinstance(column.type, sa.JSON) else sa.func.jsonb_exists(sa.cast(column, JSONB()), member, type_=sa.Boolean())

    def total_values(self, node: Typed, name: str, inner: Typed) -> Clause:
        value = self.emit(inner)
        if name == "sum":
            return sa.func.coalesce(sa.func.sum(value), sa.literal_column("0"), type_=sa.Numeric())
        return (sa.func.min if name == "min" else sa.func.max)(value, type_=self.sql_type(node.type.kind))

    def total_out(self, node: Typed, total: Clause) -> Clause:
        return sa.cast(total, sa.Numeric()) if node.type.is_number else total


def _between(number: Clause, limit: int | Decimal) -> Clause:
    """Null from `limit` on, mentioning the number once."""
    low, high = (sa.literal(Decimal(sign * limit), sa.Numeric()) for sign in (-1, 1))
    inside = sa.func.least(sa.func.greatest(number, low), high)
    return sa.func.nullif(sa.func.nullif(inside, low), high, type_=sa.Numeric())


def _whole_between(number: Clause, limit: int) -> Clause:
    return sa.cast(_between(number, limit + 1), sa.Integer())


def _date_between(day: Clause) -> Clause:
    """Null outside the years 1…9999, mentioning the date once."""
    low, high = sa.literal_column("DATE '0001-12-31 BC'", sa.Date()), sa.literal_column("DATE '10000-01-01'", sa.Date())
    inside = sa.func.least(sa.func.greatest(day, low), high)
    return sa.func.nullif(sa.func.nullif(inside, low), high, type_=sa.Date())


def _months_later(day: Clause, months: Clause) -> Clause:
    later = day.op("+")(sa.func.make_interval(0, _whole_between(months, MAX_MONTHS)))
    return _date_between(sa.cast(_group(later), sa.Date()))


def _age(birth: Clause, on: Clause) -> Clause:
    """Dates as the numbers yyyymmdd: their difference over 10000, rounded down, is the full years."""
    days = [sa.cast(sa.func.to_char(day, "YYYYMMDD"), sa.Numeric()) for day in (on, birth)]
    return sa.func.floor(_group(days[0] - days[1]) / sa.literal_column("10000.0"))


def _part(name: str) -> Callable[[Clause], Clause]:
    return lambda day: sa.cast(sa.extract(name, day), sa.Numeric())


def _operator(symbol: str) -> Callable[[Clause, Clause], Clause]:
    return lambda a, b: _group(a.op(symbol)(b))


_POSTGRESQL: dict[str, Callable[..., Clause]] = {
    "add": _operator("+"), "sub": _operator("-"),
    "mul": lambda a, b: sa.func.round(_group(a.op("*")(b)), 12),
    "mod": lambda a, b: sa.func.mod(a, sa.func.nullif(b, sa.literal_column("0"))),
    "neg": lambda a: _group(sa.literal_column("0").op("-")(a)),
    "abs": sa.func.abs, "floor": sa.func.floor, "ceil": sa.func.ceil,
    "length": lambda t: sa.cast(sa.func.char_length(t), sa.Numeric()),
    "lower": lambda t: sa.func.lower(sa.collate(t, "C")), "upper": lambda t: sa.func.upper(sa.collate(t, "C")),
    "trim": lambda t: sa.func.btrim(t, SPACES),
    "contains": lambda t, part: _group(sa.func.strpos(t, part) > sa.literal_column("0")),
    "starts_with": sa.func.starts_with,
    "ends_with": lambda t, part: sa.func.starts_with(sa.func.reverse(t), sa.func.reverse(part)),
    "days_between": lambda a, b: sa.cast(_group(b.op("-")(a)), sa.Numeric()),
    "add_days": lambda day, n: _date_between(_group(day.op("+")(_whole_between(n, MAX_DAYS)))),
    "add_months": _months_later, "year": _part("year"), "month": _part("month"), "day": _part("day"), "age_years": _age,
    "is_mobile": lambda t: _group(t.op("~")(exact.MOBILE)),
}


# -- SQLite --------------------------------------------------------------------------------------

class DecimalText(TypeDecorator[Decimal]):
    """A decimal that SQLite computed: text in the database, Decimal in Python."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else format(Decimal(value), "f")

    def process_result_value(self, value: Any, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


class InstantText(TypeDecorator[datetime]):
    """An instant that SQLite computed: ISO text in UTC in the database, aware datetime in Python."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        return None if value is None else instant_text(value)

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


class TimeText(TypeDecorator[time]):
    """A time of day that SQLite computed: HH:MM:SS."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: time | None, dialect: Any) -> str | None:
        return None if value is None else value.isoformat("seconds")

    def process_result_value(self, value: Any, dialect: Any) -> time | None:
        return None if value is None else time.fromisoformat(value)


class _SQLite(_Writer):
    def sql_type(self, kind: str) -> TypeEngine[Any]:
        types: dict[str, TypeEngine[Any]] = {"int": sa.Text(), "decimal": DecimalText(), "datetime": InstantText(), "time": TimeText()}
        return types[kind] if kind in types else super().sql_type(kind)

    def value(self, value: Any, node: Typed) -> Clause:
        return sa.null() if value is None else super().value(value, node)

    def number_constant(self, value: int | Decimal) -> Clause:
        return sa.literal(format(Decimal(value), "f"), sa.Text())

    def number_field(self, node: Typed) -> Clause:
        column = self.column(node)
        scale = _scale(column)
        raw = sa.type_coerce(column, sa.Text())
        return sa.func.ml_dec(raw, scale, type_=sa.Text()) if scale else raw

    def number_out(self, node: Typed) -> Clause:
        if node.type.kind == "int":
            return sa.func.ml_out_int(self.emit(node), type_=sa.BigInteger())
        return sa.func.ml_out_dec(self.emit(node), type_=DecimalText())

    def _field(self, node: Typed) -> Clause:
        if node.type.kind == "datetime":
            return sa.func.ml_instant(sa.type_coerce(self.column(node), sa.Text()), type_=InstantText())
        return super()._field(node)

    def call(self, node: Typed, args: list[Clause]) -> Clause:
        if node.op in ("year", "month", "day"):
            start, length = {"year": (1, 4), "month": (6, 2), "day": (9, 2)}[node.op]
            return sa.cast(sa.func.substr(args[0], start, length), sa.Integer())
        if node.op in ("lower", "upper"):
            return _called(node.op, args[0], type_=sa.Text())
        if node.op == "trim":
            return sa.func.trim(args[0], SPACES, type_=sa.Text())
        return _called("ml_" + node.op, *args, type_=self.sql_type(node.type.kind))

    def _round(self, node: Typed) -> Clause:
        return sa.func.ml_round(self.emit(node.args[0]), sa.literal_column(str(int(node.value))), type_=sa.Text())

    def _concat(self, node: Typed) -> Clause:
        clause = _group(self.emit(node.args[0]))
        for arg in node.args[1:]:
            clause = _group(clause.op("||")(_group(self.emit(arg))))
        return sa.type_coerce(clause, sa.Text())

    def _min(self, node: Typed) -> Clause:
        names = {"min": "ml_min", "max": "ml_max"} if node.type.is_number else {"min": "ml_first", "max": "ml_last"}
        args = [self.emit(arg) for arg in node.args]
        return _called(names[node.op], *args, type_=self.sql_type(node.type.kind))

    _max = _min

    def compare_number_field(self, op: str, column: Clause, value: int | Decimal) -> Clause:
        raw = sa.type_coerce(column, sa.BigInteger())
        scaled = Decimal(value).scaleb(_scale(column), exact.EXACT)
        whole = int(scaled.to_integral_value(ROUND_FLOOR))
        if whole != scaled:
            if op in ("eq", "ne"):
                return false_unless_null(raw) if op == "eq" else true_unless_null(raw)
            op = {"lt": "le", "ge": "gt"}.get(op, op)
        if abs(whole) > exact.INT_LIMIT:
            below = whole > 0
            holds = {"eq": False, "ne": True, "lt": below, "le": below}.get(op, not below)
            return true_unless_null(raw) if holds else false_unless_null(raw)
        return _group(_compare(op, raw, sa.literal(whole, sa.BigInteger())))

    def compare_numbers(self, op: str, left: Typed, right: Typed) -> Clause:
        if left.op == right.op == "field":
            a, b = self.column(left), self.column(right)
            if _scale(a) == _scale(b):
                return _group(_compare(op, sa.type_coerce(a, sa.BigInteger()), sa.type_coerce(b, sa.BigInteger())))
        sign = sa.func.ml_cmp(self.emit(left), self.emit(right), type_=sa.Integer())
        return _group(_compare(op, sign, sa.literal_column("0")))

    def in_values(self, item: Typed, values: list[Any]) -> Clause:
        if not (item.type.is_number and values):
            return super().in_values(item, values)
        if item.op == "field":
            return self._in_scaled(self.column(item), values)
        texts = [format(exact.EXACT.normalize(Decimal(value)), "f") for value in values]
        return _group(sa.func.ml_canon(self.emit(item), type_=sa.Text()).in_([sa.literal(t, sa.Text()) for t in texts]))

    def _in_scaled(self, column: Clause, values: list[Any]) -> Clause:
        raw = sa.type_coerce(column, sa.BigInteger())
        scaled = [Decimal(value).scaleb(_scale(column), exact.EXACT) for value in values]
        whole = [int(value) for value in scaled if value == value.to_integral_value(ROUND_CEILING) and abs(value) <= exact.INT_LIMIT]
        return _group(raw.in_([sa.literal(value, sa.BigInteger()) for value in whole])) if whole else false_unless_null(raw)

    def has_member(self, column: Clause, member: Clause) -> Clause:
        return sa.func.ml_has(sa.type_coerce(column, sa.Text()), member, type_=sa.Boolean())

    def total_values(self, node: Typed, name: str, inner: Typed) -> Clause:
        value = self.emit(inner)
        if not node.type.is_number:
            return (sa.func.min if name == "min" else sa.func.max)(value, type_=self.sql_type(node.type.kind))
        function = {"sum": sa.func.ml_sum, "min": sa.func.ml_least_row, "max": sa.func.ml_greatest_row}[name]
        total = function(value, type_=sa.Text())
        return sa.func.coalesce(total, sa.literal_column("0"), type_=sa.Text()) if name == "sum" else total


def _scale(column: Clause) -> int:
    """The scale of a decimal column that SQLite keeps as scaled integers."""
    return getattr(column.type, "scale", None) or 0


_DIALECTS: dict[str, type[_Writer]] = {"postgresql": _PostgreSQL, "sqlite": _SQLite}


# -- small things --------------------------------------------------------------------------------

_MIRROR = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_BOOL_NODE = Typed("const", BOOL)


def _called(name: str, *args: Clause, type_: sa.types.TypeEngine[Any]) -> Clause:
    """A function of the database, by its name."""
    called: Clause = getattr(sa.func, name)(*args, type_=type_)
    return called


def _group(clause: Clause) -> Clause:
    """The clause in parentheses, so that no operator of a database can bind it differently than our tree says."""
    if isinstance(clause, (sa.sql.elements.BindParameter, sa.sql.elements.Grouping, sa.Column, sa.sql.functions.FunctionElement)):
        return clause
    if isinstance(clause, (sa.sql.elements.True_, sa.sql.elements.False_, sa.sql.elements.Null)):
        return clause
    return sa.sql.elements.Grouping(clause)


def _compare(op: str, a: Clause, b: Clause) -> Clause:
    symbol = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[op]
    return a.op(symbol, is_comparison=True, return_type=sa.Boolean())(b)


def false_unless_null(clause: Clause) -> Clause:
    return sa.case((_group(clause).is_not(sa.null()), sa.false()))


def true_unless_null(clause: Clause) -> Clause:
    return sa.case((_group(clause).is_not(sa.null()), sa.true()))


def _uncast(node: Typed) -> Typed:
    return node.args[0] if node.op == "to_decimal" else node
