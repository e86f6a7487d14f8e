"""Who is meant by ``role``, ``user``, ``post``, ``field``, ``head_of`` and ``expression`` in a step that tells people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from metaloom.command import rows
from metaloom.command.eyes import reading_as
from metaloom.command.live import Live
from metaloom.command.unit import Unit
from metaloom.model import Entity, Who

USER, ASSIGNMENT, UNIT, POST = "platform.user", "platform.role_assignment", "platform.org_unit", "platform.post"


def receivers(unit: Unit, whos: Iterable[Who], entity: Entity, record: Mapping[str, Any] | None,
              value: Callable[[str], Any]) -> list[int]:
    """Ids of the users that the ways name, each once, in their order. ``value`` gives what an expression says.

    Holders of a role or post are those whose assignment holds today, covers the record's company and unit (no limit: everything)
    and who may read the record at all.
    """
    found: dict[int, None] = {}
    for who in whos:
        for user_id in _found_by(unit, who, entity, record, value):
            found.setdefault(user_id)
    return [*found]


def _found_by(unit: Unit, who: Who, entity: Entity, record: Mapping[str, Any] | None, value: Callable[[str], Any]) -> Iterable[int]:
    if who.kind == "role":
        return _readers(unit, entity, record, _holders(unit, who.value, *_place(unit, entity, record)))
    if who.kind == "user":
        return [row["id"] for row in rows.find(unit, USER, {"username": who.value, "active": True})]
    if who.kind == "post":
        posts = [row["id"] for row in rows.find(unit, POST, {"code": who.value})]
        people = [row["id"] for row in rows.find(unit, USER, {"post": posts, "active": True})] if posts else []
        return _readers(unit, entity, record, people)
    if who.kind == "head_of":
        return _head(unit, _place(unit, entity, record)[1], who.up)
    return _ids(value(who.value))


def _readers(unit: Unit, entity: Entity, record: Mapping[str, Any] | None, people: Iterable[int]) -> list[int]:
    """Of many people those who may read the record."""
    if record is None:
        return [*people]
    return [user_id for user_id in people if (reading := reading_as(unit, user_id)) is not None
            and rows.reader(reading).visible(entity.address, [record["id"]])]


def _ids(found: Any) -> Iterable[int]:
    if found is None:
        return []
    if isinstance(found, (list, tuple, set, frozenset)):
        return [one for item in found for one in _ids(item)]
    return [found["id"] if isinstance(found, Mapping) else int(found)]


def _place(unit: Unit, entity: Entity, record: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """Company and unit of the record: its own, or those of the record it follows."""
    if record is None:
        return unit.ctx.actor.company_id, unit.ctx.actor.org_unit_id
    live: Any = Live(unit, entity, record)
    while live is not None and entity.ownership.scope_from:
        name = entity.ownership.scope_from
        live, entity = live[name], unit.entity(rows.target(entity.fields[name]))
    if live is None:
        return None, None
    return _id_of(live, "company"), _id_of(live, "org_unit")


def _id_of(live: Any, name: str) -> int | None:
    try:
        found = live[name]
    except KeyError:
        return None
    return found["id"] if isinstance(found, Mapping) else found


def _holders(unit: Unit, role: str, company: int | None, org_unit: int | None) -> list[int]:
    today = unit.now.astimezone(unit.ctx.tenant.zone).date()
    above = _above(unit, org_unit)
    return [
        held["user"] for held in rows.find(unit, ASSIGNMENT, {"role": role}, order=("user",))
        if (held["valid_from"] is None or held["valid_from"] <= today) and (held["valid_to"] is None or held["valid_to"] >= today)
        and held["company"] in (None, company) and (held["org_unit"] is None or held["org_unit"] in above)
    ]


def _above(unit: Unit, org_unit: int | None) -> set[int]:
    """The unit and every unit above it."""
    found: set[int] = set()
    while org_unit is not None and org_unit not in found:
        found.add(org_unit)
        row = rows.fetch(unit, UNIT, org_unit)
        org_unit = row.get("parent") if row else None
    return found


def _head(unit: Unit, org_unit: int | None, up: int) -> list[int]:
    """The head of the unit, ``up`` units higher."""
    for _ in range(up):
        row = rows.fetch(unit, UNIT, org_unit) if org_unit is not None else None
        org_unit = row.get("parent") if row else None
    row = rows.fetch(unit, UNIT, org_unit) if org_unit is not None else None
    return [row["head"]] if row and row.get("head") else []
