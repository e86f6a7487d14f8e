"""Short verbs for the tests of payments: a debit agreement, a batch, a notice, a statement."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

from metaloom import command
from metaloom.command.receive_call import NOTICE, receive_call
from metaloom.plugin.signed_notice import SignedCall
from tests.plugins.lender import Lender

CHANNEL = {"gateway": "sandbox", "capabilities": ["payout", "collect", "refund"], "amount_max": D(1000000), "priority": 10}


def channel(shop: Lender, code: str, **values: Any) -> int:
    """A channel that is switched on."""
    made = shop.create("finance", "payment_channel", {**CHANNEL, "code": code, "name": f"渠道{code}", **values})
    shop.do("fincheck", "payment_channel", made, "enable")
    return made


def one_call(shop: Lender, questions_wait: bool = False) -> None:
    """The worker makes the newest call and no further one: an order that stays in process would be asked about without end."""
    row = next(row for row in reversed(shop.outbox()) if row["state"] == "pending" and row["key"].startswith("call:pay:"))
    command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
    table = shop.tenant.revision().tables.engine.outbox
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == row["id"]).values(state="done"))
    if not questions_wait:
        rest(shop)


def each_call(shop: Lender, questions_wait: bool = False) -> None:
    """The worker makes every call that waits, each once; what they ask for next waits for the next round."""
    table = shop.tenant.revision().tables.engine.outbox
    for row in [row for row in shop.outbox() if row["state"] == "pending" and row["key"].startswith(("call:pay:", "call:query:"))]:
        command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
        with shop.tenant.write() as conn:
            conn.execute(table.update().where(table.c.id == row["id"]).values(state="done"))
    if not questions_wait:
        rest(shop)


def rest(shop: Lender) -> None:
    """The questions that wait are left alone: the clock of these tests stands in the past, where every question is due at once."""
    table = shop.tenant.revision().tables.engine.outbox
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.state == "pending", table.c.key.like("call:query:%")).values(state="dead"))


def pause_all(shop: Lender) -> None:
    for row in shop.rows("payment_channel", status="active"):
        shop.do("finance", "payment_channel", row["id"], "pause", reason="测试")


def running_loan(shop: Lender, *, card_ending: str = "", gateway: str = "sandbox", amount: D = D(12000)) -> int:
    """A loan that was paid out, with an agreement to debit another card whose ending decides what the sandbox does."""
    customer, account, limit = shop.limit(amount=amount, term=12)
    loan = shop.paid(shop.drawdown(limit, account, amount=amount, term=12))
    debited = account
    if card_ending:
        name = shop.row("customer", customer)["name"]
        from random import Random

        from metaloom_plugins.loan_demo import people
        card = people.card(Random(loan), card_ending)
        debited = shop.create("officer", "bank_account", {"customer": customer, "account_name": name, "bank_code": card.bank, "card_no": card.number,
                                                          "usage": ["debit"]})
    shop.create("officer", "debit_agreement", {"customer": customer, "account": debited, "gateway": gateway, "protocol_no": f"XY{loan:08d}"})
    return loan


def batch(shop: Lender, until: date | None = None) -> int:
    """A prepared batch of everything that is due until then."""
    made = shop.create("finance", "debit_batch", {"due_until": until or shop.stage.today + timedelta(days=31)})
    shop.do("finance", "debit_batch", made, "prepare")
    return made


def item_of(shop: Lender, made: int, loan: int) -> Any:
    return next(row for row in shop.rows("debit_item", batch_id=made) if row["loan_id"] == loan)


def tell(shop: Lender, headers: Any, body: bytes, gateway: str = "sandbox") -> int:
    """Posts a notice at the engine's door; its status."""
    call = SignedCall(headers={name.lower(): value for name, value in headers.items()}, body=body)
    return receive_call(shop.tenant, NOTICE, gateway, call, plugins=shop.plugins, clock=shop.stage.clock, address="203.0.113.9").status


def said(shop: Lender, order: int, **word: Any) -> None:
    """The result command itself, as a worker or a query would run it."""
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    command.run_command(ctx, "loan_payments.result", order, word)


def statement(shop: Lender, run: int, lines: list[dict[str, Any]], outcome: str = "succeeded") -> None:
    """The statement that came for a run that waits for it."""
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    whole = [{"gateway_no": f"G-{n}", "kind": "payout", "fee": "0.00", "outcome": "succeeded", "day": shop.stage.today.isoformat(), **line}
             for n, line in enumerate(lines)]
    command.run_command(ctx, "loan_payments.statement_result", run, {"outcome": outcome, "code": "", "text": "", "lines": json.loads(json.dumps(whole))})


def claim(shop: Lender, line: Any, loan: int) -> None:
    """A line of the bank or of a channel goes to the loan that it is for, by two people."""
    if line["status"] in ("unclaimed", "proposed"):
        shop.do("officer", "bank_receipt", line["id"], "claim", {"loan": loan})
    shop.do("fincheck", "bank_receipt", line["id"], "post", {"kind": "due"})
