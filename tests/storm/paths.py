"""The paths that move money or change tables, each as a client and a worker walk them, and can walk them again after a death."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal as D
from functools import partial
from random import Random
from typing import Any

import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import MetaloomError
from metaloom.command import handle_part, handle_run, import_records, schedule_jobs
from metaloom.compile import Source
from metaloom.job import run_due
from metaloom.schema_change import publish, recover
from metaloom.storage.revisions import shared
from metaloom_plugins.loan_demo import people
from tests.plugins.lender import START, Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_servicing.days import end_day, tick
from tests.storm import world as worlds

KEY = "storm-1"


@dataclass(frozen=True)
class Path:
    """``begin``: what somebody asks for, repeated under one key until it is answered. ``work``: what workers do, until nothing is left.
    ``points``: the prefixes of the places in the code that belong to it. ``later``: what comes next by itself and brings up what was left
    behind; of a path that has none nothing may be left behind."""

    name: str
    begin: Callable[[Lender], None]
    work: Callable[[Lender], None]
    points: tuple[str, ...] = ()
    later: Callable[[Lender], None] | None = None


# -- the world ------------------------------------------------------------------------------------------------------------


def fill(shop: Lender, loans: int = 4) -> Mapping[str, Any]:
    """Loans that pay, are late, run by the day and are overpaid; one payout, one batch of debits and one case that wait."""
    tick(shop)
    desk.channel(shop, "MAIN")
    graced, daily = shop.product(grace_days=3, compound_interest=True), shop.product(day_count="ACT/365")
    made = [shop.loan(graced if n % 2 else daily, amount=D(12000 + 1000 * n), term=(3, 6, 12)[n % 3],
                      method=("EQUAL_INSTALMENT", "INTEREST_ONLY", "BULLET", "EQUAL_PRINCIPAL")[n % 4]) for n in range(loans)]
    debited = [desk.running_loan(shop, card_ending=ending) for ending in ("", "9995")]
    _, account, limit = shop.limit(graced, amount=D(30000))
    paying = shop.to_pay(shop.drawdown(limit, account, amount=D(20000), term=6))
    _, account, limit = shop.limit(graced, amount=D(30000))
    deciding = shop.drawdown(limit, account, amount=D(20000), term=6)
    shop.do("officer", "drawdown", deciding, "submit")
    shop.settle_outside()
    end_day(shop, 36)
    first = shop.row("loan", made[0])
    shop.repay(made[0], first["next_due_amount"] + D(500), on=shop.stage.today)
    end_day(shop, 1)
    batch = desk.batch(shop)
    shop.settle_outside()
    rest(shop)
    return {"loans": [*made, *debited], "debited": debited, "paying": paying, "deciding": deciding, "batch": batch, "product": graced,
            "versions": {"drawdown": shop.row("drawdown", paying)["row_version"], "batch": shop.row("debit_batch", batch)["row_version"],
                         "loan": shop.row("loan", made[1])["row_version"]},
            "loan": made[1], "company": shop.company, "business_date": shop.stage.today}


def rest(shop: Lender) -> None:
    """What other work left in the outbox is done with."""
    table = shop.tenant.revision().tables.engine.outbox
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.state == "pending", table.c.kind != "approval.timer").values(state="done"))


def facts(shop: Lender) -> Mapping[str, Any]:
    found: Mapping[str, Any] = shop.facts  # type: ignore[attr-defined]
    return found


def rows_of(shop: Lender, *kinds: str) -> Any:
    """The worker's handlers of these kinds on the lender's clock."""
    known = {"call": command.handle_call, "job.run": handle_run, "job.part": handle_part}
    return {kind: partial(known[kind], plugins=shop.plugins, clock=shop.real if kind.startswith("job") else shop.stage.clock) for kind in kinds}


def quiet(shop: Lender, *kinds: str, turns: int = 12, alone: bool = True) -> None:
    """Runs what is due until nothing is; a try that failed is not waited for. ``alone``: nobody else is at work, and leases that stand are those
    of the dead."""
    for _ in range(turns):
        if not run_due(shop.tenant, rows_of(shop, *kinds), limit=50):
            table = shop.tenant.revision().tables.engine.outbox
            with shop.tenant.read() as conn:
                left = conn.scalar(sa.select(sa.func.count()).where(table.c.kind.in_(kinds), table.c.state.in_(("pending", "running"))))
            if not left:
                return
            if alone:
                worlds.expire(shop.tenant)
            else:
                worlds.hurry(shop.tenant)
                time.sleep(0.02)


def asked(shop: Lender, who: str, entity: str, id: int, action: str, version: int, given: Mapping[str, Any] | None = None, key: str = KEY) -> Any:
    return shop.run(who, entity, id, action, version, given or {}, key=key)


# -- payout -----------------------------------------------------------------------------------------------------------------


def begin_payout(shop: Lender) -> None:
    asked(shop, "finance", "drawdown", facts(shop)["paying"], "payout", facts(shop)["versions"]["drawdown"])


def work_calls(shop: Lender) -> None:
    quiet(shop, "call")


# -- repayment --------------------------------------------------------------------------------------------------------------


def begin_repay(shop: Lender) -> None:
    """At the counter."""
    here = facts(shop)
    asked(shop, "finance", "loan", here["loan"], "repay", here["versions"]["loan"], {
        "amount": D("4321.09"), "kind": "due", "value_date": shop.stage.today, "source": "transfer", "bank_serial_no": "STORM-1"})


def begin_debit(shop: Lender) -> None:
    asked(shop, "fincheck", "debit_batch", facts(shop)["batch"], "start", facts(shop)["versions"]["batch"])


def work_debit(shop: Lender) -> None:
    """Each debit is asked for once; one is answered at once, one by notice, which the gateway repeats until it is taken."""
    table = shop.tenant.revision().tables.engine.outbox
    for _ in range(6):
        with shop.tenant.read() as conn:
            waiting = conn.scalar(sa.select(sa.func.count()).where(table.c.kind == "call", table.c.state.in_(("pending", "running")),
                                                                   table.c.key.notlike("call:query:%")))
        if not waiting:
            break
        desk.rest(shop)                           # questions about what is in process: the notice comes first
        run_due(shop.tenant, rows_of(shop, "call"), limit=1)
        worlds.expire(shop.tenant)
    desk.rest(shop)
    simulator = shop.gateway
    simulator.settle_all()
    for _ in range(8):
        simulator.deliver(partial(desk.tell, shop))
        with simulator._books() as books:
            books.execute("UPDATE notice SET due_at = 0 WHERE done = 0")
            if not books.execute("SELECT count(*) FROM notice WHERE done = 0").fetchone()[0]:
                break
    desk.rest(shop)


# -- day end ------------------------------------------------------------------------------------------------------------------


def begin_day(shop: Lender, days: int = 1) -> None:
    here = facts(shop)
    day = here["business_date"] + timedelta(days=days)
    shop.day(day)
    schedule_jobs(shop.tenant, plugins=shop.plugins, clock=shop.real)


def next_days(shop: Lender) -> None:
    """A Sunday, when some jobs rest, and the Monday."""
    for days in (2, 3):
        begin_day(shop, days)
        work_day(shop)


def work_day(shop: Lender) -> None:
    schedule_jobs(shop.tenant, plugins=shop.plugins, clock=shop.real)
    quiet(shop, "job.run", "job.part", turns=40)


# -- approval, publish, import --------------------------------------------------------------------------------------------------


def begin_decision(shop: Lender) -> None:
    shop._keys = iter(["decision"])               # the stage finds in the audit what was done under this key
    shop.decide("manager", "drawdown", facts(shop)["deciding"])


def nothing(shop: Lender) -> None:
    """No worker has to do with it."""


def more_sources() -> tuple[Any, ...]:
    """One field, one unique rule and one entity more."""
    entity = """
