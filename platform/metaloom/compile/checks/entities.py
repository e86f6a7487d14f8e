"""Entities: ownership, parents and children, the fields they name."""

from __future__ import annotations

from metaloom.compile.checks.look import check_path, say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import IMPLICIT, implicit_links, target_of
from metaloom.compile.source import ENGINE_PACK
from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import LIST_TYPES


def ownership_is_one_of_four(catalog: Catalog, context: Context) -> None:
    """``owned_by``, ``scope_from``, ``shared`` or ``child_of``: exactly one."""
    for entity in catalog.entities.values():
        node = context.effective.entities[entity.address].kinds["entity"]
        said = [k for k in ("owned_by", "scope_from", "shared", "child_of") if (n := node.get(k)) is not None and n.value is not False]
        if len(said) != 1:
            where = spot(context, entity.address, "entity", *(said[1:2]))
            say(context, "ML-ENTITY-001", where, entity.address, found=", ".join(said) or "none")


def scope_leads_home(catalog: Catalog, context: Context) -> None:
    """``scope_from`` is a required-to-exist link, and following it ends at an entity with owners of its own."""
    for entity in catalog.entities.values():
        name = entity.ownership.scope_from
        if not name or entity.child_of:
            continue
        where = spot(context, entity.address, "entity", "scope_from")
        field = entity.fields.get(name)
        if field is None or not target_of(field):
            say(context, "ML-ENTITY-002", where, entity.address, field=name, hint=_did_you_mean(name, [f.name for f in entity.fields.values() if target_of(f)]))
        elif circle := _scope_circle(catalog, entity):
            say(context, "ML-ENTITY-003", where, entity.address, cycle=" → ".join(circle))


def _scope_circle(catalog: Catalog, entity: Entity) -> list[str]:
    seen = [entity.address]
    here: Entity | None = entity
    while here is not None and here.ownership.scope_from:
        field = here.fields.get(here.ownership.scope_from)
        target = target_of(field) if field else ""
        if target in seen:
            return [*seen, target]
        seen.append(target)
        here = catalog.entities.get(target)
    return []


def children_and_parents_agree(catalog: Catalog, context: Context) -> None:
    """A child names its parent and the link to it; the parent has a child field that shows it."""
    for entity in catalog.entities.values():
        if entity.child_of:
            _check_child(catalog, context, entity)
        for field in entity.fields.values():
            child = catalog.entities.get(field.entity) if field.type is FieldType.CHILD else None
            if child is None:
                continue
            if child.child_of != entity.address:
                say(context, "ML-ENTITY-005", field.position, field.address, child=child.address, parent=entity.address)
            elif field.parent_field != child.parent_field:
                say(context, "ML-ENTITY-006", field.position, field.address, field=field.parent_field, child=child.address, wanted=child.parent_field)


def _check_child(catalog: Catalog, context: Context, entity: Entity) -> None:
    where = spot(context, entity.address, "entity", "child_of")
    link = entity.fields.get(entity.parent_field)
    if link is None or target_of(link) != entity.child_of:
        near = [f.name for f in entity.fields.values() if target_of(f) == entity.child_of]
        say(context, "ML-ENTITY-004", where, entity.address, field=entity.parent_field, parent=entity.child_of, hint=_did_you_mean(entity.parent_field, near))
    parent = catalog.entities.get(entity.child_of)
    if parent is not None and not any(f.type is FieldType.CHILD and f.entity == entity.address for f in parent.fields.values()):
        say(context, "ML-ENTITY-007", where, entity.address, parent=parent.address, child=entity.address)


def children_form_no_circle(catalog: Catalog, context: Context) -> None:
    """Deleting a parent deletes its children: that must end."""
    for entity in catalog.entities.values():
        seen, here = [entity.address], entity
        while here.child_of and here.child_of in catalog.entities:
            seen.append(here.child_of)
            if here.child_of == entity.address:
                say(context, "ML-ENTITY-008", spot(context, entity.address, "entity", "child_of"), entity.address, cycle=" → ".join(seen))
                break
            if len(seen) > len(set(seen)):
                break
            here = catalog.entities[here.child_of]


def named_fields_exist(catalog: Catalog, context: Context) -> None:
    """Title, subtitle, keys, header, unique rules, indexes and rules speak of fields that exist and have a column."""
    for entity in catalog.entities.values():
        _own(context, entity, entity.title, ("title",))
        if entity.subtitle:
            _own(context, entity, entity.subtitle, ("subtitle",))
        for name in entity.natural_key:
            _own(context, entity, name, ("natural_key", name))
        for path in entity.header:
            check_path(context, catalog, entity, path, spot(context, entity.address, "entity", "header", path), entity.address)
        for rule in entity.unique.values():
            for name in rule.fields:
                _own(context, entity, name, ("unique", rule.name, "fields", name), implicit=True)
        for index in entity.indexes.values():
            for name in index.fields:
                _own(context, entity, name, ("indexes", index.name, name), implicit=True)
        for check in entity.rules.values():
            if check.field and check.field not in entity.fields:
                _missing(context, entity, check.field, ("rules", check.name, "field"))


