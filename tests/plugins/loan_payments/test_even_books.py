"""What the channel says and what the books have come out even, whatever people did in between; on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom_plugins.loan_payments import differences, recon
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.differing import (
    BANK,
    BY_CHANNEL,
    PENDING,
    PENDING_MONEY,
    TO_CLAIM,
    begin,
    cannot,
    debited,
    fetch,
    handle,
    moved,
    open_ones,
    paying,
    sundry,
    told,
)
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.test_invariants import changed
from tests.plugins.waiting import wait_for

# -- a repayment that a person reversed ------------------------------------------------------------------------------------


def reversed_debit(shop: Lender) -> tuple[int, Any]:
    """A debit that succeeded, and whose repayment somebody reversed."""
    loan, order = debited(shop, "succeeded")
    shop.do("fincheck", "repayment", order["repayment_id"], "reverse", reason="入错账")
    return loan, order


def test_a_debit_whose_repayment_was_reversed_is_told_though_the_channel_took_its_amount(shop: Lender) -> None:
    before = begin(shop)
    loan, order = reversed_debit(shop)
    other = desk.running_loan(shop)
    run = told(shop, (order, str(order["amount"])))
    batch = desk.batch(shop)
    assert (other in (loans := {row["loan_id"] for row in shop.rows("debit_item", batch_id=batch)}), loan in loans) == (True, False), "not debited again"
    shop.do("finance", "debit_batch", batch, "cancel_batch", reason="测试")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    assert (shown["kind"], shown["their_amount"], shop.row("payment_order", order["id"])["recon"]) == ("unallocated", order["amount"], "different")
    with pytest.raises(NotPossible):
        shop.do("fincheck", "recon_run", run, "close")
    cannot(shop, shown, "adopt", "carry", "none", "by_hand", "next_day")
    handle(shop, shown, "suspense")
    fetch(shop, run, (order, str(order["amount"])))
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: order["amount"] - 24000, TO_CLAIM: -order["amount"]}
    (line,) = shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    desk.claim(shop, line, loan)
    assert moved(shop, before) == {BANK: order["amount"] - 24000}
    shop.settle(other, shop.stage.as_user("finance").ask("lending.loan", other, "settle_quote", {"value_date": shop.stage.today})["total"])
    books_agree(shop)


def test_a_debit_whose_repayment_was_reversed_is_refunded_as_a_whole(shop: Lender) -> None:
    before = begin(shop)
    _, order = reversed_debit(shop)
    run = told(shop, (order, str(order["amount"])))
    part = shop.create("finance", "payment_refund", {"order": order["id"], "amount": D("10.00"), "why": "wrong", "note": "退一部分"})
    with pytest.raises(NotPossible, match="as a whole"):
        shop.do("fincheck", "payment_refund", part, "pay_back")
    refund = shop.create("finance", "payment_refund", {"order": order["id"], "amount": order["amount"], "why": "wrong", "note": "误扣"})
    shop.do("fincheck", "payment_refund", refund, "pay_back")
    assert moved(shop, before) == {BY_CHANNEL: order["amount"] - 12000, TO_CLAIM: -order["amount"]}
    (back,) = shop.rows("payment_order", refund_id=refund)
    desk.rest(shop)
    desk.said(shop, back["id"], outcome="succeeded", gateway_no="G-9", amount=order["amount"])
    fetch(shop, run, (order, str(order["amount"])))
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-12000)}, "it came and went"
    books_agree(shop)


def test_a_day_is_not_confirmed_over_a_repayment_that_was_reversed_after_it_was_compared(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop, "succeeded")
    run = told(shop, (order, str(order["amount"])))
    assert not open_ones(shop, run)
    shop.do("fincheck", "repayment", order["repayment_id"], "reverse", reason="入错账")
    with pytest.raises(NotPossible):
        shop.do("fincheck", "recon_run", run, "close")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    handle(shop, shown, "suspense")
    fetch(shop, run, (order, str(order["amount"])))
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: order["amount"] - 12000, TO_CLAIM: -order["amount"]}
    books_agree(shop)


def test_a_repayment_that_is_reversed_after_its_day_was_confirmed_is_told_at_once(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop, "succeeded")
    run = told(shop, (order, str(order["amount"])))
    shop.do("fincheck", "recon_run", run, "close")
    shop.do("fincheck", "repayment", order["repayment_id"], "reverse", reason="入错账")
    assert moved(shop, before)[BY_CHANNEL] == -order["amount"]
    assert "loan_payments.settled" in broken(shop), "the confirmed day has money that nothing is booked for"
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    assert shown["kind"] == "unallocated"
    handle(shop, shown, "suspense")
    assert moved(shop, before) == {BANK: order["amount"] - 12000, TO_CLAIM: -order["amount"]}
    books_agree(shop)


# -- nothing to do ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["statement", "notice"])
@pytest.mark.parametrize("kind", ["collect", "payout"])
def test_nothing_is_no_answer_while_we_say_made_and_the_channel_says_failed(shop: Lender, kind: str, way: str) -> None:
    before = begin(shop)
    order = debited(shop, "succeeded")[1] if kind == "collect" else paying(shop)
    if kind == "payout":
        desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-5", amount=D(20000))
    if way == "notice":
        desk.said(shop, order["id"], outcome="failed", gateway_no="G-5")
        (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    else:
        run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
        failed(shop, run, order)
        (shown,) = open_ones(shop, run)
    assert (shown["kind"], shown["their_state"]) == ("state", "failed")
    for treatment in ("none", "by_hand", "next_day"):
        with pytest.raises(NotPossible, match="The books have it as made"):
            shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": treatment, "note": "不处理"})
    if kind == "collect":
        handle(shop, shown, "adopt")
    elif way == "statement":
        handle(shop, shown, "carry")
    else:                            # a word that the statement does not bear out
        shop.day(shop.stage.today + timedelta(days=1))
        told(shop, (order, str(order["amount"])))
        handle(shop, shown, "none")
    if way == "statement":
        failed(shop, run, order)
        assert not open_ones(shop, run)
        shop.do("fincheck", "recon_run", run, "close")
        assert BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


def test_nothing_is_an_answer_where_a_confirmed_day_has_it_as_made_and_the_word_cannot_be_taken(shop: Lender) -> None:
    """Else it would stand open for ever, and no month be closed."""
    begin(shop)
    payout, (_, debit) = paying(shop), debited(shop, "succeeded")
    desk.said(shop, payout["id"], outcome="succeeded", gateway_no="G-5", amount=D(20000))
    run = told(shop)
    for order in (payout, debit):
        desk.said(shop, order["id"], outcome="failed", gateway_no="G-5")
    of_payout, of_debit = (shop.rows("payment_difference", order_id=order["id"], status="open")[0] for order in (payout, debit))
    cannot(shop, of_payout, "none", "adopt")
    shop.do("fincheck", "recon_run", run, "close")
    cannot(shop, of_debit, "none")
    handle(shop, of_payout, "none")
    handle(shop, of_debit, "adopt")
    books_agree(shop)


def failed(shop: Lender, run: int, order: Any) -> None:
    """The statement of the day, with the order as failed."""
    others = [{"reference": row["pay_no"], "kind": row["biz_type"], "amount": str(row["amount"])}
              for row in shop.rows("payment_order", pay_channel_id=shop.way, success_on=shop.stage.today, status="succeeded")    # type: ignore[attr-defined]
              if row["id"] != order["id"]]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [*others, {"reference": order["pay_no"], "kind": order["biz_type"], "amount": str(order["amount"]), "outcome": "failed"}])


# -- what came and went ------------------------------------------------------------------------------------------------------


def test_a_debit_that_the_channel_took_back_is_seen_by_the_invariants(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop, "succeeded")
    shop.do("fincheck", "recon_run", told(shop, (order, str(order["amount"]))), "close")
    orders, repayments = (shop.tenant.revision().tables.of(f"lending.{name}") for name in ("payment_order", "repayment"))
    with changed(shop, orders, order["id"], {"status": "returned"}):
        assert "loan_payments.settled" in broken(shop), "its loan has the money"
    desk.said(shop, order["id"], outcome="failed", gateway_no="G-1")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    handle(shop, shown, "adopt")
    assert (shop.row("payment_order", order["id"])["status"], moved(shop, before)[BY_CHANNEL]) == ("returned", -order["amount"])
    books_agree(shop)
    with changed(shop, orders, order["id"], {"amount": order["amount"] + 1}):
        assert "loan_payments.settled" in broken(shop), "the confirmed day has another amount of it"
    with changed(shop, repayments, order["repayment_id"], {"status": "posted"}):
        assert "loan_payments.settled" in broken(shop)
    shop.day(shop.stage.today + timedelta(days=1))
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    handle(shop, nobodys(shop, run, (order["pay_no"], "refund", str(order["amount"]))), "none")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-12000)}, "it came and went"
    books_agree(shop)
    differences_ = shop.tenant.revision().tables.of("lending.payment_difference")
    (told_of,) = shop.rows("payment_difference", recon_id=run)
    with changed(shop, differences_, told_of["id"], {"their_amount": order["amount"] + 1}):
        assert "loan_payments.settled" in broken(shop), "the two days do not come out even"


# -- what stands on 1901 -----------------------------------------------------------------------------------------------------


LOSS = "6711"


def nobodys(shop: Lender, run: int, *lines: tuple[str, str, str]) -> Any:
    """The statement of the day with lines of no order of ours (reference, kind, amount) beside what succeeded; the one difference it leaves."""
    others = [{"reference": row["pay_no"], "kind": row["biz_type"], "amount": str(row["amount"])}
              for row in shop.rows("payment_order", pay_channel_id=shop.way, success_on=shop.stage.today, status="succeeded")]    # type: ignore[attr-defined]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [*others, *({"reference": name, "kind": kind, "amount": amount} for name, kind, amount in lines)])
    (shown,) = open_ones(shop, run)
    return shown


def carried(shop: Lender, reference: str, kind: str, amount: str) -> Any:
    """A line of no order of ours on today's statement, carried; the day is confirmed."""
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    shown = nobodys(shop, run, (reference, kind, amount))
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", run, "close")
    return shop.row("payment_difference", shown["id"])


