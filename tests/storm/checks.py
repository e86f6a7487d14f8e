"""What must hold of the money paths, as checks that the mutants are held against. Each runs on a world of its own and raises AssertionError."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Busy, MetaloomError, NotAllowed, NotFound, NotPossible, Stale, Unprocessable
from metaloom.job import LeaseLost, outbox, parts, run_due
from metaloom.plugin import PluginFault
from metaloom.storage.engine import outbox as outbox_table
from metaloom.storage.engine import run_part
from metaloom.storage.outbox import put
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_servicing.books import books_agree
from tests.storm import days, trial
from tests.storm import world as worlds
from tests.storm.child import answer_of
from tests.storm.paths import KEY, PATHS, asked, begin_payout, facts, rows_of, walk, work_calls, work_debit
from tests.storm.trial import Fault, Run, opened, tried
from tests.storm.world import World

DAYS = 3
HOLDING = 12
"""So many statements before the end of a day end it looks whether the books agree."""


def refused(work: Callable[[], Any], *kinds: type[Exception]) -> None:
    """The work is refused in one of these ways, and in no other."""
    try:
        work()
    except PluginFault as fault:
        raise AssertionError(f"broke instead of being refused: {fault}") from fault
    except kinds:
        return
    raise AssertionError(f"was not refused with {', '.join(kind.__name__ for kind in kinds)}")


# -- paths and their ends -------------------------------------------------------------------------------------------------


def path_check(name: str, *points: str) -> Callable[[World, Mapping[str, Any]], None]:
    """The path ends as it does without the mutant, undisturbed and killed at each of the points."""
    def check(world: World, wanted: Mapping[str, Any]) -> None:
        run: Run = wanted[name]
        worlds.reset(world)

        def undisturbed() -> dict[str, list[str]]:
            shop = opened(world)
            walk(shop, PATHS[name])
            return trial.ending(shop, PATHS[name])

        said = worlds.difference(run.left, answer_of(undisturbed))
        assert not said, said
        for point in points:
            said = tried(world, PATHS[name], Fault("point", point), run)
            assert not said, said
    return check


def put_off(world: World, wanted: Mapping[str, Any]) -> None:
    """What is refused for good in the day end is done in another try, or is told and brought up by the next day."""
    run: Run = wanted["day_end"]
    for number in (run.after["mass.after_lock"] + 1, run.after["mass.after_write"] + 1, run.after["run.before_end"] - HOLDING):
        said = tried(world, PATHS["day_end"], Fault("refuse", number), run)
        assert not said, said


def missed(world: World, wanted: Mapping[str, Any]) -> None:
    """Days missed are days run daily."""
    found, _ = days.played(world, "missed", DAYS)
    assert not (said := days.unlike(wanted["days"], found)), said


def inside(work: Callable[[Lender], None]) -> Callable[[World, Mapping[str, Any]], None]:
    """A check of one process on a fresh world."""
    def check(world: World, _: Mapping[str, Any]) -> None:
        worlds.reset(world)
        answer_of(lambda: work(opened(world)))
    check.__doc__ = work.__doc__
    return check


# -- requests -----------------------------------------------------------------------------------------------------------


def repayment(shop: Lender, amount: str = "100.00", **more: Any) -> dict[str, Any]:
    return {"amount": D(amount), "kind": "due", "value_date": shop.stage.today, "source": "transfer", **more}


@inside
def keys(shop: Lender) -> None:
    """One key is one effect, whoever repeats it; another body under it is refused."""
    loan, version = facts(shop)["loan"], facts(shop)["versions"]["loan"]
    first = asked(shop, "finance", "loan", loan, "repay", version, repayment(shop))
    again = asked(shop, "finance", "loan", loan, "repay", version, repayment(shop))
    assert again.replayed and again.results == first.results and len(shop.rows("repayment", loan_id=loan)) == 1
    refused(lambda: asked(shop, "finance", "loan", loan, "repay", version, repayment(shop, "100.01")), Unprocessable)


@inside
def stale(shop: Lender) -> None:
    """Whoever saw an older version is told so."""
    loan, version = facts(shop)["loan"], facts(shop)["versions"]["loan"]
    asked(shop, "finance", "loan", loan, "repay", version, repayment(shop), key="a")
    refused(lambda: asked(shop, "finance", "loan", loan, "repay", version, repayment(shop), key="b"), Stale)


@inside
def rights(shop: Lender) -> None:
    """Neither another role nor another company does anything to a loan; who made a drawdown does not pay it."""
    other = shop.stage.company("YF09", {"name": "别家小额贷款有限公司"})
    shop.stage.user("stranger", "stranger", ("lending.fin_maker",), other)
    loan, version = facts(shop)["loan"], facts(shop)["versions"]["loan"]
    refused(lambda: asked(shop, "stranger", "loan", loan, "repay", version, repayment(shop)), NotFound, NotAllowed)
    refused(lambda: asked(shop, "check", "loan", loan, "repay", version, repayment(shop)), NotAllowed)
    shop.stage._once("role:officer:pays", "", lambda ctx: command.assign_role(ctx, shop.stage._people["officer"], "lending.fin_maker").id)
    shop.stage._actors.clear()
    refused(lambda: asked(shop, "officer", "drawdown", facts(shop)["paying"], "payout", facts(shop)["versions"]["drawdown"]), NotAllowed, NotPossible)
    assert not shop.rows("repayment", loan_id=loan)


@inside
def refusals(shop: Lender) -> None:
    """Amounts and days that are none, a serial number that came before, too little to settle."""
    loan = facts(shop)["loan"]

    def repay(**given: Any) -> None:
        shop.do("finance", "loan", loan, "repay", {**repayment(shop), **given})

    repay(bank_serial_no="S-1")
    for wrong in ({"amount": D("-1")}, {"amount": D("0.001")}, {"value_date": shop.stage.today + timedelta(days=1)}, {"bank_serial_no": "S-1"},
                  {"kind": "settle", "amount": D("1.00")}):
        refused(lambda wrong=wrong: repay(**wrong), MetaloomError)
    account = shop.row("drawdown", facts(shop)["paying"])["payout_account_id"]
    table = shop.tenant.revision().tables.of("lending.bank_account")
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == account).values(status="disabled"))
    refused(lambda: begin_payout(shop), NotPossible)
    books_agree(shop)


@inside
def oldest(shop: Lender) -> None:
    """Of several bills that are late the oldest is paid first."""
    loan = facts(shop)["debited"][0]
    shop.day(shop.stage.today + timedelta(days=45))
    shop.repay(loan, "500.00")
    bills = sorted((bill for bill in shop.rows("instalment", loan_id=loan) if bill["status"] != "cancelled"), key=lambda bill: bill["period_no"])
    assert [bool(bill["paid_interest"] or bill["paid_principal"]) for bill in bills[:3]] == [True, False, False]
    books_agree(shop)


@inside
def hanging(shop: Lender) -> None:
    """A provider that does not answer in time leaves the order unknown, whatever it does afterwards."""
    begin_payout(shop)
    row = next(row for row in shop.outbox() if row["state"] == "pending" and row["key"].startswith("call:pay:"))
    command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock, deadline=0.0)
    (order,) = shop.rows("payment_order", drawdown_id=facts(shop)["paying"])
    assert order["status"] == "unknown"
    for _ in range(100):
        if shop.gateway.paid_cents(order["pay_no"]):
            break
        time.sleep(0.05)
    work_calls(shop)
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"
    trial.gateway_agrees(shop)
    books_agree(shop)


@inside
def reversal(shop: Lender) -> None:
    """A receipt is reversed with a mirror of its entry, once."""
    loan, before = facts(shop)["loan"], shop.account("1002")
    shop.repay(loan, "1234.56")
    made = shop.rows("repayment", loan_id=loan)[-1]["id"]
    shop.do("fincheck", "repayment", made, "reverse", reason="记错")
    assert shop.account("1002") == before
    refused(lambda: shop.do("fincheck", "repayment", made, "reverse", reason="记错"), MetaloomError)
    books_agree(shop)


@inside
def lag(shop: Lender) -> None:
    """A loan whose day end did not run is brought to its day before anything happens to it."""
    shop.day(shop.stage.today + timedelta(days=4))
    for loan in facts(shop)["loans"][1:3]:
        shop.repay(loan, "1000.00")
        assert shop.row("loan", loan)["accrued_through"] == shop.stage.today
    books_agree(shop)


@inside
def clients(shop: Lender) -> None:
    """Many at once on one loan: each receipt is there once, to the cent, in the books and in the plan; the last closes, the rest is overpaid."""
    crowd(shop, 12, repayments=2, amount=D("700.00"))


def crowd(shop: Lender, threads: int, *, repayments: int, amount: D) -> None:
    """``threads`` people repay the same loan ``repayments`` times each; a conflict is tried again, as a person would."""
    loan, bank = facts(shop)["loan"], shop.account("1002")
    contexts = [shop.stage.as_user("finance")._context(f"crowd {n}") for n in range(threads)]
    barrier, wrong = threading.Barrier(threads), list[BaseException]()

    def person(ctx: Any) -> None:
        barrier.wait()
        for _ in range(repayments):
            try:
                once(ctx)
            except NotPossible:                  # settled meanwhile: the money goes back to who brought it
                return
            except BaseException as error:  # noqa: BLE001 - told below
                wrong.append(error)
                return

    def once(ctx: Any) -> None:
        for _ in range(400):
            try:
                command.run_action(ctx, "lending.loan", loan, "repay", repayment(shop, str(amount)), shop.row("loan", loan)["row_version"], "")
                return
            except (Stale, Busy):
                time.sleep(random.uniform(0, threads / 50))     # who is told to look again takes a moment; fifty who do not take the machine
        raise AssertionError("was never let in")

    people = [threading.Thread(target=person, args=(ctx,)) for ctx in contexts]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert not wrong, wrong[:3]
    receipts, row = shop.rows("repayment", loan_id=loan), shop.row("loan", loan)
    assert shop.account("1002") - bank == amount * len(receipts)
    assert len(receipts) == threads * repayments or row["status"] == "settled" or row["principal_balance"] == 0
    parts_ = shop.rows("repayment_allocation", loan_id=loan)
    spread = sum((part["amount"] for part in parts_), D(0))
    assert spread == amount * len(receipts), (spread, len(receipts))
    books_agree(shop)


# -- calls and notices --------------------------------------------------------------------------------------------------


def notice(shop: Lender, order: Any, state: str, number: str, *, cents: int = 0, reference: str = "", currency: str = "") -> tuple[dict[str, str], bytes]:
    body = json.dumps({"event_no": f"EV-{order['id']}-{number}", "payout": {
        "order_no": reference or order["pay_no"], "cents": int(order["amount"] * 100) + cents, "state": state, "gateway_no": f"GW{order['id']}",
        "code": "INSUFFICIENT_FUNDS" if state == "FAILED" else "", **({"currency": currency} if currency else {})}}).encode()
    return dict(shop.gateway._signature_headers("NOTICE", "/notice", body)), body


@inside
def notices(shop: Lender) -> None:
    """Forged, changed and old ones change nothing; doubled, wrong, unknown and late ones book what is right, once."""
    asked(shop, "fincheck", "debit_batch", facts(shop)["batch"], "start", facts(shop)["versions"]["batch"])
    simulator = shop.gateway
    with simulator._books() as books:
        books.execute("UPDATE payout SET fate = ''")
    desk_calls(shop)
    order = next(row for row in shop.rows("payment_order", biz_type="collect") if row["status"] == "sending")
    receipts = len(shop.rows("repayment"))
    head, body = notice(shop, order, "SUCCESS", "1")
    old = {**simulator._signature_headers("NOTICE", "/notice", body)}
    hour = str(int(old["X-Timestamp"]) - 3600)
    from metaloom_plugins.gateway_sandbox.simulator import _signature

    stamped = {"X-Timestamp": hour, "X-Nonce": "n", "X-Signature": _signature(simulator.merchant_key(), hour, "n", "NOTICE", "/notice", body)}
    for forged in (({**head, "X-Signature": "0" * 64}, body), ({}, body), (head, body.replace(b"SUCCESS", b"FAILED")), (stamped, body),
                   (simulator._signature_headers("NOTICE", "/notice", body, key="1" * 64), body)):
        assert desk.tell(shop, *forged) == 401
    for wrong in (notice(shop, order, "SUCCESS", "2", cents=1), notice(shop, order, "SUCCESS", "3", cents=-1),
                  notice(shop, order, "SUCCESS", "4", reference="ZF-NONE"), notice(shop, order, "PROCESSING", "5")):
        assert desk.tell(shop, *wrong) == 200
    assert len(shop.rows("repayment")) == receipts and shop.row("payment_order", order["id"])["status"] in ("sending", "unknown")
    assert desk.tell(shop, *notice(shop, order, "FAILED", "6")) == 200 and shop.row("payment_order", order["id"])["status"] == "failed"
    for _ in range(3):
        assert desk.tell(shop, head, body) == 200
    for number in ("7", "8"):
        assert desk.tell(shop, *notice(shop, order, "SUCCESS", number)) == 200
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"
    assert [row["amount"] for row in shop.rows("repayment", bank_serial_no=order["pay_no"])] == [order["amount"]]
    books_agree(shop)


def desk_calls(shop: Lender) -> None:
    """Each call that waits is made once."""
    run_due(shop.tenant, rows_of(shop, "call"), limit=2)
    desk.rest(shop)


@inside
def silence(shop: Lender) -> None:
    """An answer that stays away is no failure, and nothing is sent twice because of it."""
    shop.gateway.inject("timeout_after_accept")
    shop.gateway.inject("query_not_found", times=2)
    begin_payout(shop)
    states = []
    for _ in range(5):
        run_due(shop.tenant, rows_of(shop, "call"), limit=1)
        worlds.expire(shop.tenant)
        (order,) = shop.rows("payment_order", drawdown_id=facts(shop)["paying"])
        states.append(order["status"])
    assert states[0] == "unknown" and "failed" not in states and states[-1] == "succeeded", states
    assert [what for what, _ in shop.gateway.calls(order["pay_no"])].count("payout") == 1
    trial.gateway_agrees(shop)
    books_agree(shop)


# -- workers ------------------------------------------------------------------------------------------------------------


@inside
def fences(shop: Lender) -> None:
    """A holder whose lease ran out, and whose row somebody took over, writes nothing more."""
    tenant = shop.tenant
    with tenant.write() as conn:
        put(conn, tenant.revision().tables, kind="storm", payload={}, key="storm")
        conn.execute(run_part.insert().values(run_id=1, step=99, no=1, from_id=0, until_id=1, size=1, held=False))
    (first,) = outbox.claim(tenant, "slow", kinds=["storm"])
    with tenant.write() as conn:
        slow = parts.take(conn, 1, 99, "slow")
    worlds.expire(tenant)
    (second,) = outbox.claim(tenant, "quick", kinds=["storm"])
    with tenant.write() as conn:
        quick = parts.take(conn, 1, 99, "quick")
    assert slow is not None and quick is not None and (first.id, slow.id) == (second.id, quick.id)

    def late(work: Callable[[Any], None]) -> None:
        with tenant.write() as conn:
            work(conn)

    refused(lambda: late(first.settle), LeaseLost)
    refused(lambda: late(first.extend), LeaseLost)
    refused(lambda: late(first.later), LeaseLost)
    refused(lambda: late(lambda conn: parts.finish(conn, slow, done=1, failed=0, figures={})), LeaseLost)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(outbox_table.c.state).where(outbox_table.c.id == second.id)) == "running"


@inside
def twice(shop: Lender) -> None:
    """Two clicks, two workers, the same call again: one payment."""
    version, results = facts(shop)["versions"]["drawdown"], list[str]()
    contexts = [replace(shop.stage.as_user("finance")._context(f"twice {n}"), idempotency_key=f"k{n}") for n in range(4)]
    barrier = threading.Barrier(4)

    def click(ctx: Any) -> None:
        barrier.wait()
        try:
            command.run_action(ctx, "lending.drawdown", facts(shop)["paying"], "payout", {}, version, "")
            results.append("done")
        except MetaloomError as refusal:
            results.append(refusal.code)

    people = [threading.Thread(target=click, args=(ctx,)) for ctx in contexts]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert results.count("done") == 1, results
    work_calls(shop)
    row = next(row for row in reversed(shop.outbox()) if row["key"].startswith("call:pay:"))
    command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
    assert len(shop.rows("payment_order", drawdown_id=facts(shop)["paying"])) == 1
    trial.gateway_agrees(shop)
    books_agree(shop)


@inside
def votes(shop: Lender) -> None:
    """As many as the chain asks for, no fewer."""
    made = shop.application(shop.customer()[0], shop.product(amount_max=D(5000000)), apply_amount=D(2000000))
    shop.do("officer", "credit_application", made, "submit")
    shop.settle_outside()
    shop.decide("check", "credit_application", made, opinion="可", suggest_amount=D(2000000))
    shop.decide("review", "credit_application", made, approved_amount=D(2000000), annual_rate=D("0.12"))
    shop.decide("member1", "credit_application", made)
    assert not shop.rows("credit_limit", application_id=made), "one vote of three was enough"
    refused(lambda: shop.decide("member1", "credit_application", made), MetaloomError)
    shop.decide("member2", "credit_application", made)
    assert len(shop.rows("credit_limit", application_id=made)) == 1


CHECKS: Mapping[str, Callable[[World, Mapping[str, Any]], None]] = {
    "payout": path_check("payout", "outbox.claimed", "call.after_send", "call.after_result", "outbox.handled"),
    "debit": path_check("debit", "notice.taken"), "repay": path_check("repay", "write.before_commit", "write.after_commit"),
    "day_end": path_check("day_end", "mass.after_begin", "mass.after_take", "mass.after_write", "mass.after_part"), "import": path_check("import"),
    "publish": path_check("publish", "publish.swapping"), "put_off": put_off,
    "missed": missed, "keys": keys, "stale": stale, "rights": rights, "refusals": refusals, "reversal": reversal, "lag": lag, "clients": clients,
    "notices": notices, "silence": silence, "oldest": oldest, "hanging": hanging, "fences": fences, "twice": twice, "votes": votes,
}
__all__ = ["CHECKS", "DAYS", "KEY", "crowd", "work_debit"]
