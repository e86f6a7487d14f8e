"""Grants: they name what exists, mean something for the entity, and promise nothing that it refuses."""

from __future__ import annotations

from collections.abc import Iterator

from metaloom.base.position import Position
from metaloom.compile.checks.look import TEXTUAL, check_path, say, spot
from metaloom.compile.checks.screens import action_names
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import IMPLICIT, USER, entity_scope, implicit_links, target_of
from metaloom.expression import ExpressionError, compile
from metaloom.model import AccessGrant, Catalog, Entity, FieldLevel, FieldType
from metaloom.model.levels import grant_levels

_NEEDS_OWNER = {"company": "company", "dept": "org_unit", "dept_tree": "org_unit", "custom": "org_unit", "self": "user"}
_SLOTS = {"condition": "expression", "assigned_field": "assigned", "units": "custom"}


def _spot(context: Context, catalog: Catalog, grant: AccessGrant, *path: str) -> Position:
    """The grant's place in its file: the role may be written short, and a single grant has no name of its own."""
    short = grant.role.partition(".")[2]
    access = context.effective.entities[grant.entity].kinds["access"]
    role = grant.role if grant.role in access.value else short
    inner = access.value[role]
    name = () if inner.get("scope") is not None else (grant.name,)
    return spot(context, grant.entity, "access", role, *name, *path)


def granted_actions_exist(catalog: Catalog, context: Context) -> None:
    """Only what can be done can be granted. Without the plugins a name that is no action may be one of their commands."""
    if not context.plugins.complete:
        return
    for entity, grants in catalog.grants.items():
        known = action_names(catalog, context, entity)
        for grant in grants:
            for name in sorted(grant.actions - known):
                where = _spot(context, catalog, grant, "actions", name)
                say(context, "ML-ACCESS-001", where, grant.address, name=name, entity=entity, hint=_did_you_mean(name, known))


def field_levels_name_fields(catalog: Catalog, context: Context) -> None:
    """A level for a field that does not exist protects nothing; ``masked`` needs a mask."""
    for address, grants in catalog.grants.items():
        entity = catalog.entities[address]
        known = {"*", *entity.fields, *IMPLICIT, *implicit_links(entity)}
        for grant in grants:
            for name, level in grant.fields.items():
                where = _spot(context, catalog, grant, "fields", name)
                if name not in known:
                    say(context, "ML-REF-002", where, grant.address, path=name, entity=address, hint=_did_you_mean(name, known))
                elif level.name == "MASKED" and name in entity.fields and not entity.fields[name].mask:
                    say(context, "ML-ACCESS-006", where, grant.address, field=name)


def scopes_fit_ownership(catalog: Catalog, context: Context) -> None:
    """A scope asks for an owner that records of the entity have; each scope has its own slot and no other."""
    for address, grants in catalog.grants.items():
        entity = catalog.entities[address]
        owner = _home(catalog, entity)
        for grant in grants:
            needed = _NEEDS_OWNER.get(grant.scope)
            if needed and owner is not None and needed not in owner.ownership.owned_by:
                say(context, "ML-ACCESS-002", _spot(context, catalog, grant, "scope"), grant.address, scope=grant.scope, entity=owner.address, needed=needed)
            for slot, scope in _SLOTS.items():
                if bool(getattr(grant, slot)) != (grant.scope == scope):
                    where = _spot(context, catalog, grant, slot if getattr(grant, slot) else "scope")
                    say(context, "ML-ACCESS-003", where, grant.address, slot=slot, scope=scope)
            if grant.scope == "assigned" and grant.assigned_field:
                _assigned(catalog, context, entity, grant)


def _assigned(catalog: Catalog, context: Context, entity: Entity, grant: AccessGrant) -> None:
    where = _spot(context, catalog, grant, "assigned_field")
    field = check_path(context, catalog, entity, grant.assigned_field, where, grant.address)
    implicit = implicit_links(entity).get(grant.assigned_field)
    if field is not None and target_of(field) != USER or field is None and implicit not in (None, USER):
        say(context, "ML-ACTION-013", where, grant.address, path=grant.assigned_field)


def _home(catalog: Catalog, entity: Entity) -> Entity | None:
    """The entity whose owners decide about these rows; None where a link on the way is wrong (reported elsewhere)."""
    seen: set[str] = set()
    while entity.ownership.scope_from and entity.address not in seen:
        seen.add(entity.address)
        field = entity.fields.get(entity.ownership.scope_from)
        target = catalog.entities.get(target_of(field)) if field else None
        if target is None:
            return None
        entity = target
    return entity