def test_what_the_channel_corrects_under_another_number_is_cleared_against_what_is_carried(shop: Lender) -> None:
    before = begin(shop)
    ours = carried(shop, "LOST-1", "payout", "765.43")
    assert (ours["carried"], moved(shop, before)) == (D("765.43"), {BANK: D("-765.43"), PENDING_MONEY: D("765.43")})
    shop.day(shop.stage.today + timedelta(days=1))
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    cannot(shop, nobodys(shop, run, ("CORRECTION-1", "collect", "765.44")), "carry", "none")
    shown = nobodys(shop, run, ("CORRECTION-1", "collect", "765.43"))
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", run, "close")
    theirs = shop.row("payment_difference", shown["id"])
    assert (theirs["carried"], moved(shop, before)) == (D("-765.43"), {}), "even in sum, and both still stand there"
    netted = {"kind": "difference_netted", "difference": ours["id"], "against": theirs["id"]}
    with pytest.raises(Invalid):
        shop.create("finance", "other_money", {**netted, "against": ours["id"], "amount": D(1)})
    for wrong in ({**netted, "amount": D("765.44")}, {**netted, "difference": theirs["id"], "amount": D(1)}):
        bad = shop.create("finance", "other_money", wrong)
        with pytest.raises(NotPossible):
            shop.do("finance", "other_money", bad, "submit_money")
    first, second = (sundry(shop, **netted, amount=D("765.43")) for _ in range(2))
    with pytest.raises((NotAllowed, NotPossible)):
        shop.do("finance", "other_money", first, "post_money")
    shop.do("fincheck", "other_money", first, "post_money")
    voucher = shop.row("other_money", first)["voucher_id"]
    legs = [(leg["account"], leg["side"], leg["amount"]) for leg in shop.rows("platform.ledger_leg", entry_id=voucher)]
    assert sorted(legs) == [(PENDING_MONEY, "credit", D("765.43")), (PENDING_MONEY, "debit", D("765.43"))]
    for kind, of in (("difference_back", ours), ("difference_paid", theirs), ("difference_lost", ours)):
        bad = shop.create("finance", "other_money", {"kind": kind, "difference": of["id"], "amount": D("0.01")})
        with pytest.raises(NotPossible, match="0.00"):
            shop.do("finance", "other_money", bad, "submit_money")
    with pytest.raises(NotPossible):
        shop.do("fincheck", "other_money", second, "post_money")
    shop.do("fincheck", "other_money", first, "reverse_money", reason="对错了")
    shop.do("fincheck", "other_money", second, "post_money")
    assert moved(shop, before) == {}
    books_agree(shop)


