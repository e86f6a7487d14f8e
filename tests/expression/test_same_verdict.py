"""A rule means the same at every door: random typed expressions over random records, in Python, SQLite, PostgreSQL, browser.

METALOOM_EXPRESSION_EXAMPLES sets the number of batches; the nightly run takes thirty times as many, other ones each time.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaloom.expression import Checked, ExpressionError, Typed, compile, exact, target_python, target_sql
from tests.expression.world import (
    ENV,
    KINDS,
    SCRIPT,
    Node,
    Writer,
    count_nulls,
    differences,
    make_scope,
    python_verdicts,
    random_records,
)

BATCHES = int(os.environ.get("METALOOM_EXPRESSION_EXAMPLES", "160"))
RULES, RECORDS = 8, 12
LIMITS = {"expression.too_costly", "expression.too_long", "expression.too_deep", "expression.too_many_nodes", "expression.too_many_digits"}

EVERY_OPERATION = """
    const field env list is_null and or not if coalesce in eq ne lt le gt ge add sub mul div mod neg to_decimal abs floor ceil
    round min max length lower upper trim contains starts_with ends_with concat days_between add_days add_months year month
    day age_years is_mobile is_id_card total""".split()


class Tally:
    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.rules = self.nulls = self.values = self.refused = 0

    def add(self, rules: list[Checked], records: list[dict[str, Any]]) -> None:
        self.rules += len(rules)
        nulls, values = count_nulls(records)
        self.nulls, self.values = self.nulls + nulls, self.values + values
        for rule in rules:
            self._visit(rule.node)
        for row in python_verdicts(rules, records, ENV):
            self.verdicts.update("null" if value is None else type(value).__name__ for value in row)

    def _visit(self, node: Typed) -> None:
        self.operations[node.op] += 1
        for arg in node.args:
            self._visit(arg)

    def check(self, batches: int) -> None:
        share = self.nulls / self.values
        print(f"\n{self.rules} rules ({self.refused} beyond a limit), verdicts {dict(self.verdicts)}, nulls in records {share:.1%}")
        print("operations " + " ".join(f"{op}={count}" for op, count in self.operations.most_common()))
        assert self.rules >= batches * RULES * 0.9
        assert share >= 0.10
        missing = [op for op in EVERY_OPERATION if self.operations[op] < max(3, batches // 40)]
        assert not missing, f"too few expressions with {missing}"
        assert min(self.verdicts[kind] for kind in ("bool", "int", "Decimal", "str", "date", "datetime", "time", "null")) >= batches // 2


@st.composite
def _batches(draw: st.DrawFn) -> tuple[list[str], int]:
    writer = Writer(lambda options: draw(st.sampled_from(options)))
    texts = [writer.write(draw(st.sampled_from(KINDS)), draw(st.integers(1, 4))) for _ in range(RULES)]
    return texts, draw(st.integers(0, 10**9))


def _seeded(pick: random.Random, count: int) -> list[str]:
    """Rules of an even spread, beside those that hypothesis writes and shrinks."""
    writer = Writer(pick.choice)
    commonest = [writer._simple(pick.choice(("decimal", "int"))) for _ in range(count // 4)]
    return commonest + [writer.write(pick.choice(KINDS), pick.randint(1, 4)) for _ in range(count - len(commonest))]


def _compiled(texts: list[str], tally: Tally) -> list[Checked]:
    scope, rules = make_scope(), []
    for text in texts:
        try:
            rules.append(compile(text, scope))
        except ExpressionError as error:
            assert error.code in LIMITS, f"{text}: {error}"
            tally.refused += 1
    return rules


def _run(engines: list[sa.Engine], node: Node, batches: int, fixed: bool) -> None:
    """Half of the batches are written (and shrunk) by hypothesis, half by a seeded generator that spreads evenly."""
    tally = Tally()

    def agree(texts: list[str], seed: int) -> None:
        rules, records = _compiled(texts, tally), random_records(random.Random(seed), RECORDS)
        tally.add(rules, records)
        found = differences(rules, records, engines, node)
        assert not found, "\n".join(found)

    @settings(max_examples=batches // 2, deadline=None, database=None, derandomize=fixed, suppress_health_check=list(HealthCheck))
    @given(_batches())
    def every_door_agrees(batch: tuple[list[str], int]) -> None:
        agree(*batch)

    every_door_agrees()
    first = 0 if fixed else random.SystemRandom().randrange(10**9)
    for seed in range(first, first + batches - batches // 2):
        agree(_seeded(random.Random(seed), RULES), seed)
    tally.check(batches)


def test_a_rule_gives_the_same_verdict_in_python_sqlite_postgresql_and_browser(engines: list[sa.Engine], node: Node) -> None:
    _run(engines, node, BATCHES, fixed=True)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_rule_gives_the_same_verdict_over_many_more_expressions(engines: list[sa.Engine], node: Node) -> None:
    _run(engines, node, BATCHES * 30, fixed=False)


# -- the check itself is checked: each of these faults must be seen ------------------------------

def _half_even(x: Any, places: int) -> Any:
    return exact.Decimal(x).quantize(exact.Decimal(1).scaleb(-places), rounding="ROUND_HALF_EVEN", context=exact.EXACT)


def _null_equals_null(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = target_python._Writer._strict

    def loose(self: Any, template: str, args: list[str]) -> str:
        return template.format(*args) if " == " in template else whole(self, template, args)
    monkeypatch.setattr(target_python._Writer, "_strict", loose)


def _null_is_false_in_or(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_valued(self: Any, node: Typed, stop: str) -> str:
        return self._assign(f" {'and' if stop == 'False' else 'or'} ".join(self.emit(arg) for arg in node.args))
    monkeypatch.setattr(target_python._Writer, "_kleene", two_valued)


def _sqlite_drops_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_sql, "_scale", lambda column: 2)


def _sqlite_keeps_the_sign_of_a_cut_literal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_sql, "ROUND_FLOOR", "ROUND_DOWN")


def _postgresql_trims_spaces_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(target_sql._POSTGRESQL, "trim", lambda text: sa.func.btrim(text))


def _postgresql_divides_with_few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    def native(self: Any, node: Typed) -> Any:
        over, under = (self.emit(arg) for arg in node.args)
        return sa.func.round(over.op("/", precedence=15)(sa.func.nullif(under, sa.literal_column("0"))), 6, type_=sa.Numeric())
    monkeypatch.setattr(target_sql._PostgreSQL, "_div", native)


PYTHON_AND_SQL_FAULTS = {
    "round half to even": lambda patch: patch.setitem(target_python._HELPERS, "ROUND", _half_even),
    "null == null is true": _null_equals_null,
    "and/or treat null as false": _null_is_false_in_or,
    "SQLite drops the scale of a column": _sqlite_drops_the_scale,
    "SQLite cuts a long literal towards zero": _sqlite_keeps_the_sign_of_a_cut_literal,
    "PostgreSQL trims spaces only": _postgresql_trims_spaces_only,
    "PostgreSQL divides with too few places": _postgresql_divides_with_few_places,
}

BROWSER_FAULTS = {
    "half goes towards zero": ("(2n * magnitude(a) + magnitude(b))", "(2n * magnitude(a) + magnitude(b) - 1n)"),
    "text in UTF-16 order": ("return comparePoints(a, b);", "return a < b ? -1 : a > b ? 1 : 0;"),
    "month end spills over": ("Math.min(d, monthLength(year, month))", "Math.min(d, 31)"),
}


def _seen(engines: list[sa.Engine], node: Node | None) -> bool:
    """Whether the check finds a difference within a fixed run of batches."""
    for seed in range(300):
        pick = random.Random(seed)
        if differences(_compiled(_seeded(pick, RULES), Tally()), random_records(pick, RECORDS), engines, node):
            return True
    return False


@pytest.mark.parametrize("fault", PYTHON_AND_SQL_FAULTS)
def test_the_check_sees_a_planted_fault(fault: str, engines: list[sa.Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    PYTHON_AND_SQL_FAULTS[fault](monkeypatch)
    sqlite, postgresql = engines
    assert _seen([postgresql if fault.startswith("PostgreSQL") else sqlite], None)


@pytest.mark.parametrize("fault", BROWSER_FAULTS)
def test_the_check_sees_a_planted_fault_in_the_browser(fault: str, tmp_path: Path) -> None:
    right, wrong = BROWSER_FAULTS[fault]
    source = SCRIPT.read_text(encoding="utf-8")
    assert right in source
    (tmp_path / "expression.js").write_text(source.replace(right, wrong), encoding="utf-8")
    node = Node(tmp_path / "expression.js")
    try:
        assert _seen([], node)
    finally:
        node.close()
