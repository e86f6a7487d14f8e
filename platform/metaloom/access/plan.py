"""AccessPlan: everything one person may do under one revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

import metaloom.access.messages  # noqa: F401  (registers the sentences)
from metaloom.access.condition import condition_clause
from metaloom.access.org import OrgTree
from metaloom.access.scope import RowScope, scope_clause
from metaloom.base.messages import Message, message
from metaloom.base.text import Text
from metaloom.model import AccessGrant, Catalog, Entity, FieldLevel, FieldType
from metaloom.model.levels import IMPLICIT_FIELDS, grant_levels

if TYPE_CHECKING:
    from metaloom.access.actor import Actor, Assignment

ALWAYS_READABLE = frozenset({"id", "row_version"})


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant reached through one assignment. ``via``: the child field of the parent that passes its rights on."""

    grant: AccessGrant
    assignment: Assignment
    scope: RowScope
    via: str = ""


@dataclass(frozen=True, slots=True)
class Permitted:
    """Yes, and by which grants."""

    grants: tuple[HeldGrant, ...]

    def __bool__(self) -> Literal[True]:
        return True


@dataclass(frozen=True, slots=True)
class Denied:
    """No, and which right is missing."""

    reason: Message

    def __bool__(self) -> Literal[False]:
        return False


class AccessPlan:
    """One actor's rights under one revision. Safe to share between requests of the actor; ``env`` is the default
    environment of scope expressions and may be given anew with each question."""

    def __init__(self, revision: Any, actor: Actor, org: OrgTree | None = None, env: Any = None) -> None:
        self.revision = revision
        self.actor = actor
        self.org = org or OrgTree()
        self.env = env
        self._rights: dict[str, EntityRights] = {}
        self.memory = Memory(200)
        self._kept: dict[str, Memory] = {}

    def kept(self, name: str, limit: int) -> Memory:
        """A memory of its own: what fills quickly does not make the rest forgotten."""
        found = self._kept.get(name)
        return found if found is not None else self._kept.setdefault(name, Memory(limit))

    @property
    def catalog(self) -> Catalog:
        return self.revision.catalog

    def asks_environment(self, entity: str) -> bool:
        """Whether a scope of the actor on ``entity`` is an expression, whose SQL may change with the day or the hour."""
        return any(scope.kind == "expression" for scope in self.rights(entity).scopes)

    def rights(self, entity: str) -> EntityRights:
        """The actor's rights on ``entity``; KeyError when the catalog has no such entity."""
        found = self._rights.get(entity)
        if found is None:
            found = self._rights[entity] = EntityRights(self, self.catalog.entities[entity])
        return found

    def grants(self, entity: str) -> tuple[HeldGrant, ...]:
        return self.rights(entity).held

    def may(self, entity: str, action: str) -> Permitted | Denied:
        """Whether any row, or a new one, may meet ``action``; which rows is ``predicate``'s answer."""
        if entity not in self.catalog.entities:
            return Denied(message("access.unknown_entity", entity=entity))
        holding = tuple(held for held in self.grants(entity) if action in held.grant.actions)
        if not holding:
            return Denied(self._missing(entity, action))
        if action != "create" and all(held.scope.kind == "none" for held in holding):
            return Denied(message("access.no_rows", entity=self.catalog.entities[entity].label, action=self.action_label(entity, action)))
        return Permitted(holding)

    def actions(self, entity: str) -> frozenset[str]:
        """Every action that some held grant names."""
        return self.rights(entity).all_actions if entity in self.catalog.entities else frozenset()

    def predicate(self, entity: str, action: str, table: Any, env: Any = None) -> sa.ColumnElement[bool]:
        """The rows of ``table`` (a table or alias of ``entity``) for which ``action`` is granted."""
        rights = self.rights(entity)
        return rights.any_of(rights.scopes_for(action), table, env)

    def field_levels(self, entity: str, holding: Iterable[int]) -> Mapping[str, FieldLevel]:
        """Levels of a row for which exactly the scopes ``holding`` (indices into ``rights(entity).scopes``) are true."""
        return self.rights(entity).levels(frozenset(holding))

    def field_level_anywhere(self, entity: str, name: str) -> FieldLevel:
        """The best level the actor has on the field in any row at all."""
        rights = self.rights(entity)
        return rights.levels(frozenset(range(len(rights.scopes)))).get(name, FieldLevel.HIDDEN)

    def action_label(self, entity: str, action: str) -> Text:
        found = self.catalog.actions.get(f"{entity}/{action}")
        if found is not None:
            return found.label
        lifecycle = self.catalog.lifecycles.get(entity)
        if lifecycle is not None and action in lifecycle.transitions:
            return lifecycle.transitions[action].label
        from_engine = metaloom.access.messages.ACTION_WORDS.get(action)
        return Text(*from_engine) if from_engine else Text(action, action)

    def _missing(self, entity: str, action: str) -> Message:
        if not self.actor.roles:
            return message("access.no_role")
        labels = [self.catalog.roles[a.role].label for a in self.actor.roles if a.role in self.catalog.roles]
        unique = list(dict.fromkeys(labels))
        roles = Text("、".join(t.zh for t in unique), ", ".join(t.en for t in unique))
        return message("access.missing_action", roles=roles, entity=self.catalog.entities[entity].label,
                       action=self.action_label(entity, action))


