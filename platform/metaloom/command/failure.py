"""What the database refused, told in the words of the rule that was broken."""

from __future__ import annotations

import sqlalchemy as sa

from metaloom.base.errors import Invalid, MetaloomError, NotPossible, Problem
from metaloom.base.messages import Message, message, words
from metaloom.base.text import Text
from metaloom.command.clash import Clash, Doubled, beyond_rights
from metaloom.command.context import Context
from metaloom.model import Catalog, Entity
from metaloom.storage import Violation, violation
from metaloom.storage.columns import key_column, table_name


def told(ctx: Context, error: sa.exc.DBAPIError) -> MetaloomError | None:
    """The error a person is told, or None for an error that is ours. A ``Clash`` must be written down (``clash.note``)."""
    revision = ctx.revision
    found = violation(error)
    if found is None:
        return None
    if found.kind == "unique":
        return _doubled(ctx, found)
    if found.kind == "foreign_key":
        return NotPossible(message("command.still_used", by=Text("有引用", "it is referred to")))
    if found.kind == "append_only":
        return NotPossible(message("command.append_only", entity=_label(revision.catalog, found.table)))
    if found.kind == "closed":
        return NotPossible(message("ledger.closed"))
    if found.kind == "check":
        return Invalid([Problem("", message("field.type"))])
    return None


def _doubled(ctx: Context, found: Violation) -> MetaloomError:
    if found.table == "ml_ledger_entry" and "reversal_of" in (found.name + "".join(found.columns)):
        return NotPossible(message("ledger.reversed"))
    if found.table == "ab_user" and "username" in found.name + "".join(found.columns):
        return Invalid([Problem("username", message("user.taken"))])
    entity = _entity(ctx.revision.catalog, found.table)
    if entity is None:
        return NotPossible(message("error.not_possible"))
    names, said = _broken_rule(entity, found)
    per_company = "company" in entity.ownership.owned_by and ("company" in names or len(names) < 2 or names == entity.natural_key)
    if not ctx.system and beyond_rights(ctx.plan, entity, names, per_company=per_company):
        told = any(rule.tell and rule.fields == names for rule in entity.unique.values())
        return Clash(entity.address, names, ctx.request_id, said if told else None)
    return Doubled(names, next(iter(names), ""), said)


def _broken_rule(entity: Entity, found: Violation) -> tuple[tuple[str, ...], Message]:
    """(fields, sentence) of the unique rule or field behind a constraint: by its name, else by its columns."""
    columns = set(found.columns) - {"company_id"}
    for rule in entity.unique.values():
        if f"__{rule.name}__uq" in found.name or (columns and columns == {_key(entity, name) for name in rule.fields}):
            return rule.fields, words(rule.message) if rule.message else _same(entity, rule.fields)
    for field in entity.fields.values():
        if f"__{field.name}__uq" in found.name or _key(entity, field.name) in columns:
            return (field.name,), _same(entity, (field.name,))
    return entity.natural_key, _same(entity, entity.natural_key)


def _key(entity: Entity, name: str) -> str:
    return key_column(entity.fields[name]) if name in entity.fields else name


def _same(entity: Entity, names: tuple[str, ...]) -> Message:
    labels = [entity.fields[name].label for name in names if name in entity.fields]
    label = Text("、".join(t.zh for t in labels), ", ".join(t.en for t in labels)) if labels else entity.label
    return message("field.unique", label=label)


def _entity(catalog: Catalog, table: str) -> Entity | None:
    return next((e for e in catalog.entities.values() if table_name(e) == table), None)


def _label(catalog: Catalog, table: str) -> Text:
    entity = _entity(catalog, table)
    return entity.label if entity else Text(table, table)
