"""冲销顺序 of a product's own: entered with the version, checked, frozen with each loan, and read alike by loan, quote and oracle."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from metaloom.base.errors import NotPossible
from metaloom_plugins.loan_math import matrix
from metaloom_plugins.loan_math.errors import LoanMathError
from metaloom_plugins.loan_math.quote import quote
from metaloom_plugins.loan_servicing.arithmetic import Matrices, Penalty, Terms, contract_of, read_matrices
from metaloom_plugins.loan_servicing.fold import Agreement, Txn, fold
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.oracle import Oracle
from tests.plugins.loan_servicing.test_model import DUES

COMPONENTS = ("fee", "penalty", "compound", "interest", "principal")


def row(stage: str, components: str, kind: str = "any", asset_class: str = "any", way: str = "by_period") -> dict[str, str]:
    return {"kind": kind, "asset_class": asset_class, "way": way, "stage": stage,
            **dict(zip(matrix.PLACES, components.split(), strict=True))}


PRINCIPAL_LAST = "fee penalty compound interest principal"
PRINCIPAL_FIRST = "principal interest compound penalty fee"


def some_rows(dice: Random) -> list[dict[str, str]]:
    rows = []
    for kind, standing in dice.sample([(a, b) for a in ("any", "due", "suspense") for b in ("any", "normal", "overdue", "non_performing")], 3):
        way = dice.choice(["by_period", "by_component"])
        for stage in ("past_due", "due", *(["running"] if dice.random() < 0.6 else [])):
            rows.append(row(stage, " ".join(dice.sample(COMPONENTS, 5)), kind, standing, way))
    return rows


def agreement(rows: list[dict[str, str]]) -> Agreement:
    terms = Terms(principal=D("100000.00"), annual_rate=D("0.12"), method="EQUAL_INSTALMENT", periods=12, start_date=START)
    return Agreement(replace(contract_of(terms), penalty=Penalty(Fraction(18, 100))), own=read_matrices(rows))


def receipts(dice: Random) -> dict[int, tuple[date, int]]:
    return {seq: (START + timedelta(days=dice.randrange(0, 400)), dice.choice([888488, dice.randrange(1, 2000000)])) for seq in range(1, dice.randrange(2, 12))}


def said(agreed: Agreement, paid: dict[int, tuple[date, int]], today: date) -> dict[str, int]:
    life = fold(agreed, [Txn(seq, "due", on, amount) for seq, (on, amount) in paid.items()], today)
    owed = {name: sum(life.open_of(line, today)[name] for line in life.lines) for name in ("principal", "interest", "penalty")}
    return {**owed, "suspense": life.suspense, "dpd": life.dpd(today)}


def by_key(rows: list[dict[str, str]]) -> dict[tuple[str, str], tuple[str, dict[str, tuple[str, ...]]]]:
    found: dict[tuple[str, str], tuple[str, dict[str, tuple[str, ...]]]] = {}
    for one in rows:
        _, stages = found.setdefault((one["kind"], one["asset_class"]), (one["way"], {}))
        stages[one["stage"]] = tuple(one[place] for place in matrix.PLACES)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_the_fold_and_the_oracle_walk_any_matrix_alike(seed: int) -> None:
    dice = Random(seed)
    rows, paid = some_rows(dice), receipts(dice)
    today = START + timedelta(days=dice.randrange(20, 420))
    assert said(agreement(rows), paid, today) == Oracle(10000000, 888488, START, DUES, paid, by_key(rows)).state(today)


@pytest.mark.parametrize("seed", range(30))
def test_the_loan_and_the_quote_walk_any_matrix_alike(seed: int) -> None:
    """One receipt for each month on a day of its own: a quote lets the overpayment pay before the receipts of that day, a loan after them."""
    dice = Random(1000 + seed)
    rows = some_rows(dice)
    paid = {seq: (START + timedelta(days=31 * seq + 3 + dice.randrange(0, 9)), dice.randrange(1, 2000000)) for seq in range(1, dice.randrange(2, 10))}
    today = date(2026, 3, 1)
    events = [{"kind": "payment", "date": on.isoformat(), "amount": str(D(amount).scaleb(-2))} for on, amount in paid.values()]
    state = quote({"principal": "100000.00", "annual_rate": "0.12", "method": "EQUAL_INSTALMENT", "periods": 12, "start_date": START.isoformat(),
                   "day_count": "30/360", "penalty": {"rate": "0.18"}, "allocation_matrices": rows, "events": events, "as_of": today.isoformat()})["state"]
    found = said(agreement(rows), paid, today)
    assert {name: int(D(state[name]).scaleb(2)) for name in ("principal", "interest", "penalty", "suspense")} | {"dpd": state["dpd"]} == found


@pytest.mark.parametrize("bug", ["the kind first", "bills before places", "the running bill always"])
def test_a_planted_error_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bug == "the kind first":
        monkeypatch.setattr(Matrices, "of", lambda self, kind, standing: next(
            (self._by[key] for key in ((kind, standing), (kind, "any"), ("any", standing), ("any", "any")) if key in self._by), None))
    elif bug == "bills before places":
        monkeypatch.setattr(matrix.Staged, "walk", lambda self, bills: ((bill, one) for bill in bills for one in self.stages.get(bill.state, ())))
    else:
        monkeypatch.setattr(matrix.Staged, "walk", lambda self, bills: ((bill, one) for bill in bills for one in self.stages.get(bill.state, COMPONENTS)))
    red = 0
    for seed in range(60):
        try:
            test_the_fold_and_the_oracle_walk_any_matrix_alike(seed)
        except AssertionError:
            red += 1
    assert red >= 2, red


def test_a_standard_rule_written_as_a_matrix_pays_the_same() -> None:
    """By component in the usual order is the preset BY_COMPONENT, as far as bills fell due."""
    rows = [row(stage, PRINCIPAL_LAST, way="by_component") for stage in ("past_due", "due")]
    bills = [matrix.OpenBill(no, state, {"fee": 7, "penalty": 5, "compound": 3, "interest": 20, "principal": 100})
             for no, state in ((1, "past_due"), (2, "past_due"), (3, "due"), (4, "in_advance"))]
    own = read_matrices(rows).of("due", "overdue")
    assert own is not None
    for amount in range(0, 500, 7):
        assert matrix.spread(own, bills, amount) == matrix.spread(matrix.PRESETS["BY_COMPONENT"], bills, amount)


@pytest.mark.parametrize(("rows", "key", "code"), [
    ([row("past_due", "fee fee compound interest principal"), row("due", PRINCIPAL_LAST)], "allocation_matrices[0].second", "twice"),
    ([row("past_due", PRINCIPAL_LAST)], "allocation_matrices[0].stage", "needs"),
    ([row("past_due", PRINCIPAL_LAST), row("due", PRINCIPAL_LAST), row("due", PRINCIPAL_FIRST)], "allocation_matrices[2].stage", "twice"),
    ([row("past_due", PRINCIPAL_LAST), row("due", PRINCIPAL_LAST, way="by_component")], "allocation_matrices[1].way", "conflict"),
    ([row("past_due", PRINCIPAL_LAST), row("due", PRINCIPAL_LAST), row("past_due", PRINCIPAL_LAST, "settle")], "allocation_matrices[2].stage", "needs"),
    ([row("past_due", "fee penalty compound interest tip"), row("due", PRINCIPAL_LAST)], "allocation_matrices[0].fifth", "unknown_choice"),
    ([row("tomorrow", PRINCIPAL_LAST)], "allocation_matrices[0].stage", "unknown_choice"),
])
def test_rows_that_contradict_themselves_are_refused(rows: list[dict[str, str]], key: str, code: str) -> None:
    with pytest.raises(LoanMathError) as refused:
        read_matrices(rows)
    assert (refused.value.key, refused.value.code) == (key, code)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_frozen_is_what_was_entered(seed: int) -> None:
    own = read_matrices(some_rows(Random(seed)))
    assert Matrices.parse(own.text) == own
    assert Matrices.parse("") == Matrices()


# -- in the database


def orders(*rows: dict[str, str]) -> list[dict[str, Any]]:
    return [dict(one) for one in rows]


def test_a_product_manager_enters_a_matrix_and_a_loan_keeps_it(both_lenders: Lender) -> None:
    """Late interest after late principal; the next version of the product leaves the signed loan as it is."""
    lender = both_lenders
    product = lender.product(allocation_orders=orders(row("past_due", PRINCIPAL_FIRST), row("due", PRINCIPAL_LAST)))
    loan = lender.loan(product)
    snapshot = lender.row("term_snapshot", lender.row("loan", loan)["snapshot_id"])
    assert "全部交易，全部状态，按期冲销，已逾期：本金 → 利息 → 复利 → 罚息 → 费用" in snapshot["allocation_words"]
    said = "any transaction, any standing, by period, past due: principal → interest → compound interest → penalty → fee"
    assert said in snapshot["allocation_words_en"] and len(snapshot["allocation_words_en"].splitlines()) == len(snapshot["allocation_words"].splitlines()) == 2
    lender.release_version(product, 2)
    lender.day(date(2025, 3, 1))
    paid = lender.repay(loan, "8000.00")
    assert (paid["principal"], paid["interest"], paid["penalty"]) == (D("7884.88"), D("115.12"), D("0.00"))
    early = lender.repay(loan, "2000.00")
    assert early["surplus"] > 0, "the running bill is not in the matrix: the rest waits"
    lender.day(date(2025, 7, 2))
    later = lender.repay(loan, "1000.00")
    assert (later["principal"], later["interest"]) == (D("1000.00"), D("0.00"))
    lender.do("fincheck", "repayment", paid["id"], "reverse", {}, "入错账户")
    books_agree(lender)


def test_a_loan_that_stands_otherwise_is_spread_otherwise(both_lenders: Lender) -> None:
    lender = both_lenders
    product = lender.product(allocation_orders=orders(
        row("past_due", PRINCIPAL_LAST), row("due", PRINCIPAL_LAST), row("running", PRINCIPAL_LAST),
        row("past_due", PRINCIPAL_FIRST, asset_class="non_performing", way="by_component"),
        row("due", PRINCIPAL_FIRST, asset_class="non_performing", way="by_component")))
    loan = lender.loan(product)
    start = lender.stage.today
    lender.day(start + timedelta(days=45))
    first = lender.repay(loan, "1000.00")
    assert (first["principal"], first["interest"] + first["penalty"]) == (D("0.00"), D("1000.00"))
    lender.day(start + timedelta(days=200))
    assert lender.repay(loan, "9000.00")["principal"] == D("9000.00")
    books_agree(lender)


@pytest.mark.parametrize(("rows", "said"), [
    ([row("past_due", PRINCIPAL_LAST)], "第 1 行：这种交易和资产状态须有“已逾期”和“当日到期”两行"),
    ([row("past_due", PRINCIPAL_LAST), row("due", PRINCIPAL_LAST, way="by_component")], "第 2 行：同一交易、同一资产状态的各行须用同一冲销方式"),
])
def test_a_contradiction_is_refused_as_the_version_is_handed_in(lender: Lender, rows: list[dict[str, str]], said: str) -> None:
    with pytest.raises(NotPossible) as refused:
        lender.product(allocation_orders=rows)
    assert said in refused.value.message.say("zh")
