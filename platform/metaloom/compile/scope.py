"""Turns entities and actions into the names an expression may use. The only place that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from metaloom.expression import types as t
from metaloom.expression.types import Scope, Type
from metaloom.model import Action, ApprovalChain, Catalog, Decide, Entity, Field, FieldType, Process
from metaloom.model.entity import FILE_TYPES

USER, COMPANY, ORG_UNIT, FILE = "platform.user", "platform.company", "platform.org_unit", "platform.file"

USER_NAMES: Mapping[str, Type] = MappingProxyType({
    "id": t.record(USER),
    "username": t.TEXT,
    "name": t.TEXT,
    "company": t.record(COMPANY),
    "org_unit": t.record(ORG_UNIT),
    "companies": t.multi(of=t.record(COMPANY)),
    "org_units": t.multi(of=t.record(ORG_UNIT)),
    "roles": t.multi(),
})
"""What ``user.<name>`` may be in any expression; whoever makes an ``Env`` supplies exactly these."""

IMPLICIT: Mapping[str, Type] = MappingProxyType({
    "row_version": t.INT,
    "created_at": t.DATETIME,
    "updated_at": t.DATETIME,
})
IMPLICIT_LINKS: Mapping[str, str] = MappingProxyType({"created_by": USER, "updated_by": USER})
OWNER_LINKS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "company": ("company", COMPANY), "org_unit": ("org_unit", ORG_UNIT), "owner": ("user", USER)})

_PLAIN: Mapping[FieldType, Type] = {
    FieldType.INTEGER: t.INT, FieldType.DECIMAL: t.DECIMAL, FieldType.MONEY: t.DECIMAL, FieldType.RATE: t.DECIMAL,
    FieldType.DATE: t.DATE, FieldType.DATETIME: t.DATETIME, FieldType.TIME: t.TIME, FieldType.BOOLEAN: t.BOOL,
    FieldType.TAGS: t.multi(),
}
LINK_TARGETS: Mapping[FieldType, str] = {FieldType.USER: USER, FieldType.COMPANY: COMPANY, FieldType.ORG_UNIT: ORG_UNIT}


def target_of(field: Field) -> str:
    """The entity a link-like field points to; '' for other types."""
    return field.entity if field.type is FieldType.LINK else LINK_TARGETS.get(field.type, "")


def field_type(catalog: Catalog, entity: Entity | None, field: Field) -> Type | None:
    """The expression type of a field's value; None where an expression cannot use it (children, JSON)."""
    if field.type in (FieldType.CHILD, FieldType.JSON):
        return None
    if field.type is FieldType.CHOICE:
        return _codes(catalog, field, t.choice)
    if field.type is FieldType.MULTI_CHOICE:
        choices = catalog.choices.get(field.choices)
        return t.multi(tuple(choices.items)) if choices else t.multi()
    if field.type is FieldType.STATE:
        lifecycle = catalog.lifecycles.get(entity.address) if entity else None
        return t.choice(*lifecycle.states) if lifecycle else t.TEXT
    if field.type in FILE_TYPES:
        return t.multi(of=t.record(FILE))
    if target := target_of(field):
        return t.record(target)
    return _PLAIN.get(field.type, t.TEXT)


def _codes(catalog: Catalog, field: Field, make: Callable[..., Type]) -> Type:
    choices = catalog.choices.get(field.choices)
    return make(*choices.items) if choices else t.CHOICE


def entity_scope(catalog: Catalog, entity: str, *, extra: Mapping[str, Type] | None = None) -> Scope:
    """The names of an entity: its fields bare, links dotted, children, ``id`` and the reserved fields, ``user.*``.

    Scopes of one catalog are made once and shared (they cache compiled expressions); ``extra`` names make a scope of its own.
    """
    scopes = _scopes_of(catalog)
    if entity not in scopes:
        scopes[entity] = _entity_scope(catalog, catalog.entities[entity])
    scope = scopes[entity]
    return Scope({**scope.fields, **extra}, scope.links, scope.children, scope.user) if extra else scope


def _entity_scope(catalog: Catalog, entity: Entity) -> Scope:
    fields: dict[str, Type] = {"id": t.record(entity.address), **IMPLICIT}
    links: dict[str, Callable[[], Scope]] = {}
    children: dict[str, Callable[[], Scope]] = {}
    for name, target in implicit_links(entity).items():
        fields[name] = t.record(target)
        links[name] = _lazy(catalog, target)
    for name, field in entity.fields.items():
        if field.type is FieldType.CHILD:
            children[name] = _lazy(catalog, field.entity)
            continue
        kind = field_type(catalog, entity, field)
        if kind is not None:
            fields[name] = kind
        if target := target_of(field):
            links[name] = _lazy(catalog, target)
    return Scope(fields, links, children, USER_NAMES)


def implicit_links(entity: Entity) -> Mapping[str, str]:
    """Links that every record, or every owned record, has without declaring them: name → target entity."""
    owners = {name: target for name, (part, target) in OWNER_LINKS.items() if part in entity.ownership.owned_by}
    return {**IMPLICIT_LINKS, **owners}