def _own(context: Context, entity: Entity, name: str, path: tuple[str, ...], implicit: bool = False) -> None:
    field = entity.fields.get(name)
    if field is None:
        if not (implicit and (name in IMPLICIT or name in implicit_links(entity))):
            _missing(context, entity, name, path)
    elif field.type in LIST_TYPES or field.type in (FieldType.CHILD, FieldType.JSON):
        say(context, "ML-ENTITY-009", spot(context, entity.address, "entity", *path), entity.address, field=name, type=field.type, what=path[0])


def _missing(context: Context, entity: Entity, name: str, path: tuple[str, ...]) -> None:
    where = spot(context, entity.address, "entity", *path)
    say(context, "ML-REF-002", where, entity.address, path=name, entity=entity.address, hint=_did_you_mean(name, entity.fields))


def engine_tables_are_the_engines(catalog: Catalog, context: Context) -> None:
    """Only the engine's pack speaks of engine tables, and nobody adds columns to them."""
    for entity in catalog.entities.values():
        node = context.effective.entities[entity.address].kinds["entity"]
        if entity.pack != ENGINE_PACK:
            for key in ("storage", "table", "locked"):
                said = node.get(key)
                if said is not None and said.value not in ("table", False):
                    say(context, "ML-ENTITY-010", said.key, entity.address, key=key)
        elif entity.storage == "engine":
            for field in entity.fields.values():
                if _layer(context, field) not in ("engine", ""):
                    say(context, "ML-ENTITY-011", field.position, field.address, entity=entity.address)
        if entity.comments and (entity.storage == "engine" or entity.child_of):
            say(context, "ML-ENTITY-014", spot(context, entity.address, "entity", "comments"), entity.address)
        if entity.bulk == "journal" and not entity.append_only:
            say(context, "ML-ENTITY-013", spot(context, entity.address, "entity", "bulk"), entity.address)


def links_checked_in_sets_stay(catalog: Catalog, context: Context) -> None:
    """Without a foreign key nothing but the metadata keeps a target: it is never deleted, and the rows that point to it never change."""
    for entity in catalog.entities.values():
        for name in entity.checked_in_sets:
            field = entity.fields.get(name)
            if field is None:
                _missing(context, entity, name, ("checked_in_sets", name))
            elif why := _why_not_in_sets(catalog, entity, field):
                say(context, "ML-ENTITY-015", spot(context, entity.address, "entity", "checked_in_sets", name), entity.address, field=name, why=why)


def _why_not_in_sets(catalog: Catalog, entity: Entity, field: Field) -> str:
    target = catalog.entities.get(field.entity) if field.type is FieldType.LINK else None
    if entity.bulk != "journal" or entity.storage == "engine":
        return f"{entity.address} is no journal with a table of its own"
    if target is None:
        return "it is no link to a record"
    return f"records of {target.address} can be deleted" if target.delete == "physical" or target.child_of else ""


def _layer(context: Context, field: Field) -> str:
    entity, _, name = field.address.partition("/field/")
    fields = context.effective.entities[entity].kinds["entity"].get("fields")
    node = fields.get(name) if fields else None
    return node.layer if node else ""


def related_point_back(catalog: Catalog, context: Context) -> None:
    """A tab of related records names a link that points here."""
    for entity in catalog.entities.values():
        for tab, target in entity.related.items():
            address, _, name = target.rpartition(".")
            other = catalog.entities[address]
            field = other.fields.get(name)
            points = target_of(field) if field else implicit_links(other).get(name, "")
            if points != entity.address:
                near = [f.name for f in other.fields.values() if target_of(f) == entity.address]
                where = spot(context, entity.address, "entity", "related", tab, "field")
                say(context, "ML-ENTITY-012", where, entity.address, field=name, other=address, entity=entity.address, hint=_did_you_mean(name, near))


def renames_are_possible(catalog: Catalog, context: Context) -> None:
    """A rename goes from a name that is gone to one that is there."""
    for entity in catalog.entities.values():
        for new, old in entity.renamed_fields.items():
            where = spot(context, entity.address, "entity", "renamed_fields", new)
            if new not in entity.fields:
                _missing(context, entity, new, ("renamed_fields", new))
            elif old in entity.fields:
                say(context, "ML-NAME-004", where, entity.address, name=old, other="a field that still exists")
        former = f"{entity.pack}.{entity.renamed_from}"
        if entity.renamed_from and former in catalog.entities:
            where = spot(context, entity.address, "entity", "renamed_from")
            say(context, "ML-NAME-004", where, entity.address, name=entity.renamed_from, other="an entity that still exists")