entity:
  label: {zh: 风暴, en: Storm}
  title: name
  natural_key: [name]
  shared: true
  fields:
    name: {type: text, required: true, unique: true, label: {zh: 名称, en: Name}}
"""
    return (*worlds.sources(), Source("pack", "lending/post_loan/storm/entity.yaml", entity))


def begin_publish(shop: Lender) -> None:
    publish(shop.tenant, more_sources())


def work_publish(shop: Lender) -> None:
    recover(shop.tenant)


def begin_import(shop: Lender) -> None:
    dice = Random(7)
    shop_rows = [people.personal(dice, "personal", START).values for _ in range(3)]
    ctx = replace(shop.stage.as_user("officer")._context("import"), idempotency_key=KEY)
    done = import_records(ctx, "lending.customer", shop_rows, "good_rows")
    assert done.good, done.problems


PATHS = {path.name: path for path in (
    Path("payout", begin_payout, work_calls, ("record.", "outbox.", "call.", "process.", "ledger.")),
    Path("debit", begin_debit, work_debit, ("notice.", "call.before_result", "ledger.")),
    Path("repay", begin_repay, nothing, ("write.", "ledger.")),
    Path("day_end", begin_day, work_day, ("schedule.", "run.", "mass.", "ledger.", "outbox.finished"), next_days),
    Path("approval", begin_decision, nothing, ("approval.",)),
    Path("publish", begin_publish, work_publish, ("publish.",)),
    Path("import", begin_import, nothing, ("import.",)),
)}


def walk(shop: Lender, path: Path) -> None:
    """As a client and the workers do: the same request again until it is answered, work until nothing is left; a worker goes on after an error."""
    for part in (path.begin, path.work):
        for turn in range(4):
            try:
                part(shop)
                break
            except (MetaloomError, sa.exc.DBAPIError):
                if turn == 3:
                    raise


def prepared(name: str) -> None:
    """What no child should have to do again."""
    worlds.sources()
    if name == "publish":
        shared(tuple((one.layer, one.path, one.text) for one in more_sources()), worlds.compiler())
