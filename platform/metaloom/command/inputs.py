"""What actions and plugin commands share: four eyes, conditions, and reading what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from metaloom.base.errors import Invalid, NotAllowed, NotPossible, Problem
from metaloom.base.messages import message, words
from metaloom.base.text import Text
from metaloom.command import approval_rows, check, rows
from metaloom.command.evaluate import filter_holds, fitted, holds
from metaloom.command.live import Live, Loose, Names, along
from metaloom.command.unit import Unit
from metaloom.expression import Scope, compile, to_python
from metaloom.model import Entity, Field
from metaloom.model.action import APPROVAL
from metaloom.model.entity import FILE_TYPES, LINK_TYPES
from metaloom.record.paths import field_of, target_of

TOOK_PART = Text("审批参与人", "Part in the approval")


def refuse_same_person(unit: Unit, entity: Entity, record: Mapping[str, Any] | None, makers: str, label: Text) -> None:
    """Four eyes, by person: none of the named user fields may be the actor, nor another account of the same person."""
    actor = unit.ctx.actor.user_id
    if not makers or record is None or actor is None:
        return
    live = Live(unit, entity, record)
    found: Iterable[int | None]
    for path in (part.strip() for part in makers.split(",")):
        if path == APPROVAL and path not in entity.fields:
            found, role = approval_rows.took_part(unit, entity.address, record["id"]), TOOK_PART
        else:
            found, role = {along(live, path)}, _label(unit, entity, path)
        if rows.same_person(unit, actor, *(maker for maker in found if maker is not None)):
            raise NotAllowed(message("command.same_person", action=label, maker=role))


def _label(unit: Unit, entity: Entity, path: str) -> Text:
    """The label of the last field of a path."""
    *links, last = path.split(".")
    for name in links:
        entity = unit.entity(target_of(field_of(entity, name)))
    return field_of(entity, last).label


def refuse_unless(unit: Unit, entity: Entity, record: Mapping[str, Any] | None, when: str, said: Text | None, label: Text) -> None:
    """The condition under which the action is possible at all."""
    if when and record is not None and not holds(unit, entity, when, Live(unit, entity, record), _env(unit, record)):
        raise NotPossible(words(said) if said else message("command.condition", action=label))


def _env(unit: Unit, record: Mapping[str, Any] | None) -> Any:
    company = record.get("company") if record is not None else None
    return unit.env(company if isinstance(company, int) else None)


def read_fields(unit: Unit, fields: Mapping[str, Field], given: Mapping[str, Any], *, entity: Entity | None,
                record: Mapping[str, Any] | None, scope: Scope, trusted: bool = False, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Declared fields read from what was given: types, limits, defaults, required, links. Invalid lists every problem.

    ``more``: values behind further names of ``scope``.
    """
    problems = [Problem(name, message("field.unknown")) for name in given if name not in fields]
    values: dict[str, Any] = {
        name: check.read_value(unit, field, given.get(name), problems, name, offered_only=not trusted) for name, field in fields.items()}
    names, env = names_of(unit, fields, values, entity, record)
    names.own.update(more or {})

    def found(text: str) -> Any:
        return to_python(compile(text, scope, None, frozenset({"python"})))(names, env)

    for name, field in fields.items():
        if field.default and values[name] is None:
            values[name] = fitted(field, found(field.default))
            names.own[name] = Loose(unit, fields, values)[name]
    for name in fields:
        _check_field(unit, fields, name, values, found, problems, trusted, names, env, entity)
    if problems:
        raise Invalid(problems)
    return values


def names_of(unit: Unit, fields: Mapping[str, Field], values: Mapping[str, Any], entity: Entity | None,
             record: Mapping[str, Any] | None) -> tuple[Names, Any]:
    """What expressions of an input see: the inputs bare and behind ``input``, the record bare and behind ``record``."""
    live = Live(unit, entity, record) if entity is not None and record is not None else None
    names = Names({**_each(unit, fields, values), "input": Loose(unit, fields, values), **({"record": live} if live else {})}, live)
    return names, _env(unit, record)


def _each(unit: Unit, fields: Mapping[str, Field], values: Mapping[str, Any]) -> dict[str, Any]:
    loose = Loose(unit, fields, values)
    return {name: loose[name] for name in fields}


def _check_field(unit: Unit, fields: Mapping[str, Field], name: str, values: Mapping[str, Any], found: Any, problems: list[Problem],
                 trusted: bool, names: Mapping[str, Any], env: Any, entity: Entity | None) -> None:
    field, value = fields[name], values[name]
    if any(problem.field == name for problem in problems):
        return
    if field.visible_when and found(field.visible_when) is not True:
        if value not in check.EMPTY and not field.default:
            problems.append(Problem(name, message("field.invisible")))
        return
    if value in check.EMPTY:
        if field.required or (field.required_when and found(field.required_when) is True):
            problems.append(Problem(name, message("field.required")))
        return
    if field.choices_in and not trusted:
        problems.extend(check.not_offered(unit, field, value, found(field.choices_in), name))
    if field.type in LINK_TYPES:
        target = target_of(field)
        row = rows.fetch(unit, target, value) if target in unit.catalog.entities else {}
        if row is None or not (trusted or unit.ctx.system or check.visible(unit, target, value)):
            problems.append(Problem(name, message("field.link")))
        elif field.filter and entity is not None and not trusted and not filter_holds(
                unit, entity, field, Live(unit, unit.entity(target), row), names.get("record", {}), env):
            problems.append(Problem(name, message("field.link_filter")))
    elif field.type in FILE_TYPES:
        check.check_files(unit, field, values, problems, "", None)
