"""A case for looking at: where it stands, what this person may do with it, the way it took. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom import approval
from metaloom.approval import CaseState, Event, Node, Offer
from metaloom.base.errors import NotFound
from metaloom.command import approval_rows, rows
from metaloom.command.approval_case import CASE, Case, case_of_row
from metaloom.command.context import Context
from metaloom.command.unit import Unit
from metaloom.model import ApprovalChain


@dataclass(frozen=True)
class CaseShown:
    """``row`` is the case's stored row, ``tasks`` gives row ids by number; ``offers`` are the moves open to this person now.

    ``readable``: whether the person reads the record; ``record_version``: the version that a decision must name.
    """

    id: int
    row: Mapping[str, Any]
    chain: ApprovalChain
    state: CaseState
    path: tuple[Node, ...]
    offers: tuple[Offer, ...]
    tasks: Mapping[int, int]
    readable: bool
    record_version: int


def case_shown(ctx: Context, case_id: int, conn: sa.Connection | None = None) -> CaseShown:
    """The case as this person may see it; NotFound outside the rows that the person's grants on cases cover."""
    if conn is None:
        with ctx.tenant.read() as own:
            return _shown(Unit(ctx, own, "look", ctx.clock.now()), case_id)
    return _shown(Unit(ctx, conn, "look", ctx.clock.now()), case_id)


def case_log(ctx: Context, case_id: int, conn: sa.Connection | None = None) -> list[Event]:
    """Every event of a case that this person may see, oldest first."""
    if conn is None:
        with ctx.tenant.read() as own:
            return case_log(ctx, case_id, own)
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    refuse_unseen(unit, case_id)
    return approval_rows.events(conn, unit.tables, case_id)


def case_of_task(ctx: Context, task_id: int, conn: sa.Connection) -> int:
    """The case that a task belongs to; NotFound for a task that does not exist."""
    place = approval_rows.case_of_task(Unit(ctx, conn, "look", ctx.clock.now()), task_id)
    if place is None:
        raise NotFound
    return place[0]


def _shown(unit: Unit, case_id: int) -> CaseShown:
    refuse_unseen(unit, case_id)
    case = _looked_up(unit, case_id)
    user = unit.ctx.actor.user_id
    readable = unit.ctx.system or (user is not None and case.facts.may_read(user))
    offers = approval.legal(case.chain, case.state, user, case.facts, unit.now) if user is not None and not case.state.finished else ()
    return CaseShown(case_id, case.row, case.chain, case.state, approval.path(case.chain, case.state), offers,
                     approval_rows.task_ids(unit, case_id), readable, case.record["row_version"])


def refuse_unseen(unit: Unit, case_id: int) -> None:
    if not unit.ctx.system and "read" not in rows.standing_or_none(unit, CASE, case_id):
        raise NotFound


def _looked_up(unit: Unit, case_id: int) -> Case:
    row = approval_rows.case(unit, case_id, lock=False)
    record = rows.fetch(unit, row["entity"], row["record_id"]) if row is not None else None
    if row is None or record is None:
        raise NotFound
    return case_of_row(unit, row, record)