class Memory(dict[Any, Any]):
    """A bounded memory of things that are quick to use and slow to make; full, it forgets everything."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= self._limit:
            self.clear()
        super().__setitem__(key, value)


class EntityRights:
    """The actor's grants on one entity: the distinct row scopes, and what holds where."""

    def __init__(self, plan: AccessPlan, entity: Entity) -> None:
        self.plan = plan
        self.entity = entity
        self.held = tuple(_held_grants(plan, entity))
        self.scopes: tuple[RowScope, ...] = tuple(dict.fromkeys(held.scope for held in self.held if held.scope.kind != "none"))
        self._index = {scope: i for i, scope in enumerate(self.scopes)}
        self._clauses = Memory(50)
        self._levels: dict[frozenset[int], Mapping[str, FieldLevel]] = {}
        self._actions: dict[frozenset[int], frozenset[str]] = {}
        self._grant_levels = {id(held): grant_levels(entity, held.grant) for held in self.held}
        self.all_actions = frozenset().union(*(held.grant.actions for held in self.held)) if self.held else frozenset()

    def scopes_for(self, *actions: str) -> tuple[int, ...]:
        """Scopes of the grants that name one of ``actions``; a scope of all rows stands alone."""
        found = {self._index[h.scope] for h in self.held if h.scope in self._index and h.grant.actions.intersection(actions)}
        return self._simplified(found)

    def mark(self) -> str:
        """Equal as long as the grants give the same actions and field levels in the same rows."""
        lines = [repr((held.scope, held.via, sorted(held.grant.actions), sorted((name, int(level)) for name, level in self._grant_levels[id(held)].items())))
                 for held in self.held]
        return sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def scopes_at(self, name: str, level: FieldLevel) -> tuple[int, ...]:
        """Scopes in whose rows the field stands at ``level`` or better."""
        found = {self._index[h.scope] for h in self.held
                 if h.scope in self._index and self._grant_levels[id(h)].get(name, FieldLevel.HIDDEN) >= level}
        return self._simplified(found)

    def _simplified(self, found: set[int]) -> tuple[int, ...]:
        everything = [i for i in found if self.scopes[i].covers_all]
        return tuple(everything[:1] or sorted(found))

    def clause(self, index: int, table: Any, env: Any = None) -> sa.ColumnElement[bool]:
        """SQL of one scope over ``table``; a clause that asks nothing of the environment is made once."""
        if self.scopes[index].kind == "expression":
            return self._clause(index, table, env)
        found = self._clauses.get((index, table))
        if found is None:
            found = self._clauses[index, table] = self._clause(index, table, env)
        return found

    def _clause(self, index: int, table: Any, env: Any) -> sa.ColumnElement[bool]:
        revision, environment = self.plan.revision, env if env is not None else self.plan.env
        return scope_clause(revision, self.scopes[index], self.entity, table,
                            lambda address, text, target: condition_clause(revision, address, text, target, environment))

    def any_of(self, indices: Iterable[int], table: Any, env: Any = None) -> sa.ColumnElement[bool]:
        """SQL of the union of some scopes; false for none."""
        clauses = [self.clause(index, table, env) for index in indices]
        return sa.or_(*clauses) if clauses else sa.false()

    def levels(self, holding: frozenset[int]) -> Mapping[str, FieldLevel]:
        """Field levels of a row in exactly these scopes: per field the best among the grants that hold for the row."""
        found = self._levels.get(holding)
        if found is None:
            best = dict.fromkeys((*self.entity.fields, *IMPLICIT_FIELDS), FieldLevel.HIDDEN)
            for held in self._holding(holding):
                for name, level in self._grant_levels[id(held)].items():
                    best[name] = max(best[name], level)
            best.update(dict.fromkeys(ALWAYS_READABLE, FieldLevel.READ if holding else FieldLevel.HIDDEN))
            found = self._levels[holding] = MappingProxyType(best)
        return found

    def actions_in(self, holding: frozenset[int]) -> frozenset[str]:
        """Actions granted on a row in exactly these scopes."""
        found = self._actions.get(holding)
        if found is None:
            found = self._actions[holding] = frozenset().union(*(held.grant.actions for held in self._holding(holding)))
        return found

    def grants_in(self, holding: frozenset[int]) -> tuple[HeldGrant, ...]:
        return tuple(self._holding(holding))

    def grant_level(self, held: HeldGrant, name: str) -> FieldLevel:
        return self._grant_levels[id(held)].get(name, FieldLevel.HIDDEN)

    def _holding(self, holding: frozenset[int]) -> Iterable[HeldGrant]:
        return (held for held in self.held if self._index.get(held.scope, -1) in holding)

    # -- which scopes a statement must carry as columns ------------------------------------------------------------

    def flags_needed(self, within: tuple[int, ...]) -> tuple[tuple[int, ...], frozenset[int]]:
        """For rows known to be in ``within``: (scopes to select as boolean columns, scopes certainly holding)."""
        certain = {i for i, scope in enumerate(self.scopes) if scope.covers_all}
        if len(within) == 1:
            certain.update(within)
        return tuple(i for i in range(len(self.scopes)) if i not in certain), frozenset(certain)


