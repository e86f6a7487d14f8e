"""kill -9 in a debit, a refund, a notice, a claim and a reconciliation, one place after the other: in the end each happened once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom import command
from tests import forked
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.test_payments import order_of
from tests.plugins.loan_servicing.books import books_agree

CHILD = """
import json, sys
from dataclasses import replace
from datetime import datetime
from metaloom import command
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command.receive_call import NOTICE, receive_call
from metaloom.plugin import registry
from metaloom.plugin.signed_notice import SignedCall
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
home, name, at, what, said = sys.argv[1:]
said, plugins, clock = json.loads(said), registry.load(), FixedClock(datetime.fromisoformat(at))
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home}), compiler=compiler_with(plugins.manifest())).open(name)
if what == "call":
    with tenant.read() as conn:
        table = tenant.revision().tables.engine.outbox
        row = conn.execute(table.select().where(table.c.id == said["id"])).mappings().one()
    command.handle_call(tenant, row, plugins=plugins, clock=clock)
elif what == "notice":
    receive_call(tenant, NOTICE, "sandbox", SignedCall(headers=said["headers"], body=said["body"].encode()), plugins=plugins, clock=clock)
else:
    with tenant.read() as conn:
        plan = plan_for(conn, tenant.revision(), said["user"])
    ctx = replace(command.system_context(tenant, plugins=plugins, clock=clock), actor=plan.actor, plan=plan, system=False, channel="screen",
                  idempotency_key=said["key"])
    command.run_action(ctx, said["entity"], said["id"], said["action"], said["input"], said["version"], "")
"""
WRITES = ("write.before_commit", "write.after_commit")


@pytest.fixture(scope="module")
def shop(lender: Lender) -> Lender:
    desk.channel(lender, "MAIN")
    return lender


def dies(shop: Lender, points: Iterable[str], what: str, **said: Any) -> None:
    """The same work again and again, killed at each of these places."""
    for point in points:
        run = forked.run(CHILD, shop.tenant.settings.home, shop.tenant.name, shop.stage.clock.now().isoformat(), what, json.dumps(said),
                         env={**os.environ, "METALOOM_CRASH_POINT": point})
        assert run.returncode == -9, (point, run.stderr[-2000:])


def waiting(shop: Lender, method: str) -> Any:
    return next(row for row in reversed(shop.outbox()) if row["state"] == "pending" and row["payload"].get("method") == method)


def finish(shop: Lender, row: Any) -> None:
    """The next worker takes the row over."""
    command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
    table = shop.tenant.revision().tables.engine.outbox
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == row["id"]).values(state="done"))


def test_a_debit_and_its_refund_survive_death_at_every_place_of_the_call(shop: Lender) -> None:
    loan, held = desk.running_loan(shop), shop.account("1012")
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    row = waiting(shop, "collect")
    dies(shop, ("call.after_send", *WRITES), "call", id=row["id"])
    finish(shop, row)
    order = order_of(shop, loan)
    assert [(r["amount"], r["status"]) for r in shop.rows("repayment", loan_id=loan)] == [(order["amount"], "posted")]
    assert (order["status"], shop.account("1012") - held, shop.gateway.paid_cents(order["pay_no"])) == ("succeeded", order["amount"], -order["amount"] * 100)
    made = shop.create("service", "payment_refund", {"order": order["id"], "amount": order["amount"], "why": "wrong", "note": "误扣"})
    shop.do("fincheck", "payment_refund", made, "pay_back")
    row = waiting(shop, "refund")
    dies(shop, ("call.after_send", "call.after_result"), "call", id=row["id"])
    finish(shop, row)
    back = shop.rows("payment_order", refund_id=made)
    assert [(o["status"], shop.gateway.paid_cents(o["pay_no"])) for o in back] == [("succeeded", order["amount"] * 100)]
    assert shop.row("payment_refund", made)["status"] == "done" and shop.account("1012") == held and shop.account("2241.02") == 0
    books_agree(shop)


def test_a_notice_whose_receiver_dies_is_told_again_and_books_once(shop: Lender) -> None:
    loan = desk.running_loan(shop, card_ending="9995")
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    desk.one_call(shop)
    order, told = order_of(shop, loan), []
    shop.gateway.settle_all()
    shop.gateway.deliver(lambda headers, body: told.append((headers, body)) or 503)
    headers, body = next((h, b) for h, b in told if order["pay_no"].encode() in b)
    dies(shop, ("notice.read", "write.before_commit", "notice.taken"), "notice", headers={k.lower(): v for k, v in headers.items()}, body=body.decode())
    assert desk.tell(shop, headers, body) == 200
    assert [r["amount"] for r in shop.rows("repayment", loan_id=loan)] == [order["amount"]] and len(shop.rows("payment_notice", order_id=order["id"])) == 1


def test_a_line_whose_poster_dies_is_posted_once_under_its_key(shop: Lender) -> None:
    loan = shop.rows("loan")[0]["id"]
    line = shop.create("finance", "bank_receipt", {"bank_serial_no": "K-1", "our_account": "02", "payer_name": "张三", "amount": D(500),
                                                   "value_date": shop.stage.today})
    shop.do("finance", "bank_receipt", line, "find_loan")
    shop.do("officer", "bank_receipt", line, "claim", {"loan": loan})
    version = shop.row("bank_receipt", line)["row_version"]
    user = next(row["id"] for row in shop.rows("platform.user") if row["username"] == "fincheck")
    dies(shop, WRITES, "action", user=user, entity="lending.bank_receipt", id=line, action="post", input={"kind": "due"}, version=version, key="post-k1")
    assert shop.run("fincheck", "bank_receipt", line, "post", version, {"kind": "due"}, key="post-k1").replayed
    assert [r["amount"] for r in shop.rows("repayment", bank_serial_no="K-1")] == [D(500)] and shop.account("2241.02") == 0


def test_a_statement_whose_reader_dies_is_compared_once(shop: Lender) -> None:
    way = shop.rows("payment_channel", code="MAIN")[0]["id"]
    run = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today})
    shop.do("finance", "recon_run", run, "fetch")
    row = waiting(shop, "statement")
    dies(shop, ("write.before_commit", "call.after_result"), "call", id=row["id"])
    finish(shop, row)
    done = shop.row("recon_run", run)
    lines = shop.rows("recon_line", recon_id=run)
    assert done["status"] == "compared" and len(lines) == len({line["reference"] for line in lines}) == done["their_count"] > 0
    books_agree(shop)