def company_path(catalog: Catalog, entity: str) -> str | None:
    """The path to the company that a record belongs to, along the links its scope comes from; None for what belongs to none."""
    path: list[str] = []
    while entity in catalog.entities and len(path) < 10:
        found = catalog.entities[entity]
        if "company" in found.ownership.owned_by:
            return ".".join((*path, "company"))
        link = found.parent_field if found.child_of else found.ownership.scope_from
        if not link or link not in found.fields:
            return None
        path.append(link)
        entity = target_of(found.fields[link])
    return None


def _lazy(catalog: Catalog, entity: str) -> Callable[[], Scope]:
    def make() -> Scope:
        return entity_scope(catalog, entity) if entity in catalog.entities else Scope()
    return make


def action_scope(catalog: Catalog, action: Action, lets: Mapping[str, Scope] | None = None) -> Scope:
    """The names of an action's steps: the record's (bare and as ``record.x``), ``input.x`` and the ``lets`` so far.

    An action ``on: list`` has no record: there only ``input``, ``user`` and lets exist.
    """
    return with_names(record_scope(catalog, action), prefixed_scopes(catalog, action, lets))


def record_scope(catalog: Catalog, action: Action) -> Scope:
    """The bare names of an action."""
    return entity_scope(catalog, action.entity) if action.on == "record" else Scope(user=USER_NAMES)


def prefixed_scopes(catalog: Catalog, action: Action, lets: Mapping[str, Scope] | None = None) -> dict[str, Scope]:
    """What stands behind a prefix in an action: ``record``, ``input`` and the ``lets``."""
    record = {"record": entity_scope(catalog, action.entity)} if action.on == "record" else {}
    return {**record, "input": values_scope(catalog, action.input.fields), **(lets or {})}


CASE_NAMES: Mapping[str, Type] = MappingProxyType({"initiator": t.record(USER), "started_at": t.DATETIME, "finished_by": t.record(USER), "opinion": t.TEXT})
"""What ``case.<name>`` may be: in every expression of a chain; ``finished_by`` is null while the case runs, ``opinion`` is that of the
decision whose effects these are, null elsewhere."""


def chain_scope(catalog: Catalog, chain: ApprovalChain) -> Scope:
    """The names of an approval chain: the record's (bare and as ``record.x``), ``case.x`` and ``output.<step>.x``."""
    record = entity_scope(catalog, chain.entity)
    case = Scope(CASE_NAMES, {name: _lazy(catalog, USER) for name in ("initiator", "finished_by")})
    outputs = {s.name: _constant(values_scope(catalog, s.outputs)) for s in chain.every_step() if isinstance(s, Decide) and s.outputs}
    return with_names(record, {"record": record, "case": case, "output": Scope({}, outputs)})


RUN_NAMES: Mapping[str, Type] = MappingProxyType({"started_by": t.record(USER), "started_at": t.DATETIME})
"""What ``run.<name>`` may be in every expression of a process; nobody started what the engine started by itself."""


def process_names(catalog: Catalog, process: Process) -> dict[str, Scope]:
    """What stands behind a prefix in a process besides the record: ``run``, answers, and rows that were kept."""
    found = {"run": Scope(RUN_NAMES, {"started_by": _lazy(catalog, USER)})}
    for step in process.steps.values():
        if step.let:
            found[step.let] = values_scope(catalog, step.reply or step.result)
        found |= {name: entity_scope(catalog, entity) for name, entity in step.keep.items() if entity in catalog.entities}
    return found


def process_scope(catalog: Catalog, process: Process) -> Scope:
    """The names of a process: the record's (bare and as ``record.x``) and ``process_names``."""
    record = entity_scope(catalog, process.entity)
    return with_names(record, {"record": record, **process_names(catalog, process)})


def where_scope(catalog: Catalog, entity: str, prefixed: Mapping[str, Scope]) -> Scope:
    """The names of a condition of ``update`` or ``get``: the target's bare, everything else behind its prefix."""
    return with_names(entity_scope(catalog, entity), prefixed)


def link_filter_scope(catalog: Catalog, entity: str, target: str) -> Scope:
    """The names of a link's ``filter``: the target's bare, this record's as ``record.x``."""
    return with_names(entity_scope(catalog, target), {"record": entity_scope(catalog, entity)})


def values_scope(catalog: Catalog, fields: Mapping[str, Field]) -> Scope:
    """A scope of loose fields: inputs, results of plugin commands."""
    types = {name: kind for name, f in fields.items() if (kind := field_type(catalog, None, f)) is not None}
    links = {name: _lazy(catalog, target) for name, f in fields.items() if (target := target_of(f))}
    return Scope(types, links)


def with_names(base: Scope, prefixed: Mapping[str, Scope]) -> Scope:
    """``base`` plus prefixed names; a prefix that stands for a record is also its bare id."""
    fields, links = dict(base.fields), dict(base.links)
    for name, scope in prefixed.items():
        links[name] = _constant(scope)
        fields.pop(name, None)
        if "id" in scope.fields:
            fields[name] = scope.fields["id"]
    return Scope(fields, links, base.children, base.user)


def _constant(scope: Scope) -> Callable[[], Scope]:
    return lambda: scope


def _scopes_of(catalog: Catalog) -> dict[str, Scope]:
    """The scopes live as long as their catalog; they and it refer to each other."""
    scopes: dict[str, Scope] = catalog.__dict__.setdefault("_scopes", {})
    return scopes
