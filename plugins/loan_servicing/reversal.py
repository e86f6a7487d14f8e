"""冲正: a receipt or a change is taken back by a mirror of its entry; what happened after it is replayed (S1-21, I12, F28)."""

from __future__ import annotations

from metaloom.plugin.command import Values, Work

from .books import about
from .cases import CHANGE, LOAN, REPAYMENT, catch_up, finish, mirrored, open_case


def reverse(work: Work, repayment: Values | None, input: Values) -> Values:
    """Restores loan, plan, limit and books to what they would be without the receipt; any standing receipt, not only the last."""
    assert repayment is not None
    return _reverse(work, REPAYMENT, repayment)


def reverse_change(work: Work, change: Values | None, input: Values) -> Values:
    """The same for a change of the loan: fee, waiver, rate, extension, refund, write-off."""
    assert change is not None
    return _reverse(work, CHANGE, change)


def _reverse(work: Work, entity: str, record: Values) -> Values:
    loan = work.lock(LOAN, record["loan"])
    case = open_case(work, loan)
    before, stands = catch_up(work, case)
    entry = None
    if record["voucher"]:
        on = record["value_date"] if entity == REPAYMENT else record["effective_on"]
        original = work.get("platform.ledger_entry", record["voucher"])
        entry = work.post(original["event"], {}, about(work, loan), loan["company"], case.today, on, (entity, record["id"]), reversal_of=record["voucher"])
        stands = mirrored(work, stands, record["voucher"])
    work.transition(entity, record["id"], "reverse")
    work.change(entity, record["id"], {"reversed_on": case.today})
    seq = record["seq"] or record["id"]
    left = [txn for txn in case.txns if txn.seq != seq]
    finish(work, case, left, stands, before, "replay", f"{record['id']}" if entity == REPAYMENT else f"undo:{record['id']}", (entity, record["id"]))
    return {"voucher": entry}
