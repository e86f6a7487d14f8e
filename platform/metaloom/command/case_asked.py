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
from metaloom.compile import entity_scope
from metaloom.expression import Scope, compile
from metaloom.model import ApprovalChain, Decide, Field, Who


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


def choices_left(ctx: Context, shown: CaseShown, step: Decide, conn: sa.Connection) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Of what a step asks for, and of the record's fields that may be written with a decision: the codes that the record as it is leaves to
    choose from (``choices_in``), by field. What another answer narrows is not known yet, so all are offered there."""
    entity = ctx.revision.catalog.entities[shown.chain.entity]
    written = {name: entity.fields[name] for name, level in step.fields.items() if level in ("write", "required") and name in entity.fields}
    record = None
    if shown.readable and any(one.choices_in for one in (*step.outputs.values(), *written.values())):
        unit = Unit(ctx, conn, "look", ctx.clock.now())
        record = rows.fetch(unit, entity.address, shown.row["record_id"])
    if record is None:
        return {}, {}
    facts = _facts(unit, shown.chain, record, shown.row, shown.state.outputs, shown.row["chain_digest"])
    return (_left(unit, facts, step.outputs, facts.output_scope(step.outputs)), _left(unit, facts, written, entity_scope(unit.catalog, entity.address)))


def _left(unit: Unit, facts: RecordFacts, asked: Mapping[str, Field], scope: Scope) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, one in asked.items():
        what = compile(one.choices_in, scope, None, PYTHON) if one.choices_in else None
        if what is not None and not any(path[0] in asked for path in what.paths):
            try:
                codes = run(what, facts.names(), unit.env())
            except MetaloomError:
                continue
            if codes is not None:
                found[name] = frozenset(codes)
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
