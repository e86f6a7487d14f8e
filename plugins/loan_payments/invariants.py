"""What must hold of payments whatever happened; ``metaloom doctor --invariants`` looks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from metaloom.base.text import Text
from metaloom.plugin import Breach, Survey

from .orders import ORDER, REFUND
from .recon import LINE, RUN, ZERO

LEG = "platform.ledger_leg"


def settled(survey: Survey) -> Iterator[Breach]:
    """A confirmed day took off the clearing account 1012 what its last statement says, to the cent; any other day nothing."""
    takes = {row["id"]: row["takes"] for row in survey.rows(RUN, ("takes",))}
    stated: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for (recon, take, kind), sums in survey.sums(LINE, ("recon", "take", "kind"), ("amount",), {"outcome": "succeeded"}).items():
        if take == takes.get(recon):
            stated[recon] += sums["amount"] if kind == "collect" else -sums["amount"]
    moved: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for (record, side), sums in survey.sums(LEG, ("record_id", "side"), ("amount",), {"entity": RUN, "account": "1012"}).items():
        moved[record] += sums["amount"] if side == "credit" else -sums["amount"]
    for run in survey.rows(RUN, ("status",)):
        wanted = stated[run["id"]] if run["status"] == "closed" else ZERO
        if moved[run["id"]] != wanted:
            yield Breach(RUN, run["id"], f"is {run['status']}: {moved[run['id']]} was taken off account 1012, {wanted} by the statement")


def reconciled(survey: Survey) -> Iterator[Breach]:
    """Before a month is closed its days are reconciled: none has a difference that nobody handled, none that was compared waits to be confirmed.
    A day whose statement the channel never gave stays as it is."""
    end = survey.until
    assert end is not None, "asked before a month is closed, alone"
    for run in survey.rows(RUN, ("recon_no", "day", "status", "open_count"), {"status": ("open", "waiting", "compared")}):
        if run["day"] > end or (run["status"] == "open" and not run["open_count"]):
            continue
        many = run["open_count"]
        yield Breach(RUN, run["id"], f"is {run['status']} with {many} open differences",
                     Text(f"对账单 {run['recon_no']}（{run['day']}）有 {many} 项差异未处理" if many else f"对账单 {run['recon_no']}（{run['day']}）未确认",
                          f"Reconciliation {run['recon_no']} ({run['day']}) " + (f"has {many} open differences" if many else "is not confirmed")))


def refunded(survey: Survey) -> Iterator[Breach]:
    """A debit says of itself what its refunds that were done come to, and never more than it took."""
    done = {order: sums["amount"] for order, sums in survey.sums(REFUND, ("order",), ("amount",), {"status": "done"}).items()}
    for order in survey.rows(ORDER, ("amount", "refunded"), {"biz_type": "collect"}):
        back = done.get(order["id"], ZERO)
        if order["refunded"] != back or back > order["amount"]:
            yield Breach(ORDER, order["id"], f"took {order['amount']} and says {order['refunded']} went back; its refunds come to {back}")
