"""A chain, published or a draft, tried on past records: who would decide, and what would differ from what came of them (A11).

Everything runs in one read-only transaction, with the record, the people and the rights as they are now. Whoever decided in the case
that really ran says yes first here too, and what was decided there (outputs, choices of the initiator) is answered again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaloom import expression
from metaloom.approval import CaseState, codec
from metaloom.approval.compare import Difference, differences
from metaloom.approval.event import SYSTEM
from metaloom.approval.simulate import Outcome, Survey, as_it_ran, simulate, survey
from metaloom.base.errors import NotFound
from metaloom.command import approval_rows, rows
from metaloom.command.approval_case import digest_of, pinned_chain
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.context import Context
from metaloom.command.draft_chain import refuse_unless_admin
from metaloom.command.simulate_rights import refuse_new_secrets, visible, visible_title
from metaloom.command.store import title_of
from metaloom.command.unit import Unit
from metaloom.compile import entity_scope
from metaloom.model import ApprovalChain, Catalog, Decide

LIMIT = 100
ONLINE_MAX, ONLINE_SECONDS = 500, 20.0
"""How many records, and how long, somebody may try who waits for the answer of a request."""


@dataclass(frozen=True)
class Tried:
    """One record. ``case``: the finished case it is held against, ``really`` its result; without one a draft is held against the
    published chain, and the published chain against nothing."""

    record: int
    title: str
    outcome: Outcome
    case: int | None
    really: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Simulation:
    """``names``: account → how it is called; ``gone``: records of finished cases that are there no more; ``left``: records that were
    not tried because time was up."""

    chain: ApprovalChain
    tried: tuple[Tried, ...]
    survey: Survey
    names: Mapping[int, str]
    gone: tuple[int, ...]
    left: int = 0

    def changed(self, what: str) -> tuple[int, ...]:
        """Records that differ in ``result``, ``way`` or ``deciders``."""
        return tuple(one.record for one in self.tried if any(d.what == what for d in one.differences))


def until(seconds: float) -> Callable[[], bool]:
    """True once so much time is over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def simulate_chain(ctx: Context, address: str, *, draft: Catalog | None = None, where: str = "", limit: int = LIMIT,
                   enough: Callable[[], bool] = lambda: False) -> Simulation:
    """Tries the chain ``address`` of ``draft`` (None: as published) on past records, newest first; writes nothing.

    ``where``: an expression over the chain's entity says which; without one those with a finished case of the chain, or any where the chain is new.
    A draft brings the chain alone: fields and rights are those published now. ``enough``: asked before each record, True leaves the rest out.
    For administrators of the whole tenant, whose rights on the records count (``simulate_rights``), and for whoever runs the
    machine. NotFound for an unknown chain, ExpressionError for a condition that is none.
    """
    refuse_unless_admin(ctx)
    published = ctx.revision.catalog.chains.get(address)
    chain = draft.chains.get(address) if draft is not None else published
    if chain is None or chain.entity not in ctx.revision.catalog.entities:
        raise NotFound
    if draft is not None:
        refuse_new_secrets(ctx, published, chain)
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "simulate_chain", ctx.clock.now())
        cases, records = _past(unit, chain, where or ("" if published is not None else "true"), limit)
        there = {key: found for key in records if (found := rows.fetch(unit, chain.entity, key)) is not None}
        against = published if draft is not None else None
        tried: list[Tried] = []
        for key, record in there.items():
            if enough():
                break
            tried.append(_tried(unit, chain, against, record, cases.get(key)))
        return Simulation(chain, tuple(tried), survey(chain, {one.record: one.outcome for one in tried}), _names(unit, tried),
                          tuple(key for key in records if key not in there), len(there) - len(tried))


def _past(unit: Unit, chain: ApprovalChain, where: str, limit: int) -> tuple[dict[int, approval_rows.Row], list[int]]:
    """The last finished case by record, and the records in question."""
    if not where:
        cases = approval_rows.finished(unit, chain.entity, chain.name, limit=limit)
        return {row["record_id"]: row for row in cases}, [row["record_id"] for row in cases]
    wanted = expression.compile(where, entity_scope(unit.catalog, chain.entity), expression.BOOL, {"sql"})
    found = rows.find_where(unit, chain.entity, wanted, unit.env(), order=("-id",), limit=limit, also=visible(unit, chain.entity, wanted))
    records = [row["id"] for row in found]
    return {row["record_id"]: row for row in approval_rows.finished(unit, chain.entity, chain.name, records=records)}, records


def _tried(unit: Unit, chain: ApprovalChain, published: ApprovalChain | None, record: Mapping[str, Any], case: approval_rows.Row | None) -> Tried:
    title = title_of(unit, unit.entity(chain.entity), record) if unit.ctx.system else visible_title(unit, chain.entity, record["id"], case)
    if case is not None:
        state = codec.load_state(case["state"])
        log = approval_rows.events(unit.conn, unit.tables, case["id"])
        before = as_it_ran(pinned_chain(unit, case["chain_digest"]), state, log)
        after = _played(unit, chain, record, state)
        return Tried(record["id"], title, after, case["id"], case["result"], differences(before, after, _refused_by(state)))
    after = _played(unit, chain, record, None)
    differs = differences(_played(unit, published, record, None), after) if published is not None else ()
    return Tried(record["id"], title, after, None, "", differs)


def _refused_by(state: CaseState) -> str:
    """The step that people rejected last."""
    refused = [(task.closed_at, task.no, task.step) for task in state.tasks.values() if task.decision == "reject" and task.by]
    return max(refused)[2] if refused and state.status == "rejected" else ""


def _played(unit: Unit, chain: ApprovalChain, record: Mapping[str, Any], ran: CaseState | None) -> Outcome:
    """The record in the chain; who began and answered a real case begins and answers here."""
    initiator = ran.initiator if ran is not None else record.get("created_by") or SYSTEM
    first = _deciders(ran) if ran is not None else {}
    case = {"initiator": initiator, "started_at": unit.now, "finished_by": None}
    facts = _Willing(unit, chain, digest_of(chain), record, case, {})
    facts.drawn = [user for people in first.values() for user in people]
    return simulate(chain, facts, initiator, unit.now, chosen=_chosen(chain, ran), outputs=ran.outputs if ran is not None else {}, first=first)


def _deciders(ran: CaseState) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for task in ran.tasks.values():
        if task.by:
            found.setdefault(task.step, []).append(task.by)
    return found


def _chosen(chain: ApprovalChain, ran: CaseState | None) -> dict[str, tuple[int, ...]]:
    """Whom the initiator picked, for the steps that still ask him."""
    asking = {s.name for s in chain.every_step() if isinstance(s, Decide) and any(who.kind == "chosen" for who in s.who)}
    return {step: people for step, people in ran.chosen.items() if step in asking} if ran is not None else {}


class _Willing(RecordFacts):
    """Facts that draw no lots: whoever was drawn in the case that ran, else the first."""

    drawn: Sequence[int] = ()

    def draw(self, ids: Sequence[int]) -> int:
        return next((user for user in ids if user in self.drawn), ids[0])


def _names(unit: Unit, tried: Sequence[Tried]) -> dict[int, str]:
    """Everybody who is spoken of."""
    asked = {user for one in tried for step in one.outcome.asked for user in (*step.people, *step.dropped)}
    differing = {user for one in tried for d in one.differences if d.what == "deciders" for user in (*d.before, *d.after)}
    return approval_rows.names_of(unit.conn, unit.tables, asked | differing)
