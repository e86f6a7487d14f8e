"""其他收支: capital, the tax of a month; two people, a balanced entry, a mirror that takes it back. The sale of an asset: test_disposal.py."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import end_day, tick
from tests.plugins.loan_servicing.test_vat import _taxpayer


def entered(shop: Lender, **values: object) -> int:
    made = shop.create("finance", "other_money", values)
    shop.do("finance", "other_money", made, "submit_money")
    return made


def test_capital_is_entered_by_one_and_booked_by_another(both_lenders: Lender) -> None:
    shop = both_lenders
    made = entered(shop, kind="capital", amount=D("1000000.00"))
    for who in ("officer", "finance", "product"):
        with pytest.raises((NotAllowed, NotFound)):
            shop.do(who, "other_money", made, "post_money")
    shop.do("fincheck", "other_money", made, "return_money", reason="金额有误")
    shop.change("finance", "other_money", made, {"amount": D("2000000.00")})
    shop.do("finance", "other_money", made, "submit_money")
    with pytest.raises(NotPossible):
        shop.change("finance", "other_money", made, {"amount": D("3000000.00")})
    shop.do("fincheck", "other_money", made, "post_money")
    assert (shop.account("1002"), shop.account("4001")) == (D("2000000.00"), D("-2000000.00"))
    with pytest.raises(NotPossible):
        shop.do("fincheck", "other_money", made, "post_money")
    shop.do("fincheck", "other_money", made, "reverse_money", reason="重复登记")
    assert (shop.account("1002"), shop.account("4001")) == (0, 0)
    with pytest.raises(NotPossible):
        shop.do("fincheck", "other_money", made, "reverse_money", reason="重复登记")


def test_the_tax_of_a_month_is_paid_once_and_never_beyond_what_is_owed(both_lenders: Lender) -> None:
    shop = both_lenders
    _taxpayer(shop, "general")
    tick(shop)
    loan = shop.loan()
    assert shop.row("loan", loan)["disbursed_on"] == START
    end_day(shop, 31)
    shop.repay(loan, "8884.88")
    end_day(shop, 20)
    owed = -shop.account("2221")
    assert owed > D("56.60"), "6 % within 1000.00 and what ran since"
    with pytest.raises(NotPossible, match="尚未结束|not over"):
        entered(shop, kind="vat_paid", amount=D("1.00"), tax_month="2025-03")
    with pytest.raises(NotPossible, match="2026-03"):
        entered(shop, kind="vat_paid", amount=D("1.00"), tax_month="二月份")
    with pytest.raises(NotPossible, match="2221|应交增值税|tax owed"):
        entered(shop, kind="vat_paid", amount=owed + D("0.01"), tax_month="2025-02")
    made = entered(shop, kind="vat_paid", amount=D("50.00"), tax_month="2025-02")
    with pytest.raises((Invalid, NotPossible)):
        entered(shop, kind="vat_paid", amount=D("0.01"), tax_month="2025-02")
    bank = shop.account("1002")
    shop.do("fincheck", "other_money", made, "post_money")
    assert (-shop.account("2221"), shop.account("1002") - bank) == (owed - D("50.00"), D("-50.00"))
    end_day(shop, 1)
    books_agree(shop)
    with pytest.raises(NotPossible):
        entered(shop, kind="vat_paid", amount=owed, tax_month="2025-01")
    shop.do("fincheck", "other_money", made, "reverse_money", reason="税款退回")
    assert shop.account("1002") == bank
    entered(shop, kind="vat_paid", amount=D("50.00"), tax_month="2025-02")
    books_agree(shop)
    assert shop.stage.today > START + timedelta(days=50)
