"""Who is meant by ``role``, ``user``, ``post``, ``field``, ``head_of`` and ``expression`` in a step that tells people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from metaloom.command import rows
from metaloom.command.approval_people import People
from metaloom.command.eyes import reading_as
from metaloom.command.unit import Unit
from metaloom.model import Entity, Who

MANY = frozenset({"role", "post"})


def receivers(unit: Unit, whos: Iterable[Who], entity: Entity, record: Mapping[str, Any] | None,
              value: Callable[[str], Any]) -> list[int]:
    """Ids of the users that the ways name, each once, in their order. ``value`` gives what an expression says.

    Of the holders of a role or post only those are meant who may read the record at all. Without a record the place is the
    actor's own.
    """
    actor = unit.ctx.actor
    place = record if record is not None else {"company": actor.company_id, "org_unit": actor.org_unit_id}
    people = People(unit, entity.address, place, actor.user_id or 0)
    found: dict[int, None] = {}
    for who in whos:
        named = people.found_by(who, value(who.value) if who.kind in ("field", "expression") else None)
        for user_id in _readers(unit, entity, record, named) if who.kind in MANY else named:
            found.setdefault(user_id)
    return [*found]


def _readers(unit: Unit, entity: Entity, record: Mapping[str, Any] | None, people: Iterable[int]) -> list[int]:
    if record is None:
        return [*people]
    return [user_id for user_id in people if (reading := reading_as(unit, user_id)) is not None
            and rows.reader(reading).visible(entity.address, [record["id"]])]
