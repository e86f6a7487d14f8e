"""Payments where several come at once, on both databases: notices, a batch, a line of the bank, a statement (domain specification §7.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D
from random import Random
from time import sleep
from typing import Any

import pytest

from metaloom.base.errors import MetaloomError, NotPossible
from metaloom.command import work
from metaloom.job import run_due
from metaloom_plugins.loan_payments import recon
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.test_invariants import changed
from tests.plugins.waiting import wait_for

SETTLED_NOTHING = {"applied", "no_change", "contradicts", "amount_differs", "unknown_order"}


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """Three loans with an agreement; the channel keeps every debit of theirs in process until it is told."""
    desk.channel(both_lenders, "MAIN")
    for _ in range(3):
        desk.running_loan(both_lenders, card_ending="9995")
    return both_lenders


@contextmanager
def loans_held(shop: Lender, waiting: int, **change: Any) -> Iterator[None]:
    """Somebody else is booking on every loan until ``waiting`` others wait for a lock, and leaves ``change`` in the rows."""
    table = shop.tenant.revision().tables.of("lending.loan")
    with shop.tenant.write() as conn:
        conn.execute(table.select().with_for_update())
        yield
        wait_for(conn, waiting, 10)
        if change:
            conn.execute(table.update().values(change))


def at_once(*jobs: Callable[[], Any]) -> list[str]:
    """``done`` or the code of the refusal, of jobs that begin together."""
    def run(job: Callable[[], Any]) -> str:
        try:
            job()
        except MetaloomError as refusal:
            return refusal.code
        return "done"

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def one_receipt_each(shop: Lender, orders: Iterable[Any]) -> None:
    for order in orders:
        receipts = shop.rows("repayment", bank_serial_no=order["pay_no"])
        assert [(row["amount"], row["status"]) for row in receipts] == [(order["amount"], "posted")], order["pay_no"]


# -- debits --------------------------------------------------------------------------------------------------------------


def test_two_batches_and_two_clicks_and_two_workers_ask_for_each_debit_once(shop: Lender) -> None:
    made = [shop.create("finance", "debit_batch", {"due_until": shop.stage.today + timedelta(days=31)}) for _ in range(2)]
    with ThreadPoolExecutor(1) as pool:
        with loans_held(shop, 2):
            both = pool.submit(at_once, *(lambda batch=batch: shop.do("finance", "debit_batch", batch, "prepare") for batch in made))
        prepared = both.result(timeout=30)
    assert prepared.count("done") == 1, "a loan is in one open batch, and the other batch had nothing left"
    batch = made[prepared.index("done")]
    assert len(shop.rows("debit_item", batch_id=batch)) == 3 and not shop.rows("debit_item", batch_id=made[1 - prepared.index("done")])
    version = shop.row("debit_batch", batch)["row_version"]
    started = at_once(*[lambda: shop.run("fincheck", "debit_batch", batch, "start", version)] * 2)
    assert started.count("done") == 1, started
    handlers = {"call": shop.stage._handlers["call"]}
    at_once(*[lambda: run_due(shop.tenant, handlers, limit=3)] * 2)
    desk.rest(shop)
    orders = shop.rows("payment_order", biz_type="collect")
    assert [order["status"] for order in orders] == ["sending"] * 3
    assert [[what for what, _ in shop.gateway.calls(order["pay_no"])].count("payout") for order in orders] == [1, 1, 1]


# -- notices -------------------------------------------------------------------------------------------------------------


def callback(shop: Lender, order: Any, state: str, number: int, cents: int = 0, reference: str = "") -> tuple[dict, bytes]:
    """A genuine notice in the sandbox gateway's words."""
    body = json.dumps({"event_no": f"EV{reference}-{order['id']}-{state}-{cents}-{number}", "payout": {
        "order_no": reference or order["pay_no"], "cents": int(order["amount"] * 100) + cents, "state": state, "gateway_no": f"GW{order['id']}",
        "code": "INSUFFICIENT_FUNDS" if state == "FAILED" else ""}}).encode()
    return dict(shop.gateway._signature_headers("NOTICE", "/notice", body)), body


