"""A chain changed while cases run under it: which cases, where they stand, and what becomes of each (A09).

A case stays with the chain it began under (pin) unless somebody decides otherwise: move puts it at the same steps of the new
chain (or at those that a mapping names), restart begins again at its first step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from metaloom.approval import codec
from metaloom.approval.event import SYSTEM
from metaloom.base.errors import Conflict, Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import Message, message
from metaloom.command import approval_rows
from metaloom.command.approval_case import Case, digest_of, done, kept_chain, locked_case, make_move, pinned_chain
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.approval_words import at_steps
from metaloom.command.bulk import Outcome
from metaloom.command.context import ActionDone, Context
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform
from metaloom.model import ApprovalChain, Catalog, Fork

MODES = ("pin", "move", "restart")


@dataclass(frozen=True)
class ChainChange:
    """A chain (``address``) that is no longer the one some running cases began under; ``gone``: there is none of that name now.

    ``steps``: where those cases stand, step → how many.
    """

    address: str
    digest: str
    cases: tuple[int, ...]
    steps: Mapping[str, int]
    gone: bool = False

    def say(self) -> str:
        stand = ", ".join(f"{step}: {number}" for step, number in sorted(self.steps.items()))
        what = "is gone" if self.gone else "changed"
        cases = f"{len(self.cases)} cases run under {self.digest[:12]} (at {stand})"
        return f"chain {self.address} {what} while {cases}; they stay with it unless they are moved or restarted"


@dataclass(frozen=True)
class CaseMove:
    """What a move would do with one case: ``goes`` from step to step; ``stuck``: steps without a place in the new chain."""

    case: int
    goes: Mapping[str, str]
    stuck: tuple[str, ...]


def changed_chains(conn: sa.Connection, tables: Any, catalog: Catalog) -> tuple[ChainChange, ...]:
    """The chains of running cases that ``catalog`` holds otherwise or not at all."""
    found = []
    for pinned in approval_rows.pinned(conn, tables):
        address = f"{pinned['entity']}/{pinned['chain']}"
        chain = catalog.chains.get(address)
        if chain is not None and digest_of(chain) == pinned["chain_digest"]:
            continue
        rows = approval_rows.cases_under(conn, tables, pinned["chain_digest"])
        steps: dict[str, int] = {}
        for row in rows:
            for step in codec.load_state(row["state"]).active_steps():
                steps[step] = steps.get(step, 0) + 1
        found.append(ChainChange(address, pinned["chain_digest"], tuple(row["id"] for row in rows), steps, gone=chain is None))
    return tuple(found)


def preview_move(conn: sa.Connection, tables: Any, catalog: Catalog, address: str, mapping: Mapping[str, str] | None = None) -> tuple[CaseMove, ...]:
    """Where ``move`` would put each running case of a chain that changed. Nothing is written."""
    chain = catalog.chains.get(address)
    places = {step.name for step in chain.every_step() if not isinstance(step, Fork)} if chain is not None else set()
    found = []
    for change in changed_chains(conn, tables, catalog):
        if change.address == address:
            for row in approval_rows.cases_under(conn, tables, change.digest):
                goes = {step: (mapping or {}).get(step, step) for step in codec.load_state(row["state"]).active_steps()}
                stuck = tuple(step for step, to in goes.items() if to not in places)
                found.append(CaseMove(row["id"], {step: to for step, to in goes.items() if to in places}, stuck))
    return tuple(found)


def change_case_chain(ctx: Context, address: str, mode: str, *, mapping: Mapping[str, str] | None = None, cases: Sequence[int] | None = None,
                      reason: str = "", shown: str = "") -> tuple[Outcome, ...]:
    """Does ``mode`` with the running cases of a chain that changed (or with those named): the outcome of each, by its id.

    ``shown``: the digest of the published chain that the person decided about; Conflict when another one is published meanwhile.
    For administrators of the whole tenant. A case whose steps have no place in the new chain stays as it is, and its outcome says so.
    """
    if mode not in MODES:
        raise Invalid([Problem("mode", message("field.choice"))])
    if not ctx.system and not ctx.actor.holds_everywhere(ADMIN):
        raise NotAllowed(message("command.admin_only"))
    published = ctx.revision.catalog.chains.get(address)
    if mode != "pin" and published is None:
        raise NotFound
    if shown and (published is None or digest_of(published) != shown):
        raise Conflict(message("chain.moved_on"))
    with ctx.tenant.read() as conn:
        there = [case for change in changed_chains(conn, ctx.revision.tables, ctx.revision.catalog) if change.address == address for case in change.cases]
    wanted = [case for case in there if cases is None or case in set(cases)]
    return tuple(_one(ctx, case, address, mode, mapping or {}, reason) for case in wanted)


def _one(ctx: Context, case_id: int, address: str, mode: str, mapping: Mapping[str, str], reason: str) -> Outcome:
    own = replace(ctx, idempotency_key=f"{ctx.idempotency_key}/{case_id}") if ctx.idempotency_key else ctx
    try:
        return Outcome(case_id, perform(own, "change_case_chain", [case_id, address, mode, mapping], lambda unit: _changed(unit, case_id, mode, mapping),
                                        reason=reason).message)
    except MetaloomError as error:
        return Outcome(case_id, error.message, error)


def named_steps(said: Message, chain: ApprovalChain) -> Message:
    """The sentence with the label of the step that it names."""
    label = next((step.label for step in chain.every_step() if step.name == said.slots.get("step")), None)
    return replace(said, slots={**said.slots, "step": label}) if label is not None else said


def _changed(unit: Unit, case_id: int, mode: str, mapping: Mapping[str, str]) -> ActionDone:
    case = locked_case(unit, case_id)
    chain = unit.catalog.chains.get(f"{case.chain.entity}/{case.chain.name}")
    digest = case.row["chain_digest"] if chain is None else kept_chain(unit, chain)
    old = pinned_chain(unit, case.row["chain_digest"])
    if chain is not None and mode != "pin":
        _follow(case, chain, digest)
    try:
        make_move(case, "chain_changed", unit.ctx.actor.user_id or SYSTEM, None, {"mode": mode, "digest": digest, "mapping": dict(mapping)})
    except NotPossible as refused:
        raise NotPossible(named_steps(refused.message, old)) from refused
    return done(case, _said(case, mode))


def _follow(case: Case, chain: ApprovalChain, digest: str) -> None:
    """From now on the case asks and tells by the new chain."""
    case.chain = chain
    case.facts = RecordFacts(case.unit, chain, digest, case.record, case.facts.case, case.state.outputs)
    case.row["chain_digest"] = digest


def _said(case: Case, mode: str) -> Message:
    return message(f"chain.{mode}", case=case.id, steps=at_steps(case.unit.catalog, case.row))
