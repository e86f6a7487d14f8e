"""Stored rows follow the fold: bills and plan versions, allocations, receipts, the loan. Only what differs is written, so doing it twice is
doing it once; a bill that is the same stays the row it is, and a plan that comes back is the old one reopened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from metaloom.plugin.command import Values, Work

from .fold import Life, Line
from .standing import line_columns, line_state, loan_columns, money, planned_columns

LOAN, PLAN, INSTALMENT = "lending.loan", "lending.repayment_plan", "lending.instalment"
REPAYMENT, ALLOCATION = "lending.repayment", "lending.repayment_allocation"
ZERO = Decimal("0.00")
_MOVES = {"paid": "pay_off", "partial": "pay_part", "not_due": "reopen"}
_SPLIT = ("principal", "interest", "penalty", "compound", "fee")
Key = tuple[int | None, int | None, str]


def store(work: Work, loan: Values, life: Life, on: date, repayments: Mapping[int, int], reason: str) -> None:
    """Brings everything stored of the loan to the folded state. ``repayments``: the stored receipt of each transaction."""
    rows = work.find(INSTALMENT, {"loan": loan["id"]}, order=("id",), lock=True)
    placed = _bills(work, loan, life, rows, on, reason)
    _allocations(work, loan, life, rows, placed, repayments, on)
    _receipts(work, life, repayments)
    columns = loan_columns(life, on)
    _change(work, LOAN, loan, columns)
    _move(work, loan, life, columns)


def _bills(work: Work, loan: Values, life: Life, rows: Sequence[Values], on: date, reason: str) -> dict[tuple[int, int], int]:
    """The row of every bill, by (number, transaction); bills that no row has become the next version of the plan."""
    lines = sorted(life.lines, key=lambda line: (line.due, line.no, line.seq))
    known: dict[tuple[Any, ...], Values] = {}
    for row in sorted(rows, key=lambda row: (row["status"] != "cancelled", row["id"])):
        known[_identity(row)] = row
    found = {id(line): known.get(_identity(planned_columns(line))) for line in lines}
    strangers = [place for place, line in enumerate(lines) if found[id(line)] is None]
    if strangers:
        anew = [line for line in lines[strangers[0]:] if found[id(line)] is None or not line.cuts]
        made = _plan(work, loan, anew, life, reason, on)
        found |= {id(line): row for line, row in zip(anew, made, strict=True)}
    kept = {row["id"] for row in found.values() if row is not None}
    for row in rows:
        if row["status"] != "cancelled" and row["id"] not in kept:
            _change(work, INSTALMENT, row, {f"paid_{name}": ZERO for name in _SPLIT} | {"fee": ZERO, "penalty": ZERO, "compound": ZERO,
                                                                                     "waived_interest": ZERO, "dpd": 0, "paid_off_on": None})
            work.transition(INSTALMENT, row["id"], "cancel")
    for line in lines:
        row = found[id(line)]
        assert row is not None
        _change(work, INSTALMENT, row, line_columns(life, line, on))
        state = line_state(life, line, on)
        if row["status"] != state:
            work.transition(INSTALMENT, row["id"], _MOVES[state])
    return {(line.no, line.seq): row["id"] for line in lines if (row := found[id(line)]) is not None}


def _identity(row: Values) -> tuple[Any, ...]:
    return row["seq"] or 0, *(row[name] for name in ("period_no", "start_date", "due_date", "principal", "interest", "balance"))


def _plan(work: Work, loan: Values, lines: Sequence[Line], life: Life, reason: str, on: date) -> list[Values]:
    """The next version of the plan, from the first bill that changed to the last."""
    version = len(work.find(PLAN, {"loan": loan["id"]})) + 1
    planned = [planned_columns(line) for line in lines]
    columns = loan_columns(life, on)
    plan = work.create(PLAN, {
        "plan_name": f"{loan['loan_no']} V{version}", "loan": loan["id"], "version": version, "reason": reason, "repay_method": loan["repay_method"],
        "annual_rate": columns["annual_rate"], "total_periods": len(planned), "total_principal": sum((row["principal"] for row in planned), ZERO),
        "total_interest": sum((row["interest"] for row in planned), ZERO), "made_on": on})
    ids = work.insert_many(INSTALMENT, [{"loan": loan["id"], "plan": plan, **row} for row in planned])
    stored = {row["id"]: row for row in work.find(INSTALMENT, {"plan": plan})}
    return [stored[id_] for id_ in ids]


def _allocations(work: Work, loan: Values, life: Life, rows: Sequence[Values], placed: Mapping[tuple[int, int], int],
                 repayments: Mapping[int, int], on: date) -> None:
    """Appends what leads from the stored allocations to the wanted ones."""
    gone = {(row["period_no"], row["seq"] or 0): row["id"] for row in rows}
    wanted: dict[Key, int] = defaultdict(int)
    for part in life.parts:
        receipt = repayments.get(part.seq)
        bill = placed.get((part.no, part.line_seq)) or gone.get((part.no, part.line_seq))
        wanted[receipt, bill, part.component] += part.amount
        if not part.seq:
            wanted[None, None, "suspense"] -= part.amount
    for seq, told in life.receipts.items():
        wanted[repayments.get(seq), None, "suspense"] += told.surplus - told.from_suspense
    stands: dict[Key, Decimal] = defaultdict(lambda: ZERO)
    for row in work.find(ALLOCATION, {"loan": loan["id"]}):
        stands[row["repayment"], row["instalment"], row["component"]] += row["amount"]
    order = sorted(set(wanted) | set(stands), key=lambda key: (key[0] or 0, key[1] or 0, key[2]))
    missing = {key: money(wanted[key]) - stands[key] for key in order}
    work.insert_many(ALLOCATION, [
        {"repayment": repayment, "loan": loan["id"], "instalment": bill, "component": component, "amount": amount, "booking_date": on}
        for (repayment, bill, component), amount in missing.items() if amount])


def _receipts(work: Work, life: Life, repayments: Mapping[int, int]) -> None:
    """How each standing receipt is split now; a replay may have spread it otherwise than on its day."""
    for seq, receipt in life.receipts.items():
        values = {name: money(receipt.of(name)) for name in _SPLIT}
        _change(work, REPAYMENT, work.get(REPAYMENT, repayments[seq]), {
            **values, "from_suspense": money(receipt.from_suspense), "surplus": money(receipt.surplus)})


def _move(work: Work, loan: Values, life: Life, columns: Mapping[str, Any]) -> None:
    """The state of the loan: settled where nothing is open, written off, or in repayment."""
    wanted = "settled" if columns["next_due_on"] is None else "written_off" if life.written_off is not None else "normal"
    if loan["status"] != wanted:
        work.transition(LOAN, loan["id"], {"settled": "settle", "written_off": "write_off", "normal": "reopen"}[wanted])


def _change(work: Work, entity: str, row: Values, values: Mapping[str, Any]) -> None:
    changed = {name: value for name, value in values.items() if row[name] != value}
    if changed:
        work.change(entity, row["id"], changed)