def hundred(shop: Lender, orders: list[Any]) -> tuple[list[tuple[dict, bytes]], list[tuple[dict, bytes]]]:
    """(genuine, forged): success three times under one number and twice under others, failures, still under way, another amount, an order
    that we do not have; and what nobody signed, what was changed on its way, what is an hour old."""
    genuine, forged = [], []
    for order in orders:
        success = callback(shop, order, "SUCCESS", 1)
        genuine += [success] * 8 + [callback(shop, order, "SUCCESS", n) for n in (2, 3)] + [callback(shop, order, "FAILED", n) for n in range(4)]
        genuine += [callback(shop, order, "PROCESSING", n) for n in range(5)] + [callback(shop, order, "SUCCESS", n, cents=1) for n in range(3)]
        genuine += [callback(shop, order, "SUCCESS", n, reference=f"ZF-NONE-{n}") for n in range(2)]
        head, body = callback(shop, order, "SUCCESS", 9)
        late = shop.gateway
        old = late._signature_headers("NOTICE", "/notice", body)
        old["X-Timestamp"] = str(int(old["X-Timestamp"]) - 3600)
        forged += [({**head, "X-Signature": "0" * 64}, body), ({}, body), (head, body.replace(b"SUCCESS", b"FAILED")), (old, body)] * 2
        forged += [(late._signature_headers("NOTICE", "/notice", body, key="1" * 64), body)]
    return genuine, forged


def test_a_hundred_callbacks_doubled_mixed_late_and_forged_book_each_receipt_once(shop: Lender) -> None:
    orders, before = shop.rows("payment_order", biz_type="collect"), shop.account("1012") + shop.account("1002")
    genuine, forged = hundred(shop, orders)
    assert len(genuine) + len(forged) >= 99
    told = [(True, *one) for one in genuine] + [(False, *one) for one in forged]
    Random(7).shuffle(told)

    def tell(one: tuple[bool, dict, bytes]) -> None:
        real, headers, body = one
        for wait in (0.01, 0.05, 0.2, *[0.5] * 20):    # its twin is at work right now: the channel is asked to tell it later again
            said = desk.tell(shop, headers, body)
            if said != 503:
                break
            sleep(wait)
        assert said == 200 if real else said in (401, 429), (said, body)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, told))
    after = shop.rows("payment_order", biz_type="collect")
    assert [order["status"] for order in after] == ["succeeded"] * 3
    one_receipt_each(shop, after)
    assert shop.account("1012") + shop.account("1002") - before == sum(order["amount"] for order in after)
    notices = shop.rows("payment_notice")
    assert len({row["event_no"] for row in notices}) == len(notices) == 3 * 17 and {row["verdict"] for row in notices} <= SETTLED_NOTHING
    for order in after:
        applied = [row["outcome"] for row in notices if row["order_id"] == order["id"] and row["verdict"] == "applied"]
        assert applied.count("succeeded") == 1 and applied.count("failed") <= 1, applied
        kinds = [row["kind"] for row in shop.rows("payment_difference", order_id=order["id"])]
        assert sorted(kinds) == sorted(set(kinds)) and "amount" in kinds, "a difference is told once"


# -- lines of the bank -----------------------------------------------------------------------------------------------------


def test_two_people_who_claim_or_post_one_line_at_once_do_it_once(shop: Lender) -> None:
    first, second, _ = (row["id"] for row in shop.rows("loan"))
    line = shop.create("finance", "bank_receipt", {"bank_serial_no": "T-1", "our_account": "0200000000000001", "payer_name": "张三", "amount": D(500),
                                                   "value_date": shop.stage.today})
    version, parked = shop.row("bank_receipt", line)["row_version"], shop.account("2241.02")
    claims = at_once(lambda: shop.run("finance", "bank_receipt", line, "claim", version, {"loan": first}),
                     lambda: shop.run("officer", "bank_receipt", line, "claim", version, {"loan": second}))
    row = shop.row("bank_receipt", line)
    assert claims.count("done") == 1 and row["loan_id"] == (first, second)[claims.index("done")]
    posts = at_once(*[lambda: shop.run("fincheck", "bank_receipt", line, "post", row["row_version"], {"kind": "due"})] * 3)
    assert posts.count("done") == 1, posts
    assert [receipt["amount"] for receipt in shop.rows("repayment", bank_serial_no="T-1")] == [D(500)] and shop.account("2241.02") == parked


def test_a_line_claimed_while_it_is_searched_ends_in_one_state_and_parks_once(shop: Lender) -> None:
    loan = shop.rows("loan")[0]
    for number in range(3):
        line = shop.create("finance", "bank_receipt", {"bank_serial_no": f"S-{number}", "our_account": "02", "payer_name": "李四", "amount": D(100),
                                                       "value_date": shop.stage.today, "postscript": loan["loan_no"]})
        parked = shop.account("2241.02")
        done = at_once(lambda line=line: shop.do("finance", "bank_receipt", line, "find_loan"),
                       lambda line=line: shop.do("officer", "bank_receipt", line, "claim", {"loan": loan["id"]}))
        row = shop.row("bank_receipt", line)
        assert "done" in done and row["status"] in ("proposed", "claimed") and row["loan_id"] == loan["id"], done
        assert shop.account("2241.02") - parked == (D(-100) if row["parked_id"] else 0)


