"""What a running case forbids for its record, and what a change of the record does to a case that waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.approval.event import SYSTEM
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command import approval_rows
from metaloom.command.approval_words import at_steps
from metaloom.command.unit import ENDINGS, Unit
from metaloom.model import WaitFor

# States in which the record lies with its initiator, or is waited for.
LOOSE = frozenset({"returned", "waiting"})


def refuse_in_approval(unit: Unit, address: str, record: Mapping[str, Any], *, gone: bool = False) -> None:
    """NotPossible while a case about the record runs; ``gone``: for archive and delete, also while it is returned or waits."""
    for row in _open(unit, address, record["id"]):
        if gone or row["status"] not in LOOSE:
            chain = unit.catalog.chains.get(f"{address}/{row['chain']}")
            raise NotPossible(message("approval.in_approval_gone" if gone else "approval.in_approval",
                                      chain=chain.label if chain is not None else row["chain"], steps=at_steps(unit.catalog, row)))


def wake_waiting(unit: Unit) -> None:
    """After a command changed records, whichever it was: cases go on whose condition such a record meets now."""
    touched = {(entry.entity, entry.record_id) for entry in unit.entries if entry.record_id is not None and entry.before is not None}
    for address, record_id in sorted(touched):
        _wake(unit, address, record_id)


def _wake(unit: Unit, address: str, record_id: int) -> None:
    from metaloom.command.approval_case import locked_case, make_move

    for row in _open(unit, address, record_id):
        case = locked_case(unit, row["id"])
        for step in [s for s in case.chain.every_step() if isinstance(s, WaitFor) and s.condition and case.state.is_active(s.name)]:
            if case.state.is_active(step.name) and case.facts.holds(step.condition, case.state) is True:
                make_move(case, "wake", SYSTEM, None, {"step": step.name})


def _open(unit: Unit, address: str, record_id: int) -> list[dict[str, Any]]:
    return approval_rows.open_cases(unit, address, record_id) if unit.catalog.chains_of(address) else []


ENDINGS.insert(0, wake_waiting)      # before alerts and webhooks, which see the record as the case leaves it
