"""A month is closed when it is done: every loan brought to its end, sub-ledger and ledger agree, its reconciliations confirmed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.command import alert_offers, close_month
from metaloom.command.findings import DoesNotHold
from tests.plugins.lender import Lender
from tests.plugins.loan_payments.desk import channel
from tests.plugins.loan_servicing.days import end_day, runs, tick
from tests.plugins.loan_servicing.test_invariants import changed

FEBRUARY = date(2025, 2, 3)


@pytest.fixture(scope="module")
def loan(both_lenders: Lender) -> int:
    made = both_lenders.loan()
    tick(both_lenders)
    both_lenders.day(FEBRUARY)
    return made


def close(shop: Lender, month: str = "2025-01") -> Any:
    return close_month(shop.stage.as_user("fincheck")._context(f"close {month} {len(shop.rows('platform.ledger_entry'))}"), month)


def refused(shop: Lender) -> tuple[str, str, list[tuple[str, int]]]:
    """The sentence in both languages, and the records that are linked."""
    before = len(shop.rows("platform.ledger_entry")), shop.rows("platform.ledger_period")
    with pytest.raises(DoesNotHold) as told:
        close(shop)
    assert (len(shop.rows("platform.ledger_entry")), shop.rows("platform.ledger_period")) == before
    said = told.value.message
    return said.say("zh"), said.say("en"), [(entity, record) for entity, record, _ in told.value.breaches]


def test_a_loan_that_lags_behind_the_last_day_keeps_the_month_open(both_lenders: Lender, loan: int) -> None:
    number = both_lenders.row("loan", loan)["loan_no"]
    zh, en, links = refused(both_lenders)
    assert zh.startswith(f"2025-01 还不能月结，有 1 项未完成。贷款 {number} 只计提到 2025-01-15"), zh
    assert number in en and links == [("lending.loan", loan)]
    waits = reconciliation(both_lenders, date(2025, 1, 31), "compared", 0, "DZ0")
    end_day(both_lenders)
    assert not offers(both_lenders), "one reconciliation is open"
    forget(both_lenders, "recon_run", waits)
    assert both_lenders.row("loan", loan)["accrued_through"] > date(2025, 1, 31)
    loans = both_lenders.tenant.revision().tables.of("lending.loan")
    settled = {"status": "settled", "settled_on": date(2025, 2, 1)}
    for values in ({}, settled, {**settled, "provisioned_through": None}):
        with changed(both_lenders, loans, loan, {"provisioned_through": date(2024, 12, 31), **values}):
            assert "未计提 2025-01-31 的准备金" in refused(both_lenders)[0]


def offers(shop: Lender) -> list[str]:
    return [row["link"] for row in shop.rows("platform.message", kind="platform.ledger_period")]


def forget(shop: Lender, entity: str, *ids: int) -> None:
    table = shop.tenant.revision().tables.of(f"lending.{entity}")
    with shop.tenant.write() as conn:
        conn.execute(sa.delete(table).where(table.c.id.in_(ids)))


def test_a_month_is_offered_once_on_the_day_on_which_it_is_done(both_lenders: Lender, loan: int) -> None:
    end_day(both_lenders)
    told = offers(both_lenders)
    assert told and set(told) == {f"/e/platform.ledger_period/new?month=2025-01&company={both_lenders.company}"}
    end_day(both_lenders)
    assert offers(both_lenders) == told


def test_a_month_that_was_offered_is_looked_at_again_each_day(both_lenders: Lender, loan: int) -> None:
    """What came up since takes the offer back; once it is done the month is offered anew, and so it is to whoever was not told."""
    shop = both_lenders
    told, form = offers(shop), f"/e/platform.ledger_period/new?month=2025-01&company={shop.company}"
    made = reconciliation(shop, date(2025, 1, 31), "compared", 2, "DZ9")
    for _ in range(2):
        end_day(shop)
        assert [row["month_to_close"] for row in shop.rows("platform.company")] == [None] and not to_do(shop)
        *first, said = shop.rows("platform.message", kind="platform.ledger_period")
        assert ([row["link"] for row in first], said["link"]) == (told, f"{form}#open") and "2025-01" in said["subject"] and "DZ9" in said["subject"], "once"
    forget(shop, "recon_run", made)
    end_day(shop)
    assert offers(shop) == [*told, f"{form}#open", form] and len(to_do(shop)) == 1
    messages = shop.tenant.revision().tables.of("platform.message")
    with shop.tenant.write() as conn:
        conn.execute(sa.delete(messages).where(messages.c.kind == "platform.ledger_period"))
    end_day(shop)
    end_day(shop)
    assert offers(shop) == [form], "who lost it, or has the role since, is told, once"


def to_do(shop: Lender) -> list[Any]:
    return [row for row in shop.rows("platform.alert", rule="platform.company/month_to_close") if row["cleared_at"] is None]


def told_of_alerts(shop: Lender) -> set[int]:
    return {row["receiver_id"] for row in shop.rows("platform.message", entity="platform.company", kind="alert")}


def test_the_month_that_can_be_closed_stands_with_its_company_and_is_a_to_do_of_its_finance(both_lenders: Lender, loan: int) -> None:
    shop = both_lenders
    assert [row["month_to_close"] for row in shop.rows("platform.company")] == ["2025-01"]
    (alert,) = to_do(shop)
    assert (alert["company_id"], alert["record_id"], alert["status"], alert["cause"]) == (shop.company, shop.company, "open", "2025-01")
    assert "2025-01 可以月结" in str(alert["subject"])
    maker, checker = (shop.stage.as_user(who)._context("look") for who in ("finance", "fincheck"))
    assert told_of_alerts(shop) == {maker.actor.user_id}, "the checker is told with the form by the day end"
    with shop.tenant.read() as conn:
        found = [[(form.entity, dict(form.values)) for form in alert_offers(ctx, alert["id"], conn).forms] for ctx in (maker, checker)]
    assert found == [[], [("platform.ledger_period", {"month": "2025-01"})]], "who may close it is led to the form"


def test_loans_that_differ_from_the_ledger_keep_it_open_with_the_account(both_lenders: Lender, loan: int) -> None:
    table = both_lenders.tenant.revision().tables.of("lending.loan")
    with changed(both_lenders, table, loan, {"book_fee": D("0.07")}):
        zh, en, links = refused(both_lenders)
    assert "科目 1221" in zh and "Account 1221" in en and not links, "the day end names the loans"


def reconciliation(shop: Lender, day: date, status: str, open_count: int, number: str, **more: Any) -> int:
    table = shop.tenant.revision().tables.of("lending.recon_run")
    values = {"recon_no": number, "day": day, "status": status, "open_count": open_count, "company_id": shop.company, "takes": 1, "their_count": 1,
              "our_count": 1, "matched_count": 1, "their_amount": D(1), "our_amount": D(1), "fee_amount": D(0), "created_at": shop.real.now(),
              "updated_at": shop.real.now(), "row_version": 1, **more}
    with shop.tenant.write() as conn:
        return int(conn.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one())


@pytest.mark.parametrize(("status", "open_count", "zh", "en"), [
    ("compared", 2, "DZ1（2025-01-31）有 2 项差异未处理", "has 2 open differences"), ("open", 1, "有 1 项差异未处理", "has 1 open differences"),
    ("compared", 0, "DZ1（2025-01-31）未确认", "is not confirmed"), ("waiting", 0, "未确认", "is not confirmed"),
    ("open", 0, "未确认", "is not confirmed")])
def test_a_reconciliation_of_its_days_that_is_open_keeps_it_open(both_lenders: Lender, loan: int, status: str, open_count: int, zh: str, en: str) -> None:
    made = reconciliation(both_lenders, date(2025, 1, 31), status, open_count, "DZ1")
    later = reconciliation(both_lenders, date(2025, 2, 1), status, open_count, "DZ2")
    said = refused(both_lenders)
    assert zh in said[0] and en in said[1] and "DZ2" not in said[0] and said[2] == [("lending.recon_run", made)]
    forget(both_lenders, "recon_run", made, later)


def test_a_day_on_which_a_channel_moved_money_and_nobody_asked_for_its_statement_keeps_it_open(both_lenders: Lender, loan: int) -> None:
    """The payout went without a channel: it is reconciled by the one that was switched on later."""
    shop, paid_out = both_lenders, date(2025, 1, 15)
    way = channel(shop, "W1")
    zh, en, links = refused(shop)
    assert "支付渠道“渠道W1”2025-01-15 有成功的支付单，尚未对账" in zh and "which is not reconciled" in en and links == [("lending.payment_channel", way)]
    holds = reconciliation(shop, date(2025, 1, 30), "compared", 1, "DZ1")
    nothing = {"their_count": 0, "our_count": 0, "their_amount": D(0), "our_amount": D(0), "pay_channel_id": way}
    never_asked = reconciliation(shop, paid_out, "open", 0, "DZ2", **nothing, takes=0)
    assert set(refused(shop)[2]) == {("lending.recon_run", holds), ("lending.payment_channel", way)}
    forget(shop, "recon_run", never_asked)
    never_came = reconciliation(shop, paid_out, "open", 0, "DZ2", **nothing)
    assert refused(shop)[2] == [("lending.recon_run", holds)], "a statement that the channel never gave stands in nobody's way"
    forget(shop, "recon_run", holds, never_came)
    shop.do("finance", "payment_channel", way, "pause", reason="测试")


def test_a_difference_that_no_reconciliation_found_keeps_it_open(both_lenders: Lender, loan: int) -> None:
    shop = both_lenders
    table, order = shop.tenant.revision().tables.of("lending.payment_difference"), shop.rows("payment_order")[0]
    orders = shop.tenant.revision().tables.of("lending.payment_order")
    with shop.tenant.write() as conn:
        made = conn.execute(sa.insert(table).values(kind="unallocated", reference=order["pay_no"], order_id=order["id"], status="open", company_id=shop.company,
                                                    created_at=shop.real.now(), updated_at=shop.real.now(), row_version=1).returning(table.c.id)).scalar_one()
    zh, en, links = refused(shop)
    assert f"支付单 {order['pay_no']} 的差异未处理" in zh and "is not handled" in en and links == [("lending.payment_difference", made)]
    holds = reconciliation(shop, date(2025, 1, 30), "compared", 1, "DZ1")
    with changed(shop, orders, order["id"], {"success_on": date(2025, 2, 1)}):
        assert refused(shop)[2] == [("lending.recon_run", holds)], "of another month"
    forget(shop, "recon_run", holds)
    forget(shop, "payment_difference", made)


def test_the_day_end_closes_nothing_that_is_not_done_and_says_why(both_lenders: Lender, loan: int) -> None:
    shop = both_lenders
    table, companies = (shop.tenant.revision().tables.of(name) for name in ("lending.recon_run", "platform.company"))
    made = reconciliation(shop, date(2025, 1, 20), "compared", 1, "DZ3")
    with changed(shop, companies, shop.company, {"month_close": "automatic"}):
        for _ in range(2):
            end_day(shop)
            assert runs(shop)[-1]["status"] == "done" and not shop.rows("platform.ledger_period")
        told = [row for row in shop.rows("platform.message", kind="platform.ledger_period") if "尚未自动月结" in row["subject"]]
        assert len({row["receiver_id"] for row in told}) == len(told) > 0 and all("DZ3" in row["subject"] and "1 项" in row["subject"] for row in told), told
        with shop.tenant.write() as conn:
            conn.execute(sa.delete(table).where(table.c.id == made))
        end_day(shop)
    assert [row["month"] for row in shop.rows("platform.ledger_period")] == ["2025-01"]
    assert not to_do(shop) and [row["month_to_close"] for row in shop.rows("platform.company")] == [None]


def test_a_month_that_somebody_closes_is_no_to_do_from_then_on(both_lenders: Lender, loan: int) -> None:
    shop = both_lenders
    shop.day(date(2025, 3, 1))
    end_day(shop)
    assert [row["cause"] for row in to_do(shop)] == ["2025-02"]
    end_day(shop)
    assert [row["cause"] for row in to_do(shop)] == ["2025-02"] and len(told_of_alerts(shop)) == 1
    close(shop, "2025-02")
    assert not to_do(shop) and [row["month_to_close"] for row in shop.rows("platform.company")] == [None]
    assert {row["status"] for row in shop.rows("platform.alert", rule="platform.company/month_to_close")} == {"closed"}
    end_day(shop)
    assert not to_do(shop), "March is not over"
