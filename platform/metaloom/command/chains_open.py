"""The chains of a tenant with the cases that run under them, and what would become of cases under an older text (A09). Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from metaloom import approval
from metaloom.approval import CaseState, Move, codec
from metaloom.approval.chain_diff import Change, changes
from metaloom.approval.event import SYSTEM
from metaloom.base.errors import MetaloomError, NotFound
from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command import approval_rows, rows
from metaloom.command.approval_case import Case, case_of_row, digest_of, pinned_chain
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.change_case_chain import MODES, named_steps
from metaloom.command.context import Context
from metaloom.command.draft_chain import refuse_unless_admin
from metaloom.command.unit import Unit
from metaloom.model import ApprovalChain, Fork

SHOWN = 200


@dataclass(frozen=True)
class ChainStanding:
    """A chain that is published or under which cases run. ``chain``: None where it is gone; ``open``: cases under the published text,
    ``older``: cases under another one."""

    address: str
    chain: ApprovalChain | None
    open: int
    older: int


@dataclass(frozen=True)
class OlderCase:
    """A running case under another text than the published one. ``steps``: where it stands, name → label; ``waits_for``: people."""

    case: int
    subject: Mapping[str, str]
    initiator: str
    started_at: datetime
    digest: str
    steps: Mapping[str, Text]


@dataclass(frozen=True)
class OlderText:
    """One older text of a chain: what the published one changes (nothing is known where the chain is gone), and its cases, oldest first.

    ``total``: how many there are; ``cases`` holds the first 200. ``places``: steps of the published chain that a case can be moved to.
    """

    address: str
    digest: str
    published: ApprovalChain | None
    published_digest: str
    changes: tuple[Change, ...]
    cases: tuple[OlderCase, ...]
    total: int
    places: Mapping[str, Text]


@dataclass(frozen=True)
class CaseOutlook:
    """What a change of chain would do with a case: ``stands`` now, ``goes`` to these steps, ``asks`` these people; or why it cannot."""

    case: int
    goes: tuple[Text, ...] = ()
    asks: tuple[str, ...] = ()
    refused: Message | None = None


def chain_standings(ctx: Context, conn: sa.Connection) -> tuple[ChainStanding, ...]:
    """Every chain, by address."""
    refuse_unless_admin(ctx)
    chains = ctx.revision.catalog.chains
    digests = {address: digest_of(chain) for address, chain in chains.items()}
    counted: dict[str, list[int]] = {address: [0, 0] for address in chains}
    for row in approval_rows.pinned(conn, ctx.revision.tables):
        address = f"{row['entity']}/{row['chain']}"
        counted.setdefault(address, [0, 0])[row["chain_digest"] != digests.get(address)] += row["cases"]
    return tuple(ChainStanding(address, chains.get(address), *counted[address]) for address in sorted(counted))


def open_by_step(ctx: Context, conn: sa.Connection, address: str) -> Mapping[str, int]:
    """Step → running cases (under whatever text of the chain) in which people have something to do there."""
    refuse_unless_admin(ctx)
    return approval_rows.open_by_step(conn, ctx.revision.tables, *address.split("/", 1))


def older_texts(ctx: Context, conn: sa.Connection, address: str = "") -> tuple[OlderText, ...]:
    """The texts under which cases run and that are not (any more) what is published; ``address``: of this chain alone."""
    refuse_unless_admin(ctx)
    unit, catalog = Unit(ctx, conn, "look", ctx.clock.now()), ctx.revision.catalog
    found = []
    for row in approval_rows.pinned(conn, ctx.revision.tables):
        here = f"{row['entity']}/{row['chain']}"
        published = catalog.chains.get(here)
        digest = digest_of(published) if published is not None else ""
        if row["chain_digest"] != digest and address in ("", here):
            found.append(_older(unit, here, row["chain_digest"], published, digest, row["cases"]))
    return tuple(found)


def _older(unit: Unit, address: str, digest: str, published: ApprovalChain | None, published_digest: str, total: int) -> OlderText:
    chain = pinned_chain(unit, digest)
    stored = approval_rows.cases_under(unit.conn, unit.tables, digest, limit=SHOWN)
    names = approval_rows.names_of(unit.conn, unit.tables, [row["initiator_id"] for row in stored if row["initiator_id"]])
    labels = {step.name: step.label for step in chain.every_step()}
    cases = tuple(OlderCase(row["id"], row["subject"] or {}, names.get(row["initiator_id"], ""), row["started_at"], digest,
                            {name: labels.get(name, Text(name, name)) for name in codec.load_state(row["state"]).active_steps()}) for row in stored)
    places = {step.name: step.label for step in published.every_step() if not isinstance(step, Fork)} if published is not None else {}
    differing = changes(chain, published) if published is not None else ()
    return OlderText(address, digest, published, published_digest, differing, cases, total, places)


def preview_change(ctx: Context, conn: sa.Connection, address: str, mode: str, mapping: Mapping[str, str], cases: Sequence[int]) -> tuple[CaseOutlook, ...]:
    """What ``change_case_chain`` would do with these cases, played in memory by the same rules."""
    refuse_unless_admin(ctx)
    if mode not in MODES:
        raise NotFound
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    return tuple(_outlook(unit, key, address, mode, mapping) for key in cases[:SHOWN])


def _outlook(unit: Unit, key: int, address: str, mode: str, mapping: Mapping[str, str]) -> CaseOutlook:
    row = approval_rows.case(unit, key, lock=False)
    record = rows.fetch(unit, row["entity"], row["record_id"]) if row is not None else None
    if row is None or record is None or f"{row['entity']}/{row['chain']}" != address:
        raise NotFound
    case = case_of_row(unit, row, record)
    try:
        state, chain = _played(case, unit.catalog.chains.get(address), mode, mapping)
    except MetaloomError as refused:
        return CaseOutlook(key, refused=named_steps(refused.message, pinned_chain(unit, row["chain_digest"])))
    labels = {step.name: step.label for step in chain.every_step()}
    asked = dict.fromkeys(user for task in state.live_tasks() if task.status == "open" for user in ((task.assignee,) if task.assignee else task.pool))
    names = approval_rows.names_of(unit.conn, unit.tables, asked)
    return CaseOutlook(key, tuple(labels[name] for name in state.active_steps() if name in labels), tuple(names.get(user, f"#{user}") for user in asked))


def _played(case: Case, published: ApprovalChain | None, mode: str, mapping: Mapping[str, str]) -> tuple[CaseState, ApprovalChain]:
    chain, digest = case.chain, case.row["chain_digest"]
    if mode != "pin":
        if published is None:
            raise NotFound
        chain, digest = published, digest_of(published)
        case.facts = RecordFacts(case.unit, chain, digest, case.record, case.facts.case, case.state.outputs)
    move = Move("chain_changed", SYSTEM, case.unit.now, None, {"mode": mode, "digest": digest, "mapping": dict(mapping)})
    state = case.state
    for event in approval.decide(chain, state, move, case.facts):
        state = approval.fold(state, event)
    return state, chain
