"""What the pages of a case ask for: first values of a decision's outputs, whom an initiator may pick. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import MetaloomError, NotFound
from metaloom.base.text import Text
from metaloom.command import approval_rows, rows
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.case_shown import CaseShown, refuse_unseen
from metaloom.command.context import Context
from metaloom.command.evaluate import PYTHON, fitted, run
from metaloom.command.unit import Unit
from metaloom.expression import compile
from metaloom.model import ApprovalChain, Decide, Who


@dataclass(frozen=True)
class Pick:
    """The initiator picks ``low`` to ``high`` of ``people`` (account → name) for the step."""

    step: str
    label: Text
    people: Mapping[int, str]
    low: int
    high: int


def names_in_case(ctx: Context, case_id: int, accounts: Iterable[int], conn: sa.Connection) -> dict[int, str]:
    """The names of accounts, for somebody who may see the case in which they act."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    refuse_unseen(unit, case_id)
    return approval_rows.names_of(conn, unit.tables, accounts)


def output_defaults(ctx: Context, shown: CaseShown, step: Decide, conn: sa.Connection) -> dict[str, Any]:
    """The defaults of what a step asks for, on the record as it is; a default that fails now gives nothing."""
    if not shown.readable or not any(one.default for one in step.outputs.values()):
        return {}
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    record = rows.fetch(unit, shown.chain.entity, shown.row["record_id"])
    if record is None:
        return {}
    facts = _facts(unit, shown.chain, record, shown.row, shown.state.outputs, shown.row["chain_digest"])
    found: dict[str, Any] = {}
    for name, one in step.outputs.items():
        if one.default:
            try:
                found[name] = fitted(one, run(compile(one.default, facts.output_scope(step.outputs), None, PYTHON), facts.names(), unit.env()))
            except MetaloomError:
                continue
    return found


def people_to_choose(ctx: Context, chain: ApprovalChain, record_id: int, conn: sa.Connection) -> tuple[Pick, ...]:
    """The steps for which the initiator picks the people (发起人自选), with those who may be picked: all of them read the record."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    record = rows.fetch(unit, chain.entity, record_id)
    if record is None:
        raise NotFound
    row = {"initiator_id": ctx.actor.user_id, "started_at": unit.now}
    facts = _facts(unit, chain, record, row, {}, "asked")
    picks = []
    for step in chain.every_step():
        chosen = next((who for who in step.who if who.kind == "chosen"), None) if isinstance(step, Decide) else None
        if chosen is not None:
            picks.append(Pick(step.name, step.label, approval_rows.names_of(conn, unit.tables, _pickable(facts, chosen)), chosen.min, chosen.max))
    return tuple(picks)


def _pickable(facts: RecordFacts, chosen: Who) -> list[int]:
    found = dict.fromkeys(one for part in chosen.pool for one in facts.people.found_by(part, _value(facts, part)))
    return [one for one in found if facts.may_read(one)]


def _value(facts: RecordFacts, who: Who) -> Any:
    return facts.value(who.value) if who.kind in ("expression", "field") else None


def _facts(unit: Unit, chain: ApprovalChain, record: Mapping[str, Any], row: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]],
           digest: str) -> RecordFacts:
    names = {"initiator": row["initiator_id"], "started_at": row["started_at"], "finished_by": None}
    return RecordFacts(unit, chain, digest, record, names, outputs)
