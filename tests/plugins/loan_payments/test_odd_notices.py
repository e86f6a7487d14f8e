"""A genuine notice that cannot be right moves no money, and finance is told until somebody looked into it (reliability, case 95)."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from metaloom import expression
from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.compile import entity_scope
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.test_payments_together import callback

LEGS = "platform.ledger_leg"


def told(shop: Lender, alert: int) -> set[str]:
    """Who has a message with a link to the alert."""
    people = {row["id"]: row["username"] for row in shop.rows("platform.user")}
    return {people[row["receiver_id"]] for row in shop.rows("platform.message") if "odd_notice" in str(row["kind"]) or str(row["link"]).endswith(f"/{alert}")}


@pytest.mark.parametrize(("reference", "cents", "verdict"), [("ZF-NONE-1", 0, "unknown_order"), ("", 1, "amount_differs")])
def test_an_odd_notice_is_somebodys_and_finance_is_told(both_lenders: Lender, reference: str, cents: int, verdict: str) -> None:
    shop = both_lenders
    _, account, limit = shop.limit(amount=D(20000))
    shop.do("finance", "drawdown", shop.to_pay(shop.drawdown(limit, account, amount=D(20000))), "payout")
    order, before = shop.rows("payment_order")[-1], len(shop.rows(LEGS))
    assert desk.tell(shop, *callback(shop, order, "SUCCESS", 1, cents=cents, reference=reference)) == 200
    notice = shop.rows("payment_notice")[-1]
    assert (notice["verdict"], notice["company_id"], len(shop.rows(LEGS))) == (verdict, shop.company, before)
    shop.settle_outside()
    alerts = [row for row in shop.rows("platform.alert", record_id=notice["id"]) if row["rule"] == "lending.payment_notice/odd_notice"]
    assert [row["company_id"] for row in alerts] == [shop.company]
    assert {"finance", "fincheck"} <= told(shop, alerts[0]["id"])
    for stranger in ("officer", "check"):
        with pytest.raises((NotAllowed, NotFound)):
            shop.do(stranger, "payment_notice", notice["id"], "look_into", {"note": "已与渠道核实"})
    shop.do("fincheck", "payment_notice", notice["id"], "look_into", {"note": "已与渠道核实，系测试数据。"})
    shop.settle_outside()
    ended = next(row for row in shop.rows("platform.alert", record_id=notice["id"]) if row["rule"] == "lending.payment_notice/odd_notice")
    assert ended["status"] != alerts[0]["status"], "the cause is gone, the alert ends by itself"
    with pytest.raises(NotPossible):
        shop.do("finance", "payment_notice", notice["id"], "look_into", {"note": "再次处理"})


def test_a_notice_of_before_that_belongs_to_no_company_raises_no_alert(both_lenders: Lender) -> None:
    """Nobody of finance sees it, so nobody could end the alert."""
    revision = both_lenders.tenant.revision()
    rule = revision.catalog.warning_rules["lending.payment_notice/odd_notice"]
    checked = expression.compile(rule.when, entity_scope(revision.catalog, "lending.payment_notice"), expression.BOOL)
    seen = {"verdict": "unknown_order", "handled_on": None, "company": 1}
    holds = expression.to_python(checked)
    assert holds(seen, expression.Env()) is True and holds({**seen, "company": None}, expression.Env()) is not True
