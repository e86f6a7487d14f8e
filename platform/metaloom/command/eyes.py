"""A record's words with the eyes of whoever will read them: a person of the house, or somebody outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from metaloom.access import AccessPlan, plans_for
from metaloom.base.errors import NotFound
from metaloom.command import rows
from metaloom.command.live import Live
from metaloom.command.unit import Unit
from metaloom.message.texts import UNSEEN
from metaloom.model import Entity, FieldLevel
from metaloom.model.entity import LIST_TYPES
from metaloom.record import Row
from metaloom.record.encode import display, display_cell
from metaloom.record.mask import mask
from metaloom.record.paths import PATHS, Path, UnknownPath


def reading_as(unit: Unit, user_id: int) -> Unit | None:
    """The same transaction with the eyes of another person; None for an account that is unknown or switched off."""
    return readings_as(unit, (user_id,))[user_id]


def readings_as(unit: Unit, people: Iterable[int]) -> dict[int, Unit | None]:
    """The same for several people; those not met before in one statement."""
    wanted = dict.fromkeys(people)
    new = [user_id for user_id in wanted if ("reading_as", user_id) not in unit.memory]
    plans = plans_for(unit.conn, unit.revision, new) if new else {}
    for user_id in new:
        unit.memory["reading_as", user_id] = _with_eyes_of(unit, plans[user_id]) if user_id in plans else None
    return {user_id: unit.memory["reading_as", user_id] for user_id in wanted}


def _with_eyes_of(unit: Unit, plan: AccessPlan) -> Unit:
    ctx = replace(unit.ctx, actor=plan.actor, plan=plan, locale=plan.actor.locale, system=False)
    return Unit(ctx, unit.conn, unit.command, unit.now, days=unit.days, memory={"beside": unit})


def words_for(reading: Unit, entity: str, record_id: int | None, names: Iterable[str]) -> dict[str, str]:
    """The words of a record's paths as the person of ``reading`` may read them; what may not be read is absent.

    Fields that are masked or encrypted are masked for everybody: a message is kept, and travels. ``title`` is the record's
    title where the entity has no field of that name.
    """
    if record_id is None or entity not in reading.catalog.entities:
        return {}
    paths = {name: path for name in sorted(names) if (path := _path(reading, entity, name))}
    try:
        row = _at_hand(reading, entity, record_id, paths.values()) or rows.reader(reading).get(
            entity, record_id, paths=[*paths.values()], children=False)
    except NotFound:
        return {}
    return {name: _word(reading, row, path) for name, path in paths.items() if path in row.values}


def _at_hand(reading: Unit, entity: str, record_id: int, paths: Iterable[str]) -> Row | None:
    """The row as the reader would give it, out of what this transaction has read already; None where the database must be asked:
    links, lists, secrets, tables of the engine."""
    stored, book = rows.known(reading, entity, record_id), PATHS.of(reading.revision)
    wanted = [book.path(entity, path) for path in paths]
    plain = all(not (p.hops or p.is_link or p.field.encrypted or p.field.type in LIST_TYPES) and p.text in (stored or {}) for p in wanted)
    if stored is None or not plain or reading.entity(entity).storage != "table":
        return None
    actions, levels = rows.standing(reading, entity, record_id)
    seen = {p.text: levels.get(p.field.name, FieldLevel.HIDDEN) for p in wanted}
    values = {p.text: mask(p.field, stored[p.text]) if seen[p.text] is FieldLevel.MASKED else stored[p.text]
              for p in wanted if seen[p.text] > FieldLevel.HIDDEN}
    return Row(entity, record_id, stored["row_version"], "", values, seen, {}, actions)


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