def grants_keep_promises(catalog: Catalog, context: Context) -> None:
    """Nothing is granted that the entity refuses whatever the rights: changing append-only rows, deleting what is never deleted."""
    for address, grants in catalog.grants.items():
        entity = catalog.entities[address]
        refused = _refused(entity)
        for grant in grants:
            for name in sorted(grant.actions & refused.keys()):
                say(context, "ML-ACCESS-005", _spot(context, catalog, grant, "actions", name), grant.address, name=name, entity=address, why=refused[name])


def _refused(entity: Entity) -> dict[str, str]:
    refused: dict[str, str] = {}
    if entity.append_only:
        refused |= dict.fromkeys(("edit", "delete", "restore"), "it is append-only")
        if entity.storage == "engine":
            refused |= dict.fromkeys(("create", "import", "transfer"), "only the engine writes it")
    if entity.delete == "never":
        refused |= dict.fromkeys(("delete", "restore"), "its records are never deleted")
    if entity.delete == "physical":
        refused["restore"] = "what is deleted there is gone"
    if not any(f.mask for f in entity.fields.values()):
        refused["unmask"] = "it has no masked field"
    if not entity.comments:
        refused["comment"] = "it takes no comments"
    return refused


def somebody_may_list(catalog: Catalog, context: Context) -> None:
    """An entity that no role may list is invisible (children are seen inside their parents)."""
    for entity in catalog.entities.values():
        if not entity.child_of and not any("list" in g.actions and g.scope != "none" for g in catalog.grants.get(entity.address, ())):
            say(context, "ML-ACCESS-004", entity.position, entity.address, entity=entity.address)


def formulas_keep_secrets(catalog: Catalog, context: Context) -> None:
    """A value that is computed, filled in or a default shows what it is made of: nobody reads in it what a grant of theirs hides
    or masks. The engine computes with whole records, whoever saves."""
    for entity in catalog.entities.values():
        for field, text, where in _formulas(context, entity):
            for source, name in sorted(_sources(catalog, entity, text)):
                if catalog.entities[source].fields[name].type in TEXTUAL and entity.fields[field].type not in TEXTUAL:
                    continue  # a birthday is no ID number: a date, a code or a count drawn from words does not show them
                for role, level in _hidden_from(catalog, entity, field, catalog.entities[source], name):
                    say(context, "ML-ACCESS-007", where, entity.address, field=field, source=f"{source}/{name}", role=role, level=level.name.lower())


def _formulas(context: Context, entity: Entity) -> Iterator[tuple[str, str, Position]]:
    """(field that gets the value, expression, place) of every formula of the entity."""
    for field in entity.fields.values():
        for key in ("computed", "default"):
            if text := getattr(field, key):
                yield field.name, text, spot(context, entity.address, "entity", "fields", field.name, key)
        for target, text in field.fill.items():
            yield target, text, spot(context, entity.address, "entity", "fields", field.name, "fill", target)


def _sources(catalog: Catalog, entity: Entity, text: str) -> set[tuple[str, str]]:
    """(entity, field) of everything that an expression of the entity reads; an expression that is wrong is told elsewhere."""
    try:
        paths = compile(text, entity_scope(catalog, entity.address), None, frozenset({"python"})).paths
    except ExpressionError:
        return set()
    found = set()
    for path in paths:
        here: Entity | None = entity
        for name in path:
            field = here.fields.get(name) if here is not None else None
            if here is None or field is None:
                break
            found.add((here.address, name))
            here = catalog.entities.get(field.entity if field.type is FieldType.CHILD else target_of(field))
    return found


def _hidden_from(catalog: Catalog, entity: Entity, field: str, source: Entity, name: str) -> Iterator[tuple[str, FieldLevel]]:
    """Roles that read the field in some row, and see less of its source in every row of theirs."""
    for role in dict.fromkeys(grant.role for grant in catalog.grants.get(source.address, ())):
        shown = _best(catalog, entity, role, field)
        there = _best(catalog, source, role, name)
        if shown >= FieldLevel.READ > there:
            yield role, there


def _best(catalog: Catalog, entity: Entity, role: str, name: str) -> FieldLevel:
    levels = [grant_levels(entity, grant).get(name, FieldLevel.HIDDEN) for grant in catalog.grants.get(entity.address, ()) if grant.role == role]
    return max(levels, default=FieldLevel.HIDDEN)
