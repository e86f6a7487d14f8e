"""冲正: a receipt or a change is taken back by a mirror of its entry; what happened after it is replayed (S1-21, I12, F28)."""

from __future__ import annotations

from metaloom.plugin.command import Values, Work

from .books import about
from .cases import CHANGE, LOAN, REPAYMENT, catch_up, finish, mirrored, open_case, provide_first
from .changes import ALLOWANCE


def reverse(work: Work, repayment: Values | None, input: Values) -> Values:
    """Restores loan, plan, limit and books to what they would be without the receipt; any standing receipt, not only the last."""
    assert repayment is not None
    done = _reverse(work, REPAYMENT, repayment)
    if repayment["source"] == "debit":
        work.run("loan_payments.repayment_reversed", None, {"repayment": repayment["id"]})
    return done


def reverse_change(work: Work, change: Values | None, input: Values) -> Values:
    """The same for a change of the loan: fee, waiver, rate, extension, refund, write-off."""
    assert change is not None
    return _reverse(work, CHANGE, change)


def _give_back(work: Work, repayment: Values) -> None:
    """What was agreed to of a prepayment or settlement waits for the money again, unless another one does by now."""
    for agreed in work.find(CHANGE, {"repayment": repayment["id"], "status": "used"}):
        other = work.find(CHANGE, {"loan": agreed["loan"], "kind": agreed["kind"], "status": ["reviewing", "agreed"]}, limit=1)
        work.transition(CHANGE, agreed["id"], "withdraw" if other else "unpay")
        work.change(CHANGE, agreed["id"], {"repayment": None, "booked_on": None})


def _reverse(work: Work, entity: str, record: Values) -> Values:
    loan = work.lock(LOAN, record["loan"])
    if loan["status"] == "written_off" or record["kind"] in ALLOWANCE:
        loan = provide_first(work, loan)
    case = open_case(work, loan)
    before, stands = catch_up(work, case)
    entry = None
    if record["voucher"]:
        on = record["value_date"] if entity == REPAYMENT else record["effective_on"]
        original = work.get("platform.ledger_entry", record["voucher"])
        entry = work.post(original["event"], {}, about(work, loan), loan["company"], case.today, on, (entity, record["id"]), reversal_of=record["voucher"])
        stands = mirrored(work, stands, record["voucher"])
    work.transition(entity, record["id"], "reverse")
    work.change(entity, record["id"], {"reversed_on": case.today, **({"written": None} if record["kind"] == "write_off" else {})})
    if entity == REPAYMENT:
        _give_back(work, record)
    seq = record["seq"] or record["id"]
    left = [txn for txn in case.txns if txn.seq != seq]
    finish(work, case, left, stands, before, "replay", f"{record['id']}" if entity == REPAYMENT else f"undo:{record['id']}", (entity, record["id"]))
    return {"voucher": entry}