def test_what_nobody_gives_back_is_written_off_by_two_people_and_never_what_we_owe(shop: Lender) -> None:
    before, lost = begin(shop), shop.account(LOSS)
    ours = carried(shop, "LOST-2", "payout", "88.00")
    shop.do("fincheck", "other_money", sundry(shop, kind="difference_back", difference=ours["id"], amount=D("30.00")), "post_money")
    for amount in ("58.01", "88.00"):
        bad = shop.create("finance", "other_money", {"kind": "difference_lost", "difference": ours["id"], "amount": D(amount)})
        with pytest.raises(NotPossible, match="58.00"):
            shop.do("finance", "other_money", bad, "submit_money")
    made = sundry(shop, kind="difference_lost", difference=ours["id"], amount=D("58.00"))
    with pytest.raises((NotAllowed, NotPossible)):
        shop.do("finance", "other_money", made, "post_money")
    shop.do("fincheck", "other_money", made, "post_money")
    assert (moved(shop, before), shop.account(LOSS) - lost) == ({BANK: D("-58.00")}, D("58.00"))
    shop.do("fincheck", "other_money", made, "reverse_money", reason="渠道同意赔付")
    assert (moved(shop, before), shop.account(LOSS) - lost) == ({BANK: D("-58.00"), PENDING_MONEY: D("58.00")}, 0)
    shop.day(shop.stage.today + timedelta(days=1))
    owing = carried(shop, "OWED-2", "collect", "88.00")
    bad = shop.create("finance", "other_money", {"kind": "difference_lost", "difference": owing["id"], "amount": D("1.00")})
    with pytest.raises(NotPossible, match="0.00"):
        shop.do("finance", "other_money", bad, "submit_money")
    books_agree(shop)


