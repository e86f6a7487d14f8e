"""其他收支: capital, the tax of a month; two people, a balanced entry, a mirror that takes it back. The sale of an asset: test_disposal.py."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D

import pytest

from metaloom import ledger
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import end_day, tick
from tests.plugins.loan_servicing.test_vat import _taxpayer


def entered(shop: Lender, **values: object) -> int:
    return entered_by(shop, "finance", **values)


def entered_by(shop: Lender, who: str, **values: object) -> int:
    made = shop.create(who, "other_money", values)
    shop.do(who, "other_money", made, "submit_money")
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


def paid(shop: Lender, month: str, amount: D) -> int:
    made = entered(shop, kind="vat_paid", amount=amount, tax_month=month)
    shop.do("fincheck", "other_money", made, "post_money")
    return made


def tax_until(shop: Lender, end: date) -> D:
    """What was booked on 2221 before a day, payments of tax aside."""
    legs = [leg for leg in shop.rows("platform.ledger_leg", account="2221") if leg["booking_date"] < end and leg["entity"] != "lending.other_money"]
    return sum((leg["amount"] if leg["side"] == "credit" else -leg["amount"] for leg in legs), D(0))


def by_hand(shop: Lender, amount: D) -> None:
    """Somebody books a payment of tax without 其他收支."""
    with shop.tenant.write() as conn:
        ledger.post(conn, shop.tenant.revision(), ledger.Entry(
            event="vat_paid", amounts={"paid": amount}, company_id=shop.company, booking_date=shop.stage.today, value_date=shop.stage.today,
            cause=ledger.Cause("platform.company", shop.company)), now=shop.real.now())


def refused(shop: Lender, month: str, amount: D) -> None:
    with pytest.raises(NotPossible, match=f"{amount - D('0.01'):,.2f}"):
        entered(shop, kind="vat_paid", amount=amount, tax_month=month)


def test_months_of_tax_are_paid_in_any_order(both_lenders: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later month paid is not taken off an earlier one; what is gone from 2221 is never owed; more legs than a search gives all count."""
    shop = both_lenders
    for waits in shop.rows("other_money", kind="vat_paid", status="submitted"):
        shop.do("fincheck", "other_money", waits["id"], "return_money", reason="改期缴纳")
        shop.do("finance", "other_money", waits["id"], "void_money", reason="改期缴纳")
    for day in (date(2025, 3, 31), date(2025, 4, 30), date(2025, 5, 1)):
        end_day(shop, (day - shop.stage.today).days)
    march, april = tax_until(shop, date(2025, 4, 1)), tax_until(shop, date(2025, 5, 1))
    assert 0 < april - march < march
    monkeypatch.setattr("metaloom.command.work.FIND_MAX", 7)
    assert len(shop.rows("platform.ledger_leg", account="2221")) > 3 * 7
    refused(shop, "2025-04", april + D("0.01"))
    later = paid(shop, "2025-04", april - march)
    refused(shop, "2025-03", march + D("0.01"))
    earlier = paid(shop, "2025-03", march)
    refused(shop, "2025-02", D("0.01"))
    shop.do("fincheck", "other_money", earlier, "reverse_money", reason="缴款退回")
    refused(shop, "2025-03", march + D("0.01"))
    earlier = paid(shop, "2025-03", march)
    for one in (later, earlier):
        shop.do("fincheck", "other_money", one, "reverse_money", reason="缴款退回")
    books_agree(shop)
    by_hand(shop, -shop.account("2221") - D("1.00"))
    refused(shop, "2025-03", D("1.01"))
    paid(shop, "2025-03", D("1.00"))
    assert shop.account("2221") == 0


def test_who_books_it_has_written_no_word_of_it(both_lenders: Lender) -> None:
    """Somebody with both rights neither edits nor hands in what another entered, and so cannot book a sum of his own."""
    shop = both_lenders
    shop.stage.user("both", "both", ("lending.fin_maker", "lending.fin_check"), shop.company, shop.unit)
    made = shop.create("finance", "other_money", {"kind": "capital", "amount": D("1000.00")})
    with pytest.raises((NotAllowed, NotFound)):
        shop.change("both", "other_money", made, {"amount": D("9000.00")})
    with pytest.raises((NotAllowed, NotFound)):
        shop.do("both", "other_money", made, "submit_money")
    shop.do("finance", "other_money", made, "submit_money")
    shop.do("both", "other_money", made, "return_money", reason="金额有误")
    with pytest.raises((NotAllowed, NotFound)):
        shop.change("both", "other_money", made, {"amount": D("9000.00")})
    shop.change("finance", "other_money", made, {"amount": D("2000.00")})
    shop.do("finance", "other_money", made, "submit_money")
    shop.do("both", "other_money", made, "post_money")
    own = entered_by(shop, "both", kind="capital", amount=D("1.00"))
    with pytest.raises(NotAllowed):
        shop.do("both", "other_money", own, "post_money")
    assert shop.row("other_money", made)["amount"] == D("2000.00")
