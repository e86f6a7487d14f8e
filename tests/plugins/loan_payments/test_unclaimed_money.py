"""What we owe of a payment difference and nobody claims becomes income by two people after the company's period, and is owed again when its owner turns up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import MetaloomError, NotAllowed, NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_payments.differing import PENDING_MONEY, begin, handle, moved, open_ones, paying, sundry, told
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.test_invariants import changed

INCOME = "6301"


def owed(shop: Lender, paid: str = "19900.00") -> Any:
    """A payout of 20,000.00 of which the channel paid less; the rest is carried, and the day confirmed."""
    order = paying(shop)
    run = told(shop, (order, paid))
    (shown,) = open_ones(shop, run)
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", run, "close")
    return shop.row("payment_difference", shown["id"])


def period(shop: Lender, months: int | None) -> Any:
    return changed(shop, shop.tenant.revision().tables.of("platform.company"), shop.company, {"unclaimed_months": months})


def proposed(shop: Lender, difference: Any, way: str = "to_income") -> Any:
    shop.do("finance", "payment_difference", difference["id"], way, {"note": "多次联系未果"})
    return shop.rows("payment_difference", follows_id=difference["id"])[-1]


def refused(shop: Lender, difference: Any, way: str, match: str) -> None:
    with pytest.raises(NotPossible, match=match):
        proposed(shop, difference, way)


def test_what_nobody_claims_is_income_after_the_period_and_owed_again_when_its_owner_turns_up(shop: Lender) -> None:
    before, income = begin(shop), shop.account(INCOME)
    difference = owed(shop)
    assert moved(shop, before)[PENDING_MONEY] == D("-100.00")
    refused(shop, difference, "to_income", "sets no period")
    with period(shop, 1):
        refused(shop, difference, "to_income", "not over")
        shop.day(shop.stage.today + timedelta(days=31))
        with pytest.raises(NotAllowed):
            shop.do("fincheck", "payment_difference", difference["id"], "to_income", {"note": "核实"})
        asked = proposed(shop, difference)
        assert (asked["kind"], asked["status"], asked["treatment"]) == ("unclaimed", "proposed", "income") and shop.account(INCOME) == income
        refused(shop, difference, "to_income", "already")
        with pytest.raises(NotPossible):
            shop.do("finance", "payment_difference", asked["id"], "propose", {"treatment": "none", "note": "核实"})
        shop.do("fincheck", "payment_difference", asked["id"], "decline", reason="再联系一次")
        assert shop.row("payment_difference", asked["id"])["status"] == "gone"
        asked = proposed(shop, difference)
    shop.do("fincheck", "payment_difference", asked["id"], "confirm")
    assert (shop.account(INCOME) - income, moved(shop, before).get(PENDING_MONEY)) == (D("-100.00"), None)
    with pytest.raises(NotPossible):
        shop.do("fincheck", "other_money", sundry(shop, kind="difference_paid", difference=difference["id"], amount=D("0.01")), "post_money")
    with period(shop, 1):
        refused(shop, difference, "to_income", "nothing")
    kept = shop.row("payment_difference", asked["id"])
    refused(shop, difference, "from_income", "income")
    back = proposed(shop, kept, "from_income")
    refused(shop, kept, "from_income", "already")
    shop.do("fincheck", "payment_difference", back["id"], "confirm")
    assert (shop.account(INCOME), moved(shop, before)[PENDING_MONEY]) == (income, D("-100.00"))
    refused(shop, kept, "from_income", "already")
    shop.do("fincheck", "other_money", sundry(shop, kind="difference_paid", difference=difference["id"], amount=D("100.00")), "post_money")
    assert PENDING_MONEY not in moved(shop, before)
    books_agree(shop)


def test_only_what_is_left_and_what_we_owe_becomes_income(shop: Lender) -> None:
    begin(shop)
    income, ours, part = shop.account(INCOME), owed(shop, "20010.00"), None
    shop.day(shop.stage.today + timedelta(days=1))
    part = owed(shop)
    with period(shop, 1):
        shop.day(shop.stage.today + timedelta(days=40))
        refused(shop, ours, "to_income", "leaves us owing")
        asked = proposed(shop, part)
        shop.do("fincheck", "other_money", sundry(shop, kind="difference_paid", difference=part["id"], amount=D("60.00")), "post_money")
        with pytest.raises(NotPossible, match="40.00"):
            shop.do("fincheck", "payment_difference", asked["id"], "confirm")
        shop.do("fincheck", "payment_difference", asked["id"], "decline", reason="已补付一部分")
        shop.do("fincheck", "payment_difference", proposed(shop, part)["id"], "confirm")
    assert shop.account(INCOME) - income == D("-40.00")
    books_agree(shop)


def test_income_and_payment_at_once_never_exceed_what_is_owed(shop: Lender) -> None:
    before = begin(shop)
    difference = owed(shop)
    shop.day(shop.stage.today + timedelta(days=40))
    with period(shop, 1):
        asked = proposed(shop, difference)
    paid = sundry(shop, kind="difference_paid", difference=difference["id"], amount=D("100.00"))

    def done(entity: str, id: int, action: str) -> bool:
        try:
            shop.do("fincheck", entity, id, action)
        except MetaloomError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda one: done(*one), [("payment_difference", asked["id"], "confirm"), ("other_money", paid, "post_money")]))
    assert sum(both) == 1 and PENDING_MONEY not in moved(shop, before)
    books_agree(shop)
