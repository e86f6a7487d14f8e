"""What a loan costs is counted by its dates, and nothing dearer than the cap is paid out (domain specification §4.9, §5)."""

from datetime import date
from decimal import Decimal as D

import pytest

from metaloom.base.errors import NotPossible
from tests.plugins.lender import Lender

SHORT = {"amount": D(1000), "term": 1, "method": "EQUAL_INSTALMENT", "rate": D("0.24")}


def frozen(lender: Lender, product: int, **terms: object) -> D:
    """The simple yearly cost of a drawdown that was submitted."""
    _, account, limit = lender.limit(product, **{**SHORT, **terms})
    shape = {name: value for name, value in {**SHORT, **terms}.items() if name != "rate"}
    drawdown = lender.drawdown(limit, account, **shape)
    lender.do("officer", "drawdown", drawdown, "submit")
    found: D = lender.rows("term_snapshot", drawdown_id=drawdown)[0]["apr_simple"]
    return found


def test_a_month_at_the_cap_with_a_fixed_due_day_is_paid_out_whatever_the_day(lender: Lender) -> None:
    product = lender.product(due_day_rule="fixed", fixed_due_day=28)
    lender.day(date(2025, 2, 10))
    assert D("0.2380") < frozen(lender, product) <= D("0.2402")                       # 46 days, not one month
    assert D("0.2380") < frozen(lender, product, term=3, method="INTEREST_ONLY") <= D("0.2402")
    early = lender.product(due_day_rule="fixed", fixed_due_day=1)
    lender.day(date(2025, 2, 26))
    assert D("0.2380") < frozen(lender, early) <= D("0.2403")                         # three days; 2.00 of interest


def test_what_costs_more_than_the_cap_is_still_refused(lender: Lender) -> None:
    dear = lender.product(day_count="ACT/360")
    _, account, limit = lender.limit(dear, **{**SHORT, "amount": D(50000), "term": 12})
    drawdown = lender.drawdown(limit, account, amount=D(50000), term=12)
    with pytest.raises(NotPossible, match="exceeds the cap"):
        lender.do("officer", "drawdown", drawdown, "submit")
    assert not lender.rows("term_snapshot", drawdown_id=drawdown)