def _held_grants(plan: AccessPlan, entity: Entity) -> Iterable[HeldGrant]:
    """Grants of the actor's roles; a child entity without any grants of its own inherits its parent's."""
    written = plan.catalog.grants.get(entity.address, ())
    if not written and entity.child_of:
        yield from _inherited(plan, entity)
        return
    for assignment in plan.actor.assignments:
        for grant in written:
            if grant.role == assignment.role:
                yield HeldGrant(grant, assignment, row_scope(grant, assignment, plan))


def _inherited(plan: AccessPlan, child: Entity) -> Iterable[HeldGrant]:
    parent = plan.catalog.entities[child.child_of]
    slots = [f.name for f in parent.fields.values() if f.type is FieldType.CHILD and f.entity == child.address]
    for held in plan.grants(parent.address):
        levels = grant_levels(parent, held.grant)
        for slot in slots:
            level = levels[slot]
            if level >= FieldLevel.READ:
                yield replace(held, grant=_child_grant(held.grant, child, level), via=slot)


def _child_grant(grant: AccessGrant, child: Entity, level: FieldLevel) -> AccessGrant:
    actions = set(grant.actions & {"list", "read", "history", "export"})
    if level is FieldLevel.WRITE:
        actions |= grant.actions & {"create", "edit"}
        if "edit" in grant.actions:
            actions |= {"create", "delete"}
    return replace(grant, entity=child.address, actions=frozenset(actions), fields={})


def row_scope(grant: AccessGrant, assignment: Assignment, plan: AccessPlan) -> RowScope:
    """The rows of ``grant`` when held through ``assignment``.

    company, dept and dept_tree start at the assignment's company or unit, else at the actor's own. An assignment that
    names a company or unit also limits every other scope to it.
    """
    actor, kind = plan.actor, grant.scope
    unit = assignment.org_unit_id if assignment.org_unit_id is not None else _own_unit(plan, assignment)
    company = assignment.company_id if assignment.company_id is not None else (
        plan.org.company_of(assignment.org_unit_id) if assignment.org_unit_id is not None else actor.company_id)
    limits: dict[str, Any] = {
        "limit_company": assignment.company_id,
        "limit_units": plan.org.subtree(assignment.org_unit_id) if assignment.org_unit_id is not None else None,
    }
    base = RowScope(kind, grant.entity)
    if kind == "company":
        return replace(base, company_id=company) if company is not None else replace(base, kind="none")
    if kind in ("dept", "dept_tree", "custom"):
        units = _units_of(kind, unit, grant, plan)
        return replace(base, kind="units", unit_ids=units, limit_company=assignment.company_id) if units else replace(base, kind="none")
    if kind == "all":
        return replace(base, **limits)
    if kind == "self":
        return replace(base, user_id=actor.user_id, **limits)
    if kind == "assigned":
        return replace(base, user_id=actor.user_id, field=grant.assigned_field, **limits)
    if kind == "expression":
        return replace(base, condition=grant.condition, **limits)
    return replace(base, kind="none")


def _own_unit(plan: AccessPlan, assignment: Assignment) -> int | None:
    """The actor's own unit, unless the assignment is for another company."""
    unit = plan.actor.org_unit_id
    if assignment.company_id is not None and plan.org.company_of(unit) not in (None, assignment.company_id):
        return None
    return unit


def _units_of(kind: str, unit: int | None, grant: AccessGrant, plan: AccessPlan) -> tuple[int, ...]:
    if kind == "custom":
        return plan.org.with_codes(grant.units)
    if unit is None:
        return ()
    return (unit,) if kind == "dept" else plan.org.subtree(unit) or (unit,)
