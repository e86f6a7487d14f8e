"""Telling people inside the running transaction: each receiver gets the words that this receiver may read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from metaloom.access import plan_for
from metaloom.base.errors import LoginRequired, NotFound
from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.unit import Unit
from metaloom.message import Box, fill, one_line, plain, slots_in
from metaloom.message.box import IN_APP
from metaloom.message.texts import UNSEEN
from metaloom.model import FieldLevel
from metaloom.record import Row
from metaloom.record.encode import display_cell
from metaloom.record.mask import mask
from metaloom.record.paths import PATHS, UnknownPath

Said = Message | Text | str


def notify(unit: Unit, to: Iterable[int], *, kind: str, subject: Said, body: Said | None = None, entity: str = "",
           record_id: int | None = None, link: str = "", urgent: bool = False) -> int:
    """Stores a message for each person in ``to`` (ids of users; doubles and accounts that are switched off are left out) and
    says how many people were told. It is seen when the transaction commits, and never otherwise.

    ``subject`` and ``body``: a :class:`Text` with slots such as ``{customer.name}`` is filled from the record for each receiver
    with what this receiver may read, ``-`` for the rest; a :class:`Message` or plain words are said as they stand, so they hold
    only what every receiver may know. ``kind`` is what preferences speak of (``approval.task``, ``alert``, a template's address).
    ``link`` is a path inside the tenant (``/task/42``); without one the message leads to the record. ``urgent`` messages pass
    quiet hours.
    """
    told = [values for user_id in dict.fromkeys(to)
            if (values := _message(unit, user_id, kind, subject, body, entity, record_id, link, urgent)) is not None]
    Box(unit.conn, unit.tables).add(told)
    return len(told)


def _message(unit: Unit, user_id: int, kind: str, subject: Said, body: Said | None, entity: str, record_id: int | None, link: str,
             urgent: bool) -> dict[str, Any] | None:
    reading = reading_as(unit, user_id)
    if reading is None:
        return None
    words = words_for(reading, entity, record_id, slots_in(*(part for part in (subject, body) if isinstance(part, Text))))
    locale = reading.ctx.locale
    return {
        "receiver_id": user_id, "channel": IN_APP, "kind": kind, "subject": one_line(_said(subject, words, locale)),
        "body": plain(_said(body, words, locale)) if body is not None else None, "status": "delivered",
        "entity": entity or None, "record_id": record_id, "link": link or None, "urgent": urgent,
        "created_at": unit.now, "updated_at": unit.now, "created_by": unit.ctx.actor.user_id, "delivered_at": unit.now,
        "request_id": unit.ctx.request_id or None,
    }


def _said(part: Said, words: dict[str, str], locale: str) -> str:
    if isinstance(part, Text):
        return fill(part, words, locale)
    return part.say(locale) if isinstance(part, Message) else part


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
            unit.memory[key] = Unit(ctx, unit.conn, unit.command, unit.now)
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
    if (path.field.mask or path.field.encrypted) and row.levels.get(name, FieldLevel.READ) is not FieldLevel.MASKED:
        return mask(path.field, row.values[name]) or UNSEEN
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