# -- a debit that people ended -----------------------------------------------------------------------------------------------


def test_a_debit_that_was_ended_by_hand_before_its_call_was_made_is_never_sent(shop: Lender) -> None:
    begin(shop)
    loan = desk.running_loan(shop, card_ending=PENDING)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    (order,) = shop.rows("payment_order", loan_id=loan, biz_type="collect")
    (call,) = [row for row in shop.outbox() if row["key"] == f"call:pay:{order['pay_no']}"]
    assert call["state"] == "pending"
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-1", amount=D("1.00"))
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    handle(shop, shown, "by_hand")
    assert shop.row("payment_order", order["id"])["status"] == "failed"
    desk.each_call(shop)
    assert not shop.gateway.calls(order["pay_no"]), "the channel never hears of it"
    assert (shop.row("payment_order", order["id"])["status"], shop.rows("repayment", loan_id=loan)) == ("failed", [])
    shop.do("finance", "debit_item", order["debit_item_id"], "debit_again")
    again = shop.rows("payment_order", debit_item_id=order["debit_item_id"])[-1]
    desk.each_call(shop)
    assert [what for what, _ in shop.gateway.calls(again["pay_no"])].count("payout") == 1, "the next try is sent as ever"
    desk.said(shop, again["id"], outcome="failed", code="CLOSED")
    shop.do("finance", "debit_item", order["debit_item_id"], "leave_out", reason="客户自行还款")
    books_agree(shop)


# -- who waits for whom ------------------------------------------------------------------------------------------------------