# -- reconciliation ------------------------------------------------------------------------------------------------------


def test_a_statement_that_is_asked_for_and_comes_twice_is_compared_once(shop: Lender) -> None:
    way = shop.rows("payment_channel", code="MAIN")[0]["id"]
    runs = at_once(*[lambda: shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today})] * 2)
    assert runs.count("done") == 1, "one channel, one day, one reconciliation"
    run = shop.rows("recon_run")[0]
    asked = at_once(*[lambda: shop.run("finance", "recon_run", run["id"], "fetch", run["row_version"])] * 2)
    assert asked.count("done") == 1 and shop.row("recon_run", run["id"])["takes"] == 1
    orders = shop.rows("payment_order", status="succeeded")
    lines = [{"reference": order["pay_no"], "amount": str(order["amount"]), "kind": order["biz_type"]} for order in orders[1:]]
    came = at_once(*[lambda: desk.statement(shop, run["id"], [*lines, {"reference": "ZF-ALONE", "amount": "9.00"}])] * 3)
    assert came == ["done"] * 3
    assert len(shop.rows("recon_line", recon_id=run["id"])) == len(lines) + 1
    differences = shop.rows("payment_difference", recon_id=run["id"])
    assert sorted((row["kind"], row["reference"]) for row in differences) == [("ours_only", orders[0]["pay_no"]), ("theirs_only", "ZF-ALONE")]
    row = differences[0]
    at_once(*[lambda: shop.run("finance", "payment_difference", row["id"], "propose", row["row_version"], {"treatment": "none", "note": "核实"})] * 2)
    version = shop.row("payment_difference", row["id"])["row_version"]
    assert at_once(*[lambda: shop.run("fincheck", "payment_difference", row["id"], "confirm", version)] * 3).count("done") == 1
    assert shop.row("recon_run", run["id"])["open_count"] == 1


def read_day(shop: Lender, way: int, back: int, stated: list[dict[str, Any]]) -> list[str]:
    """References of the lines that the channel's reconciliation of ``back`` days ago keeps of that statement."""
    run = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today - timedelta(days=back)})
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, stated)
    return [line["reference"] for line in shop.rows("recon_line", recon_id=run)]


def test_two_channels_of_one_provider_share_its_statement_and_no_line_counts_twice(shop: Lender) -> None:
    first = shop.rows("payment_channel", code="MAIN")[0]["id"]
    second = desk.channel(shop, "SECOND", priority=1)
    shop.day(shop.stage.today + timedelta(days=1))
    desk.running_loan(shop)
    (order,) = shop.rows("payment_order", pay_channel_id=second)
    stated = [{"reference": order["pay_no"], "amount": str(order["amount"])}, {"reference": "ZF-NOBODY", "amount": "5.00", "kind": "collect"}]
    assert read_day(shop, second, 0, stated) == [order["pay_no"], "ZF-NOBODY"], "nobody's line is the first one's that reads the day"
    assert read_day(shop, first, 0, [*stated, {"reference": "ZF-NOBODY", "amount": "5.00", "kind": "collect"}]) == ["ZF-NOBODY"], "another number"
    runs = [shop.rows("recon_run", pay_channel_id=way, day=shop.stage.today)[0]["id"] for way in (second, first)]
    assert [[row["kind"] for row in shop.rows("payment_difference", recon_id=run)] for run in runs] == [["theirs_only"]] * 2
    shop.do("finance", "recon_run", runs[0], "fetch")
    desk.statement(shop, runs[0], stated)
    assert len(shop.rows("recon_line", recon_id=runs[0], take=2)) == 2, "a second fetch gives the same"


def test_two_channels_that_read_nobodys_line_at_once_take_it_once(shop: Lender) -> None:
    ways = [shop.rows("payment_channel", code=code)[0]["id"] for code in ("MAIN", "SECOND")]
    runs = [shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today - timedelta(days=10)}) for way in ways]
    for run in runs:
        shop.do("finance", "recon_run", run, "fetch")
    came = at_once(*[lambda run=run: desk.statement(shop, run, [{"reference": "ZF-ONCE", "amount": "5.00", "kind": "collect"}]) for run in runs])
    assert came == ["done"] * 2 and len(shop.rows("recon_line", reference="ZF-ONCE")) == 1


