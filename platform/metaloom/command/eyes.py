"""A record's words with the eyes of whoever will read them: a person of the house, or somebody outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from metaloom.access import plan_for
from metaloom.base.errors import LoginRequired, NotFound
from metaloom.command import rows
from metaloom.command.live import Live
from metaloom.command.unit import Unit
from metaloom.message.texts import UNSEEN
from metaloom.model import Entity, FieldLevel
from metaloom.record import Row
from metaloom.record.encode import display, display_cell
from metaloom.record.mask import mask
from metaloom.record.paths import PATHS, Path, UnknownPath


def reading_as(unit: Unit, user_id: int) -> Unit | None:
    """The same transaction with the eyes of another person; None for an account that is unknown or switched off."""
    key = ("reading_as", user_id)
    if key not in unit.memory:
        try:
            plan = plan_for(unit.conn, unit.revision, user_id)
        except LoginRequired:
            unit.memory[key] = None
        else:
            ctx = replace(unit.ctx, actor=plan.actor, plan=plan, locale=plan.actor.locale, system=False)
            unit.memory[key] = Unit(ctx, unit.conn, unit.command, unit.now, days=unit.days)
    found: Unit | None = unit.memory[key]
    return found


def words_for(reading: Unit, entity: str, record_id: int | None, names: Iterable[str]) -> dict[str, str]:
    """The words of a record's paths as the person of ``reading`` may read them; what may not be read is absent.

    Fields that are masked or encrypted are masked for everybody: a message is kept, and travels. ``title`` is the record's
    title where the entity has no field of that name.
    """
    if record_id is None or entity not in reading.catalog.entities:
        return {}
    paths = {name: path for name in sorted(names) if (path := _path(reading, entity, name))}
    try:
        row = rows.reader(reading).get(entity, record_id, paths=[*paths.values()], children=False)
    except NotFound:
        return {}
    return {name: _word(reading, row, path) for name, path in paths.items() if path in row.values}


def _word(reading: Unit, row: Row, name: str) -> str:
    path = PATHS.of(reading.revision).path(row.entity, name)
    said = (path.title or path).field
    if (said.mask or said.encrypted) and row.levels.get(name, FieldLevel.READ) is not FieldLevel.MASKED:
        return mask(said, row.titles.get(name) if path.is_link else row.values[name]) or UNSEEN
    return display_cell(reading.catalog, path, row, row.values[name], reading.ctx.locale, reading.ctx.tenant.zone)


def _path(reading: Unit, entity: str, name: str) -> str:
    """The path behind a slot; empty for one that the entity does not have."""
    book = PATHS.of(reading.revision)
    for path in (name, reading.entity(entity).title if name == "title" else ""):
        try:
            return book.path(entity, path).text
        except UnknownPath:
            continue
    return ""


def words_outside(unit: Unit, entity: Entity, record: Mapping[str, Any], allowed: Iterable[str], locale: str) -> dict[str, str]:
    """The words of the ``allowed`` paths for somebody without an account; masked and encrypted fields are masked."""
    live = Live(unit, entity, record)
    return {name: _word_outside(unit, PATHS.of(unit.revision).path(entity.address, name), live, locale) for name in allowed}


def _word_outside(unit: Unit, path: Path, live: Mapping[str, Any], locale: str) -> str:
    found: Any = live
    for name in (path.title or path).text.split("."):
        found = found[name] if found is not None else None
    field, entity = (path.title or path).field, (path.title or path).entity
    if isinstance(found, Mapping):
        found = found["id"]
    if field.mask or field.encrypted:
        return mask(field, found) or UNSEEN
    return display(unit.catalog, field, found, locale, entity=entity, zone=unit.ctx.tenant.zone)
