"""Why a person may or may not do something: every grant that was asked, its verdict, the line it was written at, and who could (S06).

For administrators and whoever runs the machine: it tells of rows that the person asked about does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.access import AccessPlan, Actor, HeldGrant, plan_for
from metaloom.base.errors import LoginRequired, NotFound
from metaloom.base.messages import Message, message, register
from metaloom.base.position import Position
from metaloom.base.text import Text
from metaloom.model import AccessGrant, Catalog, FieldLevel

register({
    "access.told.yes": ("可以：{roles}。", "Yes, by {roles}."),
    "access.told.yes_rows": ("可以，范围：{scopes}；依据：{roles}。", "Yes, for {scopes}, by {roles}."),
    "access.told.no_action": ("不可以：所持角色均未授予“{action}”。", "No: none of the roles held grants “{action}”."),
    "access.told.no_role": ("不可以：没有任何有效角色。", "No: no role is held at present."),
    "access.told.inactive": ("不可以：账号已停用。", "No: the account is switched off."),
    "access.told.outside": ("不可以：记录不在授予“{action}”的数据范围内。", "No: the record lies outside the rows for which “{action}” is granted."),
    "access.told.no_record": ("没有编号为 {id} 的记录。", "There is no record {id}."),
    "access.told.no_rows": ("不可以：授予“{action}”的角色不包含任何数据。", "No: the roles that grant “{action}” cover no rows."),
    "access.told.not_named": ("未授予该操作", "does not grant it"),
    "access.told.covers": ("授予，且包含该记录", "grants it, and covers the record"),
    "access.told.not_covered": ("授予，但不包含该记录", "grants it, but does not cover the record"),
    "access.told.grants": ("授予", "grants it"),
})  # fmt: skip


@dataclass(frozen=True)
class GrantTold:
    """One grant that the person holds. ``company`` and ``org_unit``: ids the assignment is limited to. ``via``: the child field of the
    parent through which it is inherited."""

    role: str
    role_label: Text
    grant: str
    scope: Message
    actions: tuple[str, ...]
    gives: bool
    verdict: Message
    position: Position
    company: int | None = None
    org_unit: int | None = None
    via: str = ""


@dataclass(frozen=True)
class AccessTold:
    """``allowed`` and the ``summary`` that says so; ``held``: every grant of the person on the entity; ``others``: grants of roles that
    the person does not hold and that give the action; ``fields``: level of each field there, by the grants that hold."""

    user_id: int
    entity: str
    action: str
    id: int | None
    allowed: bool
    summary: Message
    held: tuple[GrantTold, ...]
    others: tuple[GrantTold, ...]
    fields: Mapping[str, FieldLevel]


def tell_access(conn: sa.Connection, revision: Any, user: int, entity: str, action: str = "read", id: int | None = None,
                env: Callable[[Actor], Any] | None = None) -> AccessTold:  # fmt: skip
    """The verdict on ``action`` for ``user``, on record ``id`` or on any. NotFound when the catalog has no such entity. ``env``: what
    expressions know when that person asks."""
    catalog: Catalog = revision.catalog
    if entity not in catalog.entities:
        raise NotFound(message("access.unknown_entity", entity=entity))
    try:
        plan = plan_for(conn, revision, user)
    except LoginRequired:
        return AccessTold(user, entity, action, id, False, message("access.told.inactive"), (), tuple(_others(catalog, None, entity, action)), {})
    rights = plan.rights(entity)
    environment = env(plan.actor) if env is not None else None
    covering = _covering(conn, revision, plan, entity, id, environment) if id is not None else frozenset(range(len(rights.scopes)))
    holding = covering or frozenset()
    covers = rights.grants_in(holding)
    held = tuple(_held(plan, one, action, any(one is other for other in covers), id is not None) for one in plan.grants(entity))
    summary, allowed = _summary(plan, entity, action, id, covering, held)
    fields = rights.levels(holding) if holding else {}
    return AccessTold(user, entity, action, id, allowed, summary, held, tuple(_others(catalog, plan, entity, action)), fields)


def _covering(conn: sa.Connection, revision: Any, plan: AccessPlan, entity: str, id: int, env: Any) -> frozenset[int] | None:
    rights, table = plan.rights(entity), revision.tables.of(entity).alias("t")
    columns = [rights.clause(i, table, env).label(f"f{i}") for i in range(len(rights.scopes))]
    row = conn.execute(sa.select(table.c.id, *columns).where(table.c.id == id)).first()
    return None if row is None else frozenset(i for i, flag in enumerate(row[1:]) if flag)


def _held(plan: AccessPlan, one: HeldGrant, action: str, covers: bool, asked: bool) -> GrantTold:
    names = action in one.grant.actions
    said = "not_named" if not names else "grants" if not asked else "covers" if covers else "not_covered"
    gives = names and (covers or not asked) and (one.scope.kind != "none" or action == "create" and not asked)
    return GrantTold(one.grant.role, _label(plan.catalog, one.grant), one.grant.name, one.scope.words(), tuple(sorted(one.grant.actions)), gives,
                     message(f"access.told.{said}"), one.grant.position, one.assignment.company_id, one.assignment.org_unit_id, one.via)


def _others(catalog: Catalog, plan: AccessPlan | None, entity: str, action: str) -> Iterator[GrantTold]:
    roles = {one.grant.role for one in plan.grants(entity)} if plan is not None else set()
    found = catalog.entities[entity]
    written = catalog.grants.get(entity, ()) or catalog.grants.get(found.child_of or "", ())
    for grant in written:
        if action in grant.actions and grant.role not in roles:
            scope = message(f"access.scope.{grant.scope}", condition=grant.condition, units=", ".join(grant.units))
            yield GrantTold(grant.role, _label(catalog, grant), grant.name, scope, tuple(sorted(grant.actions)), True,
                            message("access.told.grants"), grant.position)


def _summary(
    plan: AccessPlan, entity: str, action: str, id: int | None, covering: frozenset[int] | None, held: tuple[GrantTold, ...]
) -> tuple[Message, bool]:
    label = plan.action_label(entity, action)
    giving = [one for one in held if one.gives]
    roles = _list(one.role_label for one in giving)
    if id is not None and covering is None:
        return message("access.told.no_record", id=id), False
    if giving and id is not None:
        return message("access.told.yes", roles=roles), True
    if giving:
        scopes = _list(Text(one.scope.say("zh"), one.scope.say("en")) for one in giving)
        return message("access.told.yes_rows", roles=roles, scopes=scopes), True
    if not plan.actor.roles:
        return message("access.told.no_role"), False
    if any(action in one.actions for one in held):
        return message("access.told.outside" if id is not None else "access.told.no_rows", action=label), False
    return message("access.told.no_action", action=label), False


def _label(catalog: Catalog, grant: AccessGrant) -> Text:
    role = catalog.roles.get(grant.role)
    return role.label if role else Text(grant.role, grant.role)


def _list(texts: Any) -> Text:
    unique = list(dict.fromkeys(texts))
    return Text("、".join(text.zh for text in unique), ", ".join(text.en for text in unique))
