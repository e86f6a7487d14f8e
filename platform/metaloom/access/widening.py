"""What a new catalog allows that the running one does not, and whether somebody holds all of it already.

Whoever publishes may not grant what they lack. A *widening* is one thing that somebody could do or see under the new
catalog and not under the running one; it says what a person must hold, in every row, to publish it. Some widenings nobody
can hold (four eyes taken away, a limit raised): those are for the owner, who publishes from the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metaloom.access.plan import AccessPlan
from metaloom.compile import entity_scope
from metaloom.compile.scope import implicit_links, target_of
from metaloom.expression import ExpressionError, compile
from metaloom.model import AccessGrant, Action, Catalog, Entity, Field, FieldLevel, FieldType, Step
from metaloom.model.levels import grant_levels
from metaloom.storage.columns import table_name

Kept = Collection[tuple[str, str]]
_WIDER = {("company", "dept_tree"), ("company", "dept"), ("dept_tree", "dept")}
_DELETE = ("never", "archive", "physical")
_EVERY_FIELD = "*"


@dataclass(frozen=True)
class Widening:
    """``what`` names it. To publish it a person must hold, in every row of ``entity`` under the running catalog, ``actions``
    and every field of ``fields`` at its level (``*``: every field). ``entity`` '': nobody holds it."""

    what: str
    entity: str = ""
    actions: frozenset[str] = frozenset()
    fields: Mapping[str, FieldLevel] | None = None


def widenings(before: Catalog, after: Catalog, kept: Kept = ()) -> tuple[Widening, ...]:
    """Everything ``after`` allows beyond ``before``. ``kept``: (table, column) of data that is still there although no field
    names it; a field that finds it again is not new."""
    change = _Change(before, after, frozenset(kept))
    return tuple(found for entity in after.entities.values() for found in change.of(entity)) + tuple(change.of_tenant())


def beyond(plan: AccessPlan, found: Iterable[Widening]) -> tuple[Widening, ...]:
    """Those that the person of ``plan`` (made under the running catalog) does not hold."""
    return tuple(one for one in found if not _holds(plan, one))


def _holds(plan: AccessPlan, one: Widening) -> bool:
    if one.entity not in plan.catalog.entities:
        return False
    rights = plan.rights(one.entity)
    everywhere = frozenset(i for i, scope in enumerate(rights.scopes) if scope.covers_all)
    levels, wanted = rights.levels(everywhere), dict(one.fields or {})
    least = wanted.pop(_EVERY_FIELD, FieldLevel.HIDDEN)
    return (one.actions <= rights.actions_in(everywhere)
            and all(levels.get(name, FieldLevel.HIDDEN) >= level for name, level in wanted.items())
            and (not least or all(levels[name] >= least for name in rights.entity.fields)))


@dataclass
class _Change:
    """One comparison. Entities are known by their former address: a renamed one is not new."""

    before: Catalog
    after: Catalog
    kept: frozenset[tuple[str, str]]

    def former(self, entity: Entity) -> Entity | None:
        found = self.before.entities.get(entity.address)
        if found is None and entity.renamed_from:
            name = entity.renamed_from.rpartition(".")[2]
            found = next((e for e in self.before.entities.values() if e.pack == entity.pack and e.name == name), None)
        return found

    def of(self, entity: Entity) -> Iterator[Widening]:
        was = self.former(entity)
        if was is None:
            if entity.storage != "table" or any(table == table_name(entity) for table, _ in self.kept):
                yield from self._grants_on_kept(entity)
        else:
            yield from self._grants(entity, was)
            yield from self._protection(entity, was)
        yield from self._formulas(entity, was)
        yield from self._actions(entity, was)
        yield from self._ways(entity, was)

    # -- grants ----------------------------------------------------------------------------------------------------

    def _grants_on_kept(self, entity: Entity) -> Iterator[Widening]:
        for grant in self.after.grants.get(entity.address, ()):
            yield Widening(f"{grant.address}: {entity.address} holds data of an earlier revision")

    def _grants(self, entity: Entity, was: Entity) -> Iterator[Widening]:
        same_rows = (entity.ownership, entity.child_of, entity.parent_field) == (was.ownership, was.child_of, was.parent_field)
        inherits = entity.child_of and not self.after.grants.get(entity.address)
        if inherits and self.before.grants.get(was.address):
            yield Widening(f"{entity.address}: its own rights are gone, those of {entity.child_of} would hold", was.address,
                           frozenset({"list", "read", "create", "edit", "delete"}), {_EVERY_FIELD: FieldLevel.WRITE})
        for grant in self.after.grants.get(entity.address, ()):
            held = [one for one in self.before.grants.get(was.address, ())
                    if one.role == grant.role and _covers(one, grant, same_rows=same_rows)]
            known = frozenset().union(*(one.actions for one in held))
            if (more := grant.actions - known) and grant.scope != "none":
                yield Widening(f"{grant.address}: {', '.join(sorted(more))}", was.address, more)
            yield from self._levels(entity, was, grant, held)

    def _levels(self, entity: Entity, was: Entity, grant: AccessGrant, held: list[AccessGrant]) -> Iterator[Widening]:
        former = [grant_levels(was, one) for one in held]
        for name, level in grant_levels(entity, grant).items():
            old = entity.renamed_fields.get(name, name)
            if level is FieldLevel.HIDDEN or grant.scope == "none" or self._is_new(entity, was, name):
                continue
            if max((levels.get(old, FieldLevel.HIDDEN) for levels in former), default=FieldLevel.HIDDEN) < level:
                yield Widening(f"{grant.address}: {name} {level.name.lower()}", was.address, fields={old: level})

    def _is_new(self, entity: Entity, was: Entity, name: str) -> bool:
        """Whether there can be no data behind the field yet."""
        field = entity.fields.get(name)
        if field is None or name in was.fields or entity.renamed_fields.get(name) in was.fields:
            return False
        return (table_name(entity), field.column) not in self.kept and field.type is not FieldType.CHILD

    # -- what protects data -------------------------------------------------------------------------------------------

    def _protection(self, entity: Entity, was: Entity) -> Iterator[Widening]:
        if was.append_only and not entity.append_only:
            yield Widening(f"{entity.address}: append_only taken away")
        if was.log_views and not entity.log_views:
            yield Widening(f"{entity.address}: views no longer written to the audit")
        if _DELETE.index(entity.delete) > _DELETE.index(was.delete):
            yield Widening(f"{entity.address}: delete {was.delete} → {entity.delete}")
        for field in entity.fields.values():
            old = was.fields.get(entity.renamed_fields.get(field.name, field.name))
            if old is None:
                continue
            if old.encrypted and not field.encrypted:
                yield Widening(f"{entity.address}/{field.name}: encryption taken away")
            if old.history and not field.history:
                yield Widening(f"{entity.address}/{field.name}: changes no longer written to the audit")
            if (old.read_only or old.fixed) and not (field.read_only or field.fixed or field.computed):
                yield Widening(f"{entity.address}/{field.name}: may be entered", was.address, frozenset({"edit"}), {old.name: FieldLevel.WRITE})

    def _formulas(self, entity: Entity, was: Entity | None) -> Iterator[Widening]:
        """A value that is computed or filled in shows what it was made of."""
        for field in entity.fields.values():
            old = was.fields.get(entity.renamed_fields.get(field.name, field.name)) if was is not None else None
            former = set(_formulas(old)) if old is not None else set()
            for text in set(_formulas(field)) - former:
                for address, name in self._read(entity, text):
                    known = self.before.entities.get(address)
                    if known is not None and name in known.fields:
                        yield Widening(f"{entity.address}/{field.name}: shows {address}/{name}", address, fields={name: FieldLevel.READ})

    def _read(self, entity: Entity, text: str) -> Iterator[tuple[str, str]]:
        """(entity, field) of every field that an expression of the entity reads."""
        try:
            paths = compile(text, entity_scope(self.after, entity.address)).paths
        except ExpressionError:
            return
        for path in paths:
            here: Entity | None = entity
            for name in path:
                field = here.fields.get(name) if here is not None else None
                if here is not None and field is not None:
                    yield here.address, name
                target = (field.entity if field.type is FieldType.CHILD else target_of(field)) if field is not None \
                    else implicit_links(here).get(name, "") if here is not None else ""
                here = self.after.entities.get(target)

    # -- actions, lifecycles, chains ----------------------------------------------------------------------------------

    def _actions(self, entity: Entity, was: Entity | None) -> Iterator[Widening]:
        for action in self.after.actions_of(entity.address):
            old = self.before.actions.get(f"{was.address}/{action.name}") if was is not None else None
            if old is not None and _makers(old) - _makers(action):
                yield Widening(f"{action.address}: four eyes taken away ({', '.join(sorted(_makers(old) - _makers(action)))})")
            if old is not None and old.asks_reason and not action.asks_reason:
                yield Widening(f"{action.address}: asks for no reason any more")
            if old is None or _power(old) != _power(action):
                yield from self._steps(entity, was, action)

    def _steps(self, entity: Entity, was: Entity | None, action: Action) -> Iterator[Widening]:
        """Steps ask for no rights of their own: whoever may run the action does all of them."""
        if was is not None:
            yield _all_of(f"{action.address}: what it does", was.address)
        for step in _every_step(action.steps):
            if step.verb == "run":
                yield Widening(f"{action.address}: runs {step.name}")
            elif step.entity in self.before.entities and (was is None or step.entity != was.address):
                yield _all_of(f"{action.address}: {step.verb} {step.entity}", step.entity)
            elif step.verb == "transition" and step.target:
                yield Widening(f"{action.address}: moves another record ({step.name})")

    def _ways(self, entity: Entity, was: Entity | None) -> Iterator[Widening]:
        """The ways of a lifecycle, the chains of approval and processes are power over records that are there."""
        if self.after.processes_of(entity.address) and (was is None or _processes(self.before, was) != _processes(self.after, entity)):
            yield Widening(f"{entity.address}: its processes")
        if was is None:
            return
        if _lifecycle(self.before, was) != _lifecycle(self.after, entity):
            yield _all_of(f"{entity.address}: its lifecycle", was.address)
        if _chains(self.before, was) != _chains(self.after, entity):
            yield Widening(f"{entity.address}: its approval")

    def of_tenant(self) -> Iterator[Widening]:
        for name, value in self.after.settings.items():
            if isinstance(value, int) and not isinstance(value, bool) and value != self.before.settings.get(name):
                yield Widening(f"settings/{name}: {value}")
        for name in self.before.settings:
            if name not in self.after.settings and isinstance(self.before.settings[name], int):
                yield Widening(f"settings/{name}: taken away")


def _covers(had: AccessGrant, wants: AccessGrant, *, same_rows: bool) -> bool:
    """Whether the rows of one grant hold those of another, of the same role."""
    if had.scope == "all" or wants.scope == "none":
        return True
    if not same_rows:
        return False
    if had.scope == wants.scope == "custom":
        return set(wants.units) <= set(had.units)
    if had.scope == wants.scope:
        return (had.condition, had.assigned_field) == (wants.condition, wants.assigned_field)
    return (had.scope, wants.scope) in _WIDER


def _all_of(what: str, entity: str) -> Widening:
    return Widening(what, entity, frozenset({"create", "edit"}), {_EVERY_FIELD: FieldLevel.WRITE})


def _formulas(field: Field) -> Iterator[str]:
    yield from filter(None, (field.computed, field.default, *field.fill.values()))


def _makers(action: Action) -> set[str]:
    return {part.strip() for part in action.maker_is_not.split(",") if part.strip()}


def _power(action: Action) -> object:
    """What an action may do, without its words."""
    return action.on, action.permission or action.name, action.when, tuple(_bare(step) for step in action.steps), tuple(
        (name, field.type, field.entity, field.filter) for name, field in action.input.fields.items())


def _bare(step: Step) -> object:
    return (step.verb, step.expression, tuple(step.values.items()), step.entity, step.where, step.expect, step.over, step.target, step.name,
            step.let, step.when, tuple(map(_bare, step.steps)), tuple(map(_bare, step.otherwise)))


def _every_step(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _every_step((*step.steps, *step.otherwise))


def _lifecycle(catalog: Catalog, entity: Entity) -> object:
    found = catalog.lifecycles.get(entity.address)
    return found and (found.field, found.initial, {s.name: (s.editable, s.final) for s in found.states.values()},
                      {t.name: (frozenset(t.from_states), t.to_state, t.when) for t in found.transitions.values()})


def _chains(catalog: Catalog, entity: Entity) -> object:
    return [_without_places(chain) for chain in catalog.chains_of(entity.address)]


def _processes(catalog: Catalog, entity: Entity) -> object:
    return [_without_places(process) for process in catalog.processes_of(entity.address)]


def _without_places(value: Any) -> Any:
    """A definition as plain values, without where it is written."""
    fields: Callable[[Any], Any] = lambda v: getattr(type(v), "__dataclass_fields__", None)  # noqa: E731
    if fields(value):
        return {name: _without_places(getattr(value, name)) for name in fields(value) if name != "position"}
    if isinstance(value, Mapping):
        return {key: _without_places(one) for key, one in value.items()}
    return [_without_places(one) for one in value] if isinstance(value, (tuple, list)) else value