@contextmanager
def held(shop: Lender, entity: str, id: int, *jobs: Callable[[], Any]) -> Iterator[list[Future[Any]]]:
    """The jobs, each begun when the one before it waits for a lock, while somebody else holds a row; it is let go when all of them wait.
    SQLite has one writer at a time: there they go one after the other."""
    table = shop.tenant.revision().tables.of(f"lending.{entity}")
    if shop.tenant.dialect != "postgresql":
        with ThreadPoolExecutor(1) as pool:
            yield [pool.submit(job) for job in jobs]
        return
    with ThreadPoolExecutor(len(jobs)) as pool:
        with shop.tenant.write() as conn:
            conn.execute(table.select().where(table.c.id == id).with_for_update())
            begun = []
            for count, job in enumerate(jobs, 1):
                begun.append(pool.submit(job))
                assert wait_for(conn, count), f"job {count} never waited"
        yield begun


def test_a_decision_and_a_statement_at_once_take_their_locks_in_one_order(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is begun again, as one of two that wait for each other would be."""
    before = begin(shop)
    _, order = debited(shop)
    run = told(shop, (order, "700.00"))
    (shown,) = open_ones(shop, run)
    shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": "suspense", "note": "已核实"})
    shop.do("finance", "recon_run", run, "fetch")
    others = [{"reference": row["pay_no"], "kind": row["biz_type"], "amount": str(row["amount"])}
              for row in shop.rows("payment_order", pay_channel_id=shop.way, success_on=shop.stage.today, status="succeeded")]    # type: ignore[attr-defined]
    begun, compare, check = list[str](), recon._compare, differences._check
    monkeypatch.setattr(recon, "_compare", lambda *given: (begun.append("statement"), compare(*given)))
    monkeypatch.setattr(differences, "_check", lambda *given: (begun.append("decision"), check(*given)))
    with held(shop, "payment_order", order["id"],
              lambda: shop.do("fincheck", "payment_difference", shown["id"], "confirm"),
              lambda: desk.statement(shop, run, [*others, {"reference": order["pay_no"], "kind": "collect", "amount": "700.00"}])) as jobs:
        for job in jobs:
            job.result(timeout=30)
    assert begun == ["decision", "statement"]
    assert (open_ones(shop, run), shop.row("recon_run", run)["open_count"]) == ([], 0)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before)[TO_CLAIM] == D("-700.00")
    books_agree(shop)


@pytest.mark.parametrize("other", ["difference_back", "difference_lost", "difference_netted"])
def test_two_at_once_that_clear_one_difference_never_clear_it_twice(shop: Lender, other: str) -> None:
    before, lost = begin(shop), shop.account(LOSS)
    ours = carried(shop, f"LOST-{other}", "payout", "250.00")
    shop.day(shop.stage.today + timedelta(days=1))
    theirs = carried(shop, f"OWED-{other}", "collect", "250.00")
    first = sundry(shop, kind="difference_back", difference=ours["id"], amount=D("200.00"))
    against = {"against": theirs["id"]} if other == "difference_netted" else {}
    second = sundry(shop, kind=other, difference=ours["id"], amount=D("200.00"), **against)
    shop.do("fincheck", "other_money", sundry(shop, kind="difference_paid", difference=theirs["id"], amount=D("50.00")), "post_money")
    with held(shop, "payment_difference", ours["id"], *(lambda made=made: shop.do("fincheck", "other_money", made, "post_money")
                                                        for made in (first, second))) as jobs:
        refusals = [job.exception(timeout=30) for job in jobs]
    assert [type(one) for one in refusals] in ([type(None), NotPossible], [NotPossible, type(None)])
    assert sorted(shop.row("other_money", made)["status"] for made in (first, second)) == ["posted", "submitted"]
    won = shop.row("other_money", first if refusals[0] is None else second)["kind"]
    left = {"difference_back": D("-150.00"), "difference_lost": D("-150.00"), "difference_netted": D("50.00")}[won]
    assert moved(shop, before).get(PENDING_MONEY, D(0)) == left
    assert shop.account(LOSS) - lost == (D("200.00") if won == "difference_lost" else 0)
    books_agree(shop)