def test_a_line_of_an_order_without_channel_stays_in_the_books_of_its_company(shop: Lender) -> None:
    first, second = (shop.rows("payment_channel", code=code)[0]["id"] for code in ("MAIN", "SECOND"))
    other = shop.stage.company("YF09", {"name": "别家小额贷款有限公司"})
    (order,) = shop.rows("payment_order", pay_channel_id=second)
    stated, orders = [{"reference": order["pay_no"], "amount": str(order["amount"])}], shop.tenant.revision().tables.of("lending.payment_order")
    with changed(shop, orders, order["id"], {"pay_channel_id": None, "company_id": other}):
        assert [read_day(shop, way, 3, stated) for way in (first, second)] == [[], []], "another company without channel: nobody's"
    with changed(shop, orders, order["id"], {"pay_channel_id": None}):
        assert [read_day(shop, way, 4, stated) for way in (second, first)] == [[], [order["pay_no"]]], "the oldest active channel of the company"
        assert not shop.rows("payment_difference", order_id=order["id"], kind="ours_only")
        shop.do("finance", "payment_channel", first, "pause", reason="测试")
        assert [read_day(shop, way, 5, stated) for way in (first, second)] == [[], [order["pay_no"]]]
        nobody = [{"reference": "ZF-PAUSED", "amount": "5.00", "kind": "collect"}]
        assert [read_day(shop, way, 6, nobody) for way in (second, first)] == [["ZF-PAUSED"], []]
    shop.do("fincheck", "payment_channel", first, "enable")


def test_a_day_of_more_lines_than_one_look_finds_is_settled_whole_or_not_at_all(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    way = shop.rows("payment_channel", code="MAIN")[0]["id"]
    day, bank = shop.stage.today - timedelta(days=7), shop.account("1002")
    monkeypatch.setattr(work, "FIND_MAX", 4)
    monkeypatch.setattr(recon, "PAGE", 4)
    orders = shop.rows("payment_order", biz_type="payout", pay_channel_id=way)
    assert len(orders) >= 3
    theirs = [{"reference": f"ZF-MANY-{n}", "amount": "2.00", "kind": "collect", "fee": "0.10"} for n in range(6)]
    mine = [{"reference": order["pay_no"], "amount": "1.00", "fee": "0.10"} for order in orders[:3]]
    read_day(shop, way, 7, [*theirs, *mine])
    run = shop.rows("recon_run", pay_channel_id=way, day=day)[0]
    assert (run["their_count"], run["open_count"]) == (9, 9)
    for row in shop.rows("payment_difference", recon_id=run["id"]):
        treatment = "suspense" if row["kind"] == "theirs_only" else "carry"
        shop.do("finance", "payment_difference", row["id"], "propose", {"treatment": treatment, "note": "核实"})
        shop.do("fincheck", "payment_difference", row["id"], "confirm")
    line = shop.rows("recon_line", recon_id=run["id"])[-1]
    with changed(shop, shop.tenant.revision().tables.of("lending.recon_line"), line["id"], {"amount": D("1.01")}), pytest.raises(NotPossible) as refused:
        shop.do("fincheck", "recon_run", run["id"], "close")
    assert "合计不符" in refused.value.message.say("zh") and shop.account("1002") == bank
    shop.do("fincheck", "recon_run", run["id"], "close")
    assert shop.row("recon_run", run["id"])["settled_amount"] == D("8.10") == shop.account("1002") - bank


def test_the_books_agree_after_all_of_this(shop: Lender) -> None:
    books_agree(shop)


def test_a_debit_waits_for_the_receipt_that_is_being_booked_on_its_loan(shop: Lender) -> None:
    """What is owed is read under the loan's lock: a transfer that is being booked is never taken a second time."""
    loan = shop.rows("loan")[2]
    shop.day(shop.stage.today + timedelta(days=31))
    batch = desk.batch(shop)
    item = desk.item_of(shop, batch, loan["id"])
    with ThreadPoolExecutor(1) as pool:
        with loans_held(shop, 1, suspense=D(9000)):
            started = pool.submit(shop.do, "fincheck", "debit_batch", batch, "start")
        started.result(timeout=30)
    assert (shop.row("debit_item", item["id"])["status"], shop.row("debit_batch", batch)["status"]) == ("skipped", "done")
    assert not shop.rows("payment_order", debit_item_id=item["id"])
