"""The checks of a record before it is stored; all findings at once. Every door to the data passes here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom.base.errors import Problem
from metaloom.base.messages import message, words
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.evaluate import checked, fails, filter_holds, holds, run
from metaloom.command.live import Live
from metaloom.command.tell import slots_of
from metaloom.compile import entity_scope
from metaloom.expression import Env
from metaloom.model import Entity, Field, FieldType
from metaloom.model.entity import FILE_TYPES, LINK_TYPES
from metaloom.record.paths import DIRECTORY, target_of
from metaloom.record.values import BadValue, Reading, read

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

EMPTY: tuple[Any, ...] = (None, "", (), [])
FILE = "platform.file"


def read_value(unit: Unit, field: Field, raw: Any, problems: list[Problem], path: str, *, offered_only: bool = False) -> Any:
    """The value in the field's type and within its limits; a problem and None otherwise."""
    how = Reading(unit.catalog.choices, unit.ctx.tenant.zone, offered_only=offered_only)
    try:
        return read(field, list(raw) if isinstance(raw, (tuple, set, frozenset)) else raw, how)
    except BadValue as error:
        problems.append(Problem(path, error.message))
        return None


def check_record(unit: Unit, entity: Entity, record: Live, before: Mapping[str, Any] | None, changed: Iterable[str],
                 env: Env, problems: list[Problem], *, prefix: str = "", trusted: bool = False) -> None:
    """Required, visible, links, files and the entity's rules, on the full record with its linked values."""
    for field in entity.fields.values():
        if field.type is not FieldType.CHILD:
            _check_presence(unit, entity, field, record, before, env, problems, prefix, trusted)
    for name in changed:
        field = entity.fields[name]
        if field.type in LINK_TYPES and record.raw[name] is not None:
            check_link(unit, entity, field, record, env, problems, prefix, trusted)
        elif field.type in FILE_TYPES and record.raw[name]:
            check_files(unit, field, record.raw, problems, prefix, before)
    if not trusted:
        _check_choices(unit, entity, record, frozenset(changed), env, problems, prefix)
    if not problems:
        check_rules(unit, entity, record, env, problems, "create" if before is None else "change", prefix)


def _check_choices(unit: Unit, entity: Entity, record: Live, changed: frozenset[str], env: Env, problems: list[Problem], prefix: str) -> None:
    """Where choices are narrowed: what was chosen now, or before something changed that narrows them, is still offered."""
    for field in entity.fields.values():
        if not field.choices_in or record.raw[field.name] in EMPTY:
            continue
        what = checked(entity_scope(unit.catalog, entity.address), field.choices_in)
        if field.name in changed or any(path[0] in changed for path in what.paths):
            problems.extend(not_offered(unit, field, record.raw[field.name], run(what, record, env), prefix + field.name))


def not_offered(unit: Unit, field: Field, chosen: Any, offered: Any, path: str) -> list[Problem]:
    """A problem for each chosen code outside ``offered`` (None: all are offered)."""
    codes = chosen if isinstance(chosen, (list, tuple, set, frozenset)) else (chosen,)
    items = unit.catalog.choices[field.choices].items if field.choices in unit.catalog.choices else {}
    wrong = [code for code in codes if offered is not None and code not in offered]
    left = [item.label for code, item in items.items() if offered and code in offered]
    if not left:
        return [Problem(path, message("field.choices_in", choice=items[code].label if code in items else code)) for code in wrong]
    told = Text("、".join(label.zh for label in left), ", ".join(label.en for label in left))
    return [Problem(path, message("field.choices_in_but", choice=items[code].label if code in items else code, offered=told)) for code in wrong]


def _check_presence(unit: Unit, entity: Entity, field: Field, record: Live, before: Mapping[str, Any] | None, env: Env,
                    problems: list[Problem], prefix: str, trusted: bool) -> None:
    """Required fields have a value, invisible ones none of their own: an invisible field is not required, and a value for it
    is refused unless it is the one that was there (or the default)."""
    found, path = record.raw[field.name], prefix + field.name
    if field.visible_when and not holds(unit, entity, field.visible_when, record, env):
        was = before[field.name] if before is not None else None
        if not trusted and found not in EMPTY and found != was and not (before is None and (field.default or field.computed)):
            problems.append(Problem(path, message("field.invisible")))
        return
    if found not in EMPTY or field.type in (FieldType.AUTO_NUMBER, FieldType.STATE) or field.computed:
        return
    if entity.child_of and field.name == entity.parent_field:
        return  # known once the parent is stored
    needed = field.required or (field.required_when and holds(unit, entity, field.required_when, record, env))
    if needed and not any(problem.field == path for problem in problems):
        problems.append(Problem(path, message("field.required")))


def check_link(unit: Unit, entity: Entity, field: Field, record: Live, env: Env, problems: list[Problem],
               prefix: str = "", trusted: bool = False) -> None:
    """The target is there, not archived, meets the link's filter, and (for a person) may be seen by the person."""
    target, record_id = target_of(field), record.raw[field.name]
    if target not in unit.catalog.entities:
        return
    path = prefix + field.name
    if trusted:
        if not rows.exists(unit, target, record_id):
            problems.append(Problem(path, message("field.link")))
        return
    found = rows.fetch(unit, target, record_id)
    if found is None or not (unit.ctx.system or visible(unit, target, record_id)):
        problems.append(Problem(path, message("field.link")))
    elif found.get("archived_at") is not None:
        problems.append(Problem(path, message("field.link_archived")))
    elif field.filter and not filter_holds(
            unit, entity, field, Live(unit, unit.entity(target), found), record, env):
        problems.append(Problem(path, message("field.link_filter")))


def visible(unit: Unit, entity: str, record_id: int) -> bool:
    """Whether the actor may see the record, live; names of people and of the organisation are a directory for everybody. A record that this
    transaction has read is judged by its values, as far as they tell."""
    if entity in DIRECTORY:
        return True
    row = rows.known(unit, entity, record_id)
    if row is None:
        return record_id in rows.reader(unit).visible(entity, [record_id])
    seen = set(unit.ctx.plan.rights(entity).scopes_for("read", "list"))
    return row.get("archived_at") is None and bool(seen) and bool(seen & rows.scopes_of(unit, entity, record_id))


def check_files(unit: Unit, field: Field, values: Mapping[str, Any], problems: list[Problem], prefix: str,
                before: Mapping[str, Any] | None) -> None:
    """New files are the actor's own uploads that no record took yet."""
    old = set((before or {}).get(field.name) or ())
    for file_id in values[field.name]:
        if file_id in old:
            continue
        file = rows.file(unit, file_id)
        if file is None or not _to_be_taken(unit, file) or (field.accept and not _accepted(file["name"], field.accept)):
            problems.append(Problem(prefix + field.name, message("field.file")))


def _to_be_taken(unit: Unit, file: sa.RowMapping) -> bool:
    return file["state"] == "staging" and (unit.ctx.system or file["created_by"] == unit.ctx.actor.user_id)


def _accepted(name: str, accept: tuple[str, ...]) -> bool:
    return name.lower().endswith(tuple("." + ext.lower().lstrip(".") for ext in accept))


def check_rules(unit: Unit, entity: Entity, record: Live, env: Env, problems: list[Problem], on: str, prefix: str = "") -> None:
    """The entity's rules for this occasion."""
    for rule in entity.rules.values():
        if on in rule.on and (not rule.when or holds(unit, entity, rule.when, record, env)) and fails(
                unit, entity, rule.check, record, env):
            problems.append(Problem(prefix + rule.field if rule.field else "", words(rule.message, **slots_of(unit, rule.message, record))))
