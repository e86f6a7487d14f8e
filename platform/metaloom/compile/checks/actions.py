"""Actions: what they ask for and who may not do them."""

from __future__ import annotations

from metaloom.compile.checks.look import check_path, say, spot
from metaloom.compile.context import Context
from metaloom.compile.scope import USER, implicit_links, target_of
from metaloom.model import Catalog, FieldType
from metaloom.model.action import APPROVAL

_NOT_ENTERED = frozenset({FieldType.CHILD, FieldType.AUTO_NUMBER, FieldType.STATE})


def inputs_are_enterable(catalog: Catalog, context: Context) -> None:
    """An input is something a person can type or choose; only a record action can be offered for a selection."""
    for action in catalog.actions.values():
        for field in action.input.fields.values():
            if field.type in _NOT_ENTERED or field.computed:
                say(context, "ML-ACTION-011", field.position, field.address, field=field.name, type="computed" if field.computed else field.type)
        if action.bulk and action.on == "list":
            say(context, "ML-ACTION-012", spot(context, action.entity, "actions", action.name, "bulk"), action.address)


def makers_are_people(catalog: Catalog, context: Context) -> None:
    """``maker_is_not`` names users, or ``approval`` where the record can be approved."""
    for action in catalog.actions.values():
        entity = catalog.entities[action.entity]
        where = spot(context, action.entity, "actions", action.name, "maker_is_not")
        for path in filter(None, action.maker_is_not.split(",")):
            if path == APPROVAL and path not in entity.fields and catalog.chains_of(action.entity):
                continue
            field = check_path(context, catalog, entity, path, where, action.address)
            target = target_of(field) if field else implicit_links(entity).get(path, USER if "." in path else "")
            if field is not None and target != USER or field is None and path in ("id", "created_at", "updated_at", "row_version"):
                say(context, "ML-ACTION-013", where, action.address, path=path)


def commands_lock_fixed_links(catalog: Catalog, context: Context) -> None:
    """What a plugin command locks before its record is told by a link that never changes: the record is not locked when the link is read."""
    for command in context.plugins.commands.values():
        entity = catalog.entities.get(command.on)
        if entity is None or not command.locks_first:
            continue
        link = entity.fields.get(command.locks_first)
        if link is None or link.type is not FieldType.LINK or not link.fixed:
            say(context, "ML-ACTION-015", command.position, command.name, command=command.name, name=command.locks_first, entity=entity.address)
