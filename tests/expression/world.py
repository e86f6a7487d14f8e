"""A small world for the expression tests: a thing with a customer and items, as records, as tables and as a scope.

`Writer` writes random typed expressions, `random_records` random records; `Doors` gives the verdicts of all targets.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metaloom.expression import (
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    INT,
    MULTI,
    TEXT,
    TIME,
    Checked,
    Env,
    Scope,
    browser_value,
    choice,
    compile,
    multi,
    record,
    register_sqlite_functions,
    to_browser,
    to_python,
    to_sql,
)
from metaloom.storage.types import ExactDecimal, IsoDate, JsonText, Time, UtcDateTime

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "templates/static/js/expression.js"

STATES = ("draft", "active", "closed")
CUSTOMER = {"name": TEXT, "limit_amount": DECIMAL, "birthday": DATE, "vip": BOOL}
ITEM = {"amount": DECIMAL, "n": INT, "ok": BOOL, "label": TEXT, "due": DATE}
THING = {
    "amount": DECIMAL, "rate": DECIMAL, "金额": DECIMAL, "n": INT, "m": INT, "big": INT, "yes": BOOL, "no": BOOL,
    "t": TEXT, "s": TEXT, "state": choice(*STATES), "tags": MULTI, "d": DATE, "e": DATE, "at": DATETIME, "until": DATETIME,
    "tm": TIME, "shut": TIME, "customer": record("demo.customer"), "other": record("demo.customer"),
}
USER = {"id": record("demo.user"), "home": record("demo.customer"), "homes": multi(of=record("demo.customer")), "none": multi(), "limit_amount": DECIMAL}
ENV = Env(date(2026, 2, 28), datetime(2026, 2, 28, 9, 30, 0, 250000, tzinfo=UTC), 7, frozenset({"officer"}),
          {"id": 7, "home": 2, "homes": frozenset({1, 3}), "none": frozenset(), "limit_amount": Decimal("500.50")})


def make_scope() -> Scope:
    customer, item = Scope(CUSTOMER), Scope(ITEM)
    return Scope(THING, {"customer": lambda: customer}, {"items": lambda: item}, USER)


METADATA = sa.MetaData()
_COLUMNS = {
    "amount": lambda: ExactDecimal(18, 2), "rate": lambda: ExactDecimal(18, 8), "金额": lambda: ExactDecimal(18, 2),
    "limit_amount": lambda: ExactDecimal(18, 4),
    "n": sa.BigInteger, "m": sa.BigInteger, "big": sa.BigInteger, "tags": JsonText, "tm": Time, "shut": Time, "at": UtcDateTime,
    "until": UtcDateTime, "d": IsoDate, "e": IsoDate, "birthday": IsoDate, "due": IsoDate, "yes": sa.Boolean, "no": sa.Boolean,
    "vip": sa.Boolean, "ok": sa.Boolean, "customer": sa.BigInteger, "other": sa.BigInteger,
}


def _table(name: str, fields: Iterable[str], *more: sa.Column[Any]) -> sa.Table:
    columns = [sa.Column(field, _COLUMNS.get(field, sa.Text)()) for field in fields]
    return sa.Table(name, METADATA, sa.Column("id", sa.Integer, primary_key=True), *more, *columns)


CUSTOMERS = _table("customer", CUSTOMER)
THINGS = _table("thing", THING)
ITEMS = _table("item", ITEM, sa.Column("thing_id", sa.Integer))


class ThingResolver:
    def column(self, path: tuple[str, ...]) -> sa.ColumnElement[Any]:
        if len(path) == 1:
            return THINGS.c[path[0]]
        return sa.select(CUSTOMERS.c[path[1]]).where(CUSTOMERS.c.id == THINGS.c.customer).correlate(THINGS).scalar_subquery()

    def children(self, path: tuple[str, ...], build: Callable[[Any], sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
        return sa.select(build(ItemResolver())).where(ITEMS.c.thing_id == THINGS.c.id).correlate(THINGS).scalar_subquery()


class ItemResolver:
    def column(self, path: tuple[str, ...]) -> sa.ColumnElement[Any]:
        return ITEMS.c[path[0]]

    def children(self, path: tuple[str, ...], build: Any) -> sa.ColumnElement[Any]:
        raise AssertionError("totals do not nest")


# -- random records ------------------------------------------------------------------------------

_TEXTS = ("", "a", "A", "b", "ab", "aB", "AB ", " a", "张三", "张", "三", "𠀀", "\uffee", "é", "É", "e", "%", "_", "a_b", "'", "10", "9", "　全角　", "\ta\n",
          "11010519491231002X", "11010519491231002x", "110105194912310021", "110105190002290022", "13800138000",
          "12800138000", "𠀀a", "\uffeea", "\uff5e", "😀", "\uff5e")
_DATES = tuple(map(date.fromisoformat, (
    "2024-02-29", "2023-02-28", "2026-01-31", "2026-02-28", "2000-02-29", "1900-03-01", "1999-12-31", "2026-03-31", "0001-01-01",
    "9999-12-31", "1969-12-31", "2026-02-27")))
_INSTANTS = tuple(map(datetime.fromisoformat, (
    "2026-02-28T09:30:00.250000+00:00", "2026-02-28T17:30:00+08:00", "2026-02-28T09:30:00+00:00", "1999-12-31T23:59:59.999999+00:00")))
_TIMES = tuple(map(time.fromisoformat, ("00:00:00", "08:30:00", "08:30:01", "23:59:59")))
_INTS = (0, 1, -1, 2, 3, 7, 12, -13, 30, 100, 1200, 10**6, -(10**12), 10**18, -(10**18), 2**63 - 1, 12001)
_CENTS = (0, 1, -1, -2, 50, 5, 10_000, 10_050, -12_345, 33_333, 99_999_999_999, 999_999_999_999_999_999, -999_999_999_999_999_999, 50_050)


def _random_value(pick: random.Random, name: str) -> Any:
    kind = {**CUSTOMER, **ITEM, **THING}[name].kind
    if pick.random() < 0.16:
        return None
    if kind == "decimal":
        scale = _COLUMNS[name]().scale
        return Decimal(pick.choice(_CENTS) if pick.random() < 0.6 else pick.randint(-(10**6), 10**6)).scaleb(-scale)
    if kind == "multi":
        return pick.sample(STATES + ("张三", "a"), pick.randint(0, 3))
    if kind == "int":
        return pick.choice(_INTS) if name == "big" or pick.random() < 0.3 else pick.randint(-20, 40)
    if kind == "record":
        return pick.randint(1, 4)
    return pick.choice({"bool": (True, False), "text": _TEXTS, "choice": STATES, "date": _DATES, "datetime": _INSTANTS, "time": _TIMES}[kind])


def random_records(pick: random.Random, count: int) -> list[dict[str, Any]]:
    """Things with their customer (nested, one of three shared ones, or None) and their items."""
    customers = {n: {"id": n, **{name: _random_value(pick, name) for name in CUSTOMER}} for n in (1, 2, 3, 4)}
    records = []
    for number in range(1, count + 1):
        row = {"id": number, **{name: _random_value(pick, name) for name in THING}}
        row["customer"] = customers.get(row["customer"])
        row["items"] = [{name: _random_value(pick, name) for name in ITEM} for _ in range(pick.choice((0, 0, 1, 2, 4)))]
        records.append(row)
    return records


def count_nulls(records: list[dict[str, Any]]) -> tuple[int, int]:
    """(values that are null, all values) of the things."""
    values = [row[name] for row in records for name in THING]
    return sum(value is None for value in values), len(values)


# -- random expressions --------------------------------------------------------------------------

class Writer:
    """Writes typed expressions; `choose` picks one of a sequence (hypothesis, or a seeded generator)."""

    def __init__(self, choose: Callable[[Any], Any], inside_items: bool = False) -> None:
        self.choose, self.inside_items = choose, inside_items

    def write(self, kind: str, depth: int) -> str:
        forms = self._leaves(kind) if depth <= 0 else self._leaves(kind)[:1] + self._forms(kind) * 3
        form = self.choose(forms)
        return form(depth - 1)

    def _fields(self, kind: str) -> list[str]:
        if self.inside_items:
            return [name for name, kind_ in ITEM.items() if kind_.kind == kind]
        return [name for name, kind_ in THING.items() if kind_.kind == kind] + \
               ["customer." + name for name, kind_ in CUSTOMER.items() if kind_.kind == kind]

    def _leaves(self, kind: str) -> list[Callable[[int], str]]:
        fields = self._fields(kind)
        literal = lambda _: self.choose(_LITERALS[kind])  # noqa: E731
        return ([lambda _: self.choose(fields)] * 3 if fields else []) + [literal]

    def _forms(self, kind: str) -> list[Callable[[int], str]]:
        forms: list[Callable[[int], str]] = [
            lambda d: f"({self.write(kind, d)} if {self.write('bool', d)} else {self.write(kind, d)})",
            lambda d: f"({self.write(kind, d)} if {self.write('bool', d)} else null)",
            lambda d: f"coalesce({self.write(kind, d)}, {self.write(kind, d)})",
        ]
        own: list[Callable[[int], str]] = getattr(self, "_" + kind)()
        return forms + own * 2

    def _bool(self) -> list[Callable[[int], str]]:
        w, some = self.write, self.choose
        kinds = ("int", "decimal", "text", "date", "datetime", "time")
        forms = [
            lambda d: f"({w('bool', d)} {some(('and', 'or'))} {w('bool', d)})",
            lambda d: f"({w('bool', d)} {some(('and', 'or'))} {w('bool', d)} {some(('and', 'or'))} {w('bool', d)})",
            lambda d: f"(not {w('bool', d)})",
            lambda d: f"({w('bool', d)} {some(('==', '!='))} {w('bool', d)})",
            lambda d: f"({w(some(kinds), d)} is {some(('', 'not '))}null)",
            *[lambda d: self._compared(some(kinds), d)] * 6,
            lambda d: f"({w('int', d)} < {w('decimal', d)} <= {w('int', d)})",
            *[lambda d: self._simple(some(("int", "decimal", "decimal", "text", "date")))] * 3,
            *[lambda d: self._member(some(("int", "decimal", "text", "date")), d)] * 2,
            lambda d: f"{some(('contains', 'starts_with', 'ends_with'))}({w('text', d)}, {w('text', d)})",
            lambda d: f"is_mobile({w('text', d)})",
            lambda d: "has_role('officer')", lambda d: "has_role('clerk')",
        ]
        return forms + ([] if self.inside_items else self._thing_bools())

    def _thing_bools(self) -> list[Callable[[int], str]]:
        w, some, child = self.write, self.choose, Writer(self.choose, inside_items=True)
        return [
            lambda d: f"is_id_card({some(('t', 's', 'customer.name'))})",
            lambda d: f"({w('text', d)} {some(('in', 'not in'))} tags)",
            lambda d: some(("(customer in user.homes)", "(other in user.homes)", "(customer == user.home)", "(other != user.home)",
                            "(customer == other)", "(t in user.none)", "(s not in user.none)", "(customer is null)",
                            "(user_id() == user.id)", "(tags is null)")),
            lambda d: f"(state {some(('==', '!='))} '{some(STATES)}')",
            lambda d: f"(state {some(('in', 'not in'))} ['draft', 'closed'])",
            lambda d: f"any(items, {child.write('bool', min(d, 1))})",
            lambda d: f"all(items, {child.write('bool', min(d, 1))})",
        ]

    def _compared(self, kind: str, depth: int) -> str:
        other = self.choose(("int", "decimal")) if kind in ("int", "decimal") else kind
        return f"({self.write(kind, depth)} {self.choose(('==', '!=', '<', '<=', '>', '>='))} {self.write(other, depth)})"

    def _simple(self, kind: str) -> str:
        """A column against a literal, the commonest rule of all."""
        return f"({self.choose(self._fields(kind))} {self.choose(('==', '!=', '<', '<=', '>', '>='))} {self.choose(_LITERALS[kind])})"

    def _negative(self, kind: str, depth: int) -> str:
        inner = self.write(kind, depth)
        return f"(-{'1' if inner == '0' else inner})"

    def _member(self, kind: str, depth: int) -> str:
        members = sorted({self.choose(_LITERALS[kind]) for _ in range(3)})
        return f"({self.write(kind, depth)} {self.choose(('in', 'not in'))} [{', '.join(members)}])"

    def _int(self) -> list[Callable[[int], str]]:
        w, some = self.write, self.choose
        forms = [
            *[lambda d: f"({w('int', d)} {some('+-*%')} {w('int', d)})"] * 2,
            lambda d: self._negative("int", d),
            *[lambda d: f"{some(('floor', 'ceil'))}({w('decimal', d)})"] * 2,
            lambda d: f"abs({w('int', d)})",
            lambda d: f"{some(('min', 'max'))}({w('int', d)}, {w('int', d)})",
            lambda d: f"length({w('text', d)})",
            lambda d: f"days_between({w('date', d)}, {w('date', d)})",
            lambda d: f"{some(('year', 'month', 'day'))}({w('date', d)})",
            lambda d: f"age_years({w('date', d)}, {w('date', d)})",
        ]
        return forms + ([] if self.inside_items else self._totals("int"))

    def _decimal(self) -> list[Callable[[int], str]]:
        w, some = self.write, self.choose
        numbers = ("int", "decimal")
        forms = [
            *[lambda d: f"({w('decimal', d)} {some('+-*/%')} {w(some(numbers), d)})"] * 2,
            lambda d: f"({w('int', d)} / {w(some(numbers), d)})",
            lambda d: self._negative("decimal", d),
            lambda d: f"abs({w('decimal', d)})",
            lambda d: f"round({w(some(numbers), d)}, {some((0, 1, 2, 5, 12))})",
            lambda d: f"round({w('decimal', d)})",
            lambda d: f"{some(('min', 'max'))}({w('decimal', d)}, {w('int', d)}, {w('decimal', d)})",
        ]
        return forms + ([] if self.inside_items else self._totals("decimal"))

    def _totals(self, kind: str) -> list[Callable[[int], str]]:
        some, child = self.choose, Writer(self.choose, inside_items=True)
        name = {"int": "n", "decimal": "amount"}[kind]
        forms = [
            lambda d: f"{some(('sum', 'min', 'max'))}(items.{name})",
            lambda d: f"{some(('sum', 'min', 'max'))}(items, {child.write(kind, min(d, 1))})",
        ]
        counts = [lambda d: "count(items)", lambda d: f"count(items, {child.write('bool', min(d, 1))})"]
        return forms + (counts if kind == "int" else [])

    def _text(self) -> list[Callable[[int], str]]:
        w, some = self.write, self.choose
        return [
            lambda d: f"({w('text', d)} + {w('text', d)})",
            lambda d: f"concat({w('text', d)}, {w('text', d)}, {w('text', d)})",
            *[lambda d: f"{some(('lower', 'upper', 'trim'))}({w('text', d)})"] * 2,
            *([] if self.inside_items else [lambda d: "coalesce(state, t)"]),
        ]

    def _date(self) -> list[Callable[[int], str]]:
        w, some = self.write, self.choose
        forms = [
            lambda d: "business_date()",
            *[lambda d: f"{some(('add_days', 'add_months'))}({w('date', d)}, {w('int', d)})"] * 2,
            lambda d: f"{some(('min', 'max'))}({w('date', d)}, {w('date', d)})",
        ]
        return forms + ([] if self.inside_items else [lambda d: f"{some(('min', 'max'))}(items.due)"])

    def _datetime(self) -> list[Callable[[int], str]]:
        return [lambda d: "now()", lambda d: f"{self.choose(('min', 'max'))}({self.write('datetime', d)}, {self.write('datetime', d)})"]

    def _time(self) -> list[Callable[[int], str]]:
        return [lambda d: f"{self.choose(('min', 'max'))}({self.write('time', d)}, {self.write('time', d)})"]


def _quoted(text: str) -> str:
    return f'"{text}"'


_LITERALS: dict[str, tuple[str, ...]] = {
    "bool": ("true", "false"),
    "int": ("0", "1", "2", "-3", "7", "12", "100", "1000000000000000000"),
    "decimal": ("0.5", "0.005", "2.665", "-1.5", "100.00", "3.000000000001", "12345678901234567890.5", "0.000000000001", "-0.01",
                "500.505", "-0.005", "-0.015"),
    "text": tuple(_quoted(text) for text in _TEXTS if text.isprintable()),
    "date": ("date('2024-02-29')", "date('2026-01-31')", "date('1900-03-01')", "date('9999-12-31')"),
    "datetime": ("datetime('2026-02-28T17:30:00+08:00')", "datetime('2026-02-28T09:30:00.25Z')"),
    "time": ("time('08:30')", "time('23:59:59')"),
}
KINDS = ("bool", "bool", "bool", "int", "decimal", "decimal", "text", "date", "datetime", "time")


# -- the doors -----------------------------------------------------------------------------------

class Node:
    """One long-lived node process that evaluates browser trees."""

    def __init__(self, script: Path = SCRIPT) -> None:
        command = [shutil.which("node") or "node", str(Path(__file__).with_name("evaluate.js")), str(script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def verdicts(self, rules: list[Checked], records: list[dict[str, Any]], env: Env) -> list[list[Any]]:
        known = {name: getattr(env, name) for name in ("business_date", "now", "user_id", "roles", "user")}
        batch = {"trees": [to_browser(rule) for rule in rules], "records": browser_value(records), "env": browser_value(known)}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(batch) + "\n")
        self.process.stdin.flush()
        answer: Any = json.loads(self.process.stdout.readline())
        assert isinstance(answer, list), answer["error"]
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def sqlite_engine() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    sa.event.listen(engine, "connect", lambda connection, _: register_sqlite_functions(connection))
    METADATA.create_all(engine)
    return engine


def python_verdicts(rules: list[Checked], records: list[dict[str, Any]], env: Env) -> list[list[Any]]:
    return [[function(row, env) for row in records] for function in map(to_python, rules)]


def sql_verdicts(engine: sa.Engine, rules: list[Checked], records: list[dict[str, Any]], env: Env) -> list[list[Any]]:
    """Stores the records, asks all rules in one query, forgets the records."""
    clauses = [to_sql(rule, ThingResolver(), engine.dialect.name, env) for rule in rules]
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # new files, or the rows rolled back before would slow each query
            connection.execute(sa.text("TRUNCATE customer, thing, item"))
        _store(connection, records)
        rows = connection.execute(sa.select(*(clause.label(f"r{i}") for i, clause in enumerate(clauses)), THINGS.c.id).order_by(THINGS.c.id)).all()
        connection.rollback()
    return [[_of_kind(rule, row[i]) for row in rows] for i, rule in enumerate(rules)]


def _of_kind(rule: Checked, value: Any) -> Any:
    return bool(value) if rule.type.kind == "bool" and value is not None else value


def _store(connection: sa.Connection, records: list[dict[str, Any]]) -> None:
    customers = {row["customer"]["id"]: row["customer"] for row in records if row["customer"]}
    if customers:
        connection.execute(CUSTOMERS.insert(), list(customers.values()))
    things = [{**{k: v for k, v in row.items() if k != "items"}, "customer": row["customer"] and row["customer"]["id"]} for row in records]
    connection.execute(THINGS.insert(), things)
    items = [{**item, "thing_id": row["id"]} for row in records for item in row["items"]]
    if items:
        connection.execute(ITEMS.insert(), items)


def differences(rules: list[Checked], records: list[dict[str, Any]], engines: Iterable[sa.Engine], node: Node | None) -> list[str]:
    """One line per rule for which a target's verdict differs from Python's."""
    expected = python_verdicts(rules, records, ENV)
    found: list[str] = []
    for engine in engines:
        found += _differing(engine.dialect.name, rules, records, expected, sql_verdicts(engine, rules, records, ENV))
    if node is not None:
        found += _differing("browser", rules, records, expected, _from_browser(rules, expected, node.verdicts(rules, records, ENV)))
    return found


def _from_browser(rules: list[Checked], expected: list[list[Any]], given: list[list[Any]]) -> list[list[Any]]:
    """Browser answers as Python values: numbers from their text; other values by what Python's look like there."""
    out = []
    for rule, wanted, row in zip(rules, expected, given, strict=True):
        if rule.type.is_number:
            out.append([None if value is None else Decimal(value) for value in row])
        else:
            out.append([a if browser_value(a) == b else b for a, b in zip(wanted, row, strict=True)])
    return out


def _differing(door: str, rules: list[Checked], records: Any, expected: Any, actual: Any) -> list[str]:
    lines = []
    for rule, wanted, given in zip(rules, expected, actual, strict=True):
        for row, a, b in zip(records, wanted, given, strict=True):
            if a != b or (a is None) != (b is None):
                values = {path: row.get(path[0]) for path in sorted(rule.paths)}
                lines.append(f"{door}: {rule.text}\n   python {a!r}, {door} {b!r}\n   {values}")
                break
    return lines


def compile_all(texts: Iterable[str], scope: Scope) -> list[Checked]:
    return [compile(text, scope) for text in texts]
