"""Why a person may, or may not, see a field of a record: every grant with its verdict and the line it was written at (S06)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from metaloom.access import AccessPlan, HeldGrant, plan_for
from metaloom.base.messages import Message, message
from metaloom.base.position import Position
from metaloom.base.text import Text
from metaloom.model import FieldLevel

if TYPE_CHECKING:
    from metaloom.record.reader import Reader


@dataclass(frozen=True, slots=True)
class GrantVerdict:
    """One held grant: does its scope cover the row, what level does it give the field, where is it written."""

    role: str
    role_label: Text
    grant: str
    scope: Message
    actions: tuple[str, ...]
    covers_row: bool
    level: FieldLevel
    position: Position
    via: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """``level``: the best among the grants that cover the row and let it be seen. ``exists`` False: there is no such row."""

    user_id: int
    entity: str
    id: int
    field: str
    exists: bool
    visible: bool
    level: FieldLevel
    grants: tuple[GrantVerdict, ...]
    summary: Message


def explain(reader: Reader, user: int, entity: str, id: int, field: str) -> Why:
    """The verdicts for ``user``. Asking about others needs the right to read role assignments, or to read the record.

    Without that right, a record that the asked-about person may not see is told like one that never existed.
    """
    privileged = bool(reader.plan.may("platform.role_assignment", "read"))
    if user != reader.plan.actor.user_id and not privileged:
        reader.require(entity, id)
    plan = plan_for(reader.conn, reader.revision, user)
    covering = _covering(reader, plan, entity, id)
    holding = covering or frozenset()
    verdicts = tuple(_verdict(plan, entity, held, holding, field) for held in plan.grants(entity))
    rights = plan.rights(entity)
    visible = any(v.covers_row and {"read", "list"} & set(v.actions) for v in verdicts)
    exists = covering is not None if privileged or user != reader.plan.actor.user_id else visible
    level = rights.levels(holding).get(field, FieldLevel.HIDDEN) if visible else FieldLevel.HIDDEN
    return Why(user, entity, id, field, exists, visible, level, verdicts, _summary(plan, entity, visible, level))


def _covering(reader: Reader, plan: AccessPlan, entity: str, id: int) -> frozenset[int] | None:
    """Indices of the scopes that cover the row; None when there is no such row."""
    rights, table = plan.rights(entity), reader.revision.tables.of(entity).alias("t")
    columns = [rights.clause(i, table, reader.env).label(f"f{i}") for i in range(len(rights.scopes))]
    row = reader.conn.execute(sa.select(table.c.id, *columns).where(table.c.id == id)).first()
    return None if row is None else frozenset(i for i, flag in enumerate(row[1:]) if flag)


def _verdict(plan: AccessPlan, entity: str, held: HeldGrant, holding: frozenset[int], field: str) -> GrantVerdict:
    rights = plan.rights(entity)
    role = plan.catalog.roles.get(held.grant.role)
    return GrantVerdict(
        held.grant.role, role.label if role else Text(held.grant.role, held.grant.role), held.grant.name, held.scope.words(),
        tuple(sorted(held.grant.actions)), held in rights.grants_in(holding), rights.grant_level(held, field), held.grant.position,
        held.via,
    )


def _summary(plan: AccessPlan, entity: str, visible: bool, level: FieldLevel) -> Message:
    verdict = plan.may(entity, "read")
    if not verdict:
        return verdict.reason
    if not visible:
        scopes = [held.scope.words() for held in verdict.grants]
        return message("access.row_outside", action=plan.action_label(entity, "read"),
                       scopes=Text("；".join(s.say("zh") for s in scopes), "; ".join(s.say("en") for s in scopes)))
    return message(f"access.level.{int(level)}")
