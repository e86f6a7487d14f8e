"""Names that mean something else to the engine, to Python or to the database; two things under one name."""

from __future__ import annotations

import keyword

from metaloom.compile.checks.look import say, spot
from metaloom.compile.context import Context
from metaloom.compile.source import ENGINE_PACK
from metaloom.model import Catalog, Entity
from metaloom.model.access import STANDARD_ACTIONS
from metaloom.model.entity import LINK_TYPES, OWNER_COLUMNS, RESERVED_COLUMNS

MAX_TABLE_BYTES = 60
_ENGINE_NAMES = frozenset({*RESERVED_COLUMNS, *OWNER_COLUMNS, "archived_at", "tenant", "tenant_id", "query", "metadata", "registry", "record", "input",
                           "row", "rowid", "oid", "xmin", "ctid", "tableoid", "self", "this", "null", "true", "false"})
_SQL = frozenset("""all analyse analyze and any array as asc asymmetric authorization between both by case cast check collate column commit constraint
create cross current_date current_time current_timestamp current_user database default deferrable delete desc distinct do drop else end escape except
exists fetch for foreign from full grant group having if ilike in index inner insert intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull offset on only or order outer overlaps placing primary references returning right rollback select
session_user set similar some symmetric table then to trailing trigger truncate union unique update using values verbose view when where window
with""".split())
_OWNER_NAMES = {"company": "company", "org_unit": "org_unit", "owner": "user"}


def why_reserved(name: str, column: str = "") -> str:
    """What else the name means; '' when it is free. A link ``limit`` is free because its ``column`` is limit_id."""
    if name in _ENGINE_NAMES:
        return "the engine uses it"
    if (column or name) in _SQL:
        return "a word of SQL"
    if keyword.iskeyword(name):
        return "a word of Python"
    if "__" in name or name.endswith("_"):
        return "two underscores, or one at the end, mark the engine's own columns"
    return ""


def names_are_not_reserved(catalog: Catalog, context: Context) -> None:
    """Entities, fields, actions and transitions have names of their own."""
    for entity in catalog.entities.values():
        if why := why_reserved(entity.name):
            say(context, "ML-NAME-002", entity.position, entity.address, name=entity.name, why=why)
        for field in entity.fields.values():
            why = why_reserved(field.name, field.column) or _why_not_field(entity, field.name)
            if why:
                say(context, "ML-NAME-002", field.position, field.address, name=field.name, why=why)
    for action in catalog.actions.values():
        if action.name in STANDARD_ACTIONS:
            say(context, "ML-NAME-002", action.position, action.address, name=action.name, why="a standard action is called so")
        for field in action.input.fields.values():
            if why := why_reserved(field.name):
                say(context, "ML-NAME-002", field.position, field.address, name=field.name, why=why)


def _why_not_field(entity: Entity, name: str) -> str:
    if name == "user" and entity.pack != ENGINE_PACK:
        return "it would hide user.* in expressions"
    if _OWNER_NAMES.get(name, "-") in entity.ownership.owned_by:
        return "owned_by already gives every record this field"
    return ""


def columns_do_not_collide(catalog: Catalog, context: Context) -> None:
    """A link ``x`` has the column ``x_id``; no other field may have it."""
    for entity in catalog.entities.values():
        taken = {f.column: f for f in entity.fields.values() if f.type not in LINK_TYPES and f.stored}
        for field in entity.fields.values():
            other = taken.get(field.column)
            if field.type in LINK_TYPES and other is not None:
                say(context, "ML-NAME-004", other.position, other.address, name=other.name, other=f"the column of the link {field.name}")


def tables_do_not_collide(catalog: Catalog, context: Context) -> None:
    """One table per entity, with a name that every database can hold."""
    tables: dict[str, Entity] = {}
    for entity in catalog.entities.values():
        if len(entity.table.encode()) > MAX_TABLE_BYTES:
            say(context, "ML-NAME-003", entity.position, entity.address, name=entity.table)
        other = tables.setdefault(entity.table, entity)
        if other is not entity:
            where = spot(context, entity.address, "entity", "table")
            say(context, "ML-NAME-004", where, entity.address, name=entity.table, other=f"the table of {other.address}")
