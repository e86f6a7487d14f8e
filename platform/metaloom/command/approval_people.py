"""Who a chain speaks of, as account ids: holders of roles for a record, posts, heads of units, fields, expressions.

Only accounts that may log in are found. Whether a person may read the record is asked apart (``may_read``), with the person's
own rights: being asked to decide never opens a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom import access
from metaloom.access.org import OrgTree, load_org_tree
from metaloom.access.person import ACCOUNT, person_key
from metaloom.command import rows
from metaloom.command.eyes import reading_as, readings_as
from metaloom.model import Who
from metaloom.storage.tables import ENGINE

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

ADMIN = "platform.admin"
HEADS_MAX = 50


_DAY = sa.bindparam("day", type_=ENGINE.substitute.c.from_date.type)


def _substitutes() -> sa.Select[Any]:
    """Who stands in for whom on a day: those that may log in."""
    table, user = ENGINE.substitute, ENGINE.user
    there = (user.c.id == table.c.substitute_id, user.c.active.is_(sa.true()), user.c.archived_at.is_(None))
    return sa.select(
        table.c.user_id, sa.cast(sa.null(), table.c.id.type).label("company_id"), sa.cast(sa.null(), table.c.id.type).label("org_unit_id"),
        table.c.substitute_id.label("stands_in"), table.c.entity, table.c.chain, table.c.id,
    ).where(table.c.from_date <= _DAY, table.c.to_date >= _DAY, table.c.ended_at.is_(None), *there)


def _holders() -> sa.CompoundSelect[Any]:
    """Whoever holds one of some roles that day and where, by account; after them, in the same answer, who stands in for whom."""
    held, user, away = ENGINE.role_assignment, ENGINE.user, ENGINE.substitute
    live = (sa.not_(held.c.waits_for_second), sa.func.coalesce(held.c.valid_from, _DAY) <= _DAY, sa.func.coalesce(held.c.valid_to, _DAY) >= _DAY)
    there = (user.c.id == held.c.user_id, user.c.active.is_(sa.true()), user.c.archived_at.is_(None))
    nothing = (sa.cast(sa.null(), column.type).label(name) for name, column in (
        ("stands_in", away.c.id), ("entity", away.c.entity), ("chain", away.c.chain), ("id", away.c.id)))
    holders = sa.select(held.c.user_id, held.c.company_id, held.c.org_unit_id, *nothing).where(
        held.c.role.in_(sa.bindparam("roles", expanding=True)), *live, *there)
    return sa.union_all(holders, _substitutes()).order_by("user_id")


def _spelled() -> sa.Select[Any]:
    user = ENGINE.user
    keys: sa.BindParameter[str] = sa.bindparam("keys", expanding=True)
    same = (sa.func.upper(sa.func.trim(column)).in_(keys) for column in (user.c.person_key, user.c.staff_no))
    return sa.select(user.c.id, user.c.person_key, user.c.staff_no).where(sa.or_(*same)).order_by(user.c.id)


# Made once: a statement that is made anew costs more than the database's answer.
_HOLDERS, _SUBSTITUTES, _SPELLED = _holders(), _substitutes(), _spelled()


class People:
    """The people of one record. ``record`` holds its values by field name; ``initiator`` is the account that started the case."""

    def __init__(self, unit: Unit, entity: str, record: Mapping[str, Any], initiator: int) -> None:
        self.unit, self.entity, self.record, self.initiator = unit, entity, record, initiator
        self.user = unit.tables.engine.user
        place = _place(unit, entity, record)
        self.company, self.org_unit = place.get("company"), place.get("org_unit")
        self._holders: dict[tuple[str, ...], list[int]] = {}

    # -- finding -------------------------------------------------------------------------------------------------------

    def found_by(self, who: Who, value: Any = None) -> list[int]:
        """The accounts that one line finds, in order; ``value``: what a field path or an expression gave."""
        if who.kind == "role":
            return self.holders((who.value,))
        if who.kind == "user":
            return self._ids(self.user.c.username == who.value)
        if who.kind == "post":
            return self._at_post(who.value)
        if who.kind == "initiator":
            return self.active([self.initiator])
        if who.kind == "head_of":
            return self.active(self._heads(self._unit_of(who.value))[who.up:who.up + 1])
        if who.kind == "heads":
            return self.active([h for h in self._heads(self._unit_of(who.value)) if h != self.initiator][:who.levels])
        return self.active(ids_in(value))

    def holders(self, roles: Sequence[str]) -> list[int]:
        """Who holds one of the roles today by an assignment that covers the record's company and unit."""
        asked = tuple(roles)
        if asked not in self._holders:
            today = self._today(self.unit.now)
            found = self.unit.conn.execute(_HOLDERS, {"roles": asked, "day": today}).all()
            self.unit.memory["substitutes", today] = [row for row in found if row.stands_in is not None]
            held = [row for row in found if row.stands_in is None and self._covers(row.company_id, row.org_unit_id)]
            self._holders[asked] = list(dict.fromkeys(row.user_id for row in held))
        return self._holders[asked]

    def _covers(self, company: int | None, org_unit: int | None) -> bool:
        """An assignment without limits covers everything; a limit covers a record that belongs to that part of the house."""
        tree = self._tree()
        if org_unit is not None:
            return self.org_unit in tree.subtree(org_unit)
        place = self.company if self.company is not None else tree.company_of(self.org_unit)
        return company is None or company == place

    def _at_post(self, code: str) -> list[int]:
        """Holders of a post, in the record's company where it has one."""
        post = self.unit.tables.of("platform.post")
        same = self.user.c.company_id == self.company if self.company is not None else sa.true()
        return self._ids(self.user.c.post_id.in_(sa.select(post.c.id).where(post.c.code == code)), same)

    def _unit_of(self, name: str) -> int | None:
        return self.org_unit if name == "record_unit" else self._column(self.initiator, "org_unit_id")

    def _heads(self, unit_id: int | None) -> list[int]:
        """Heads of a unit and of those above it, nearest first; a unit without a head is passed over."""
        units, heads, table = self._tree().units, [], self.unit.tables.of("platform.org_unit")
        known = {row.id: row.head_id for row in self.unit.conn.execute(sa.select(table.c.id, table.c.head_id))} if unit_id else {}
        seen: set[int] = set()
        while unit_id is not None and unit_id not in seen and len(seen) < HEADS_MAX:
            seen.add(unit_id)
            head = known.get(unit_id)
            if head is not None and head not in heads:
                heads.append(head)
            unit_id = units[unit_id].parent_id if unit_id in units else None
        return heads

    def superior(self, user_id: int) -> int | None:
        """The nearest head above the account who is somebody else."""
        heads = self.active([h for h in self._heads(self._column(user_id, "org_unit_id")) if h != user_id])
        return heads[0] if heads else None

    def admins(self) -> tuple[int, ...]:
        """Administrators of the record's company."""
        return tuple(self.holders((ADMIN,)))

    def substitute(self, user_id: int, at: datetime, chain: str) -> int | None:
        """Who stands in for the account on that day, for this chain before for all of them; one hop."""
        mine = [row for row in self._away(self._today(at)) if row.user_id == user_id
                and row.entity in (None, self.entity) and row.chain in (None, chain)]
        return min(mine, key=lambda row: (row.chain is None, row.entity is None, -row.id)).stands_in if mine else None

    def _away(self, day: date) -> Sequence[Any]:
        """Everybody who is away on that day, in one statement; few people are."""
        key = ("substitutes", day)
        if key not in self.unit.memory:
            self.unit.memory[key] = self.unit.conn.execute(_SUBSTITUTES, {"day": day}).all()
        found: Sequence[Any] = self.unit.memory[key]
        return found

    # -- about one person ------------------------------------------------------------------------------------------------

    def active(self, ids: Iterable[int]) -> list[int]:
        """Those who may log in, in the order given, each once."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return []
        there = set(self._ids(self.user.c.id.in_(wanted)))
        return [user_id for user_id in wanted if user_id in there]

    def person(self, user_id: int) -> int:
        """The first account of the human being behind an account."""
        keys, first = keys_of(self.unit), self.unit.memory.setdefault("first accounts", {})
        if user_id not in keys:
            together = {user_id, self.initiator, self.unit.ctx.actor.user_id or user_id} - keys.keys()     # they will be asked for, too
            keys.update(access.persons_of(self.unit.conn, self.unit.tables, together))
        if keys[user_id].startswith(ACCOUNT):
            return user_id
        if keys[user_id] not in first:
            first.update(self._first_accounts({key for key in keys.values() if not key.startswith(ACCOUNT)} - first.keys()))
        return int(first.get(keys[user_id], user_id))

    def _first_accounts(self, keys: Collection[str]) -> dict[str, int]:
        """The first account of everybody who has one of these keys, in one statement."""
        found: dict[str, int] = {}
        for row in self.unit.conn.execute(_SPELLED, {"keys": sorted(keys)}):
            found.setdefault(person_key(*row), row.id)
        return found

    def meet(self, people: Iterable[int]) -> None:
        """These people will be asked for, each with rights of their own: read what is known of all of them at once."""
        wanted = [user_id for user_id in people if user_id != self.unit.ctx.actor.user_id or self.unit.ctx.system]
        for user_id, reading in readings_as(self.unit, wanted).items():
            if reading is not None:
                keys_of(self.unit)[user_id] = reading.ctx.actor.person

    def may_read(self, user_id: int, record_id: int) -> bool:
        """Whether the account reads the record by rights of its own."""
        reading = self.unit if user_id == self.unit.ctx.actor.user_id and not self.unit.ctx.system else reading_as(self.unit, user_id)
        return reading is not None and "read" in rows.standing_or_none(reading, self.entity, record_id)

    def _column(self, user_id: int, name: str) -> Any:
        return self.unit.conn.scalar(sa.select(self.user.c[name]).where(self.user.c.id == user_id))

    def _ids(self, *conditions: sa.ColumnElement[bool]) -> list[int]:
        user = self.user
        return list(self.unit.conn.scalars(
            sa.select(user.c.id).where(user.c.active.is_(sa.true()), user.c.archived_at.is_(None), *conditions).order_by(user.c.id)))

    def _today(self, at: datetime) -> date:
        return at.astimezone(self.unit.ctx.tenant.zone).date()

    def _tree(self) -> OrgTree:
        if self.unit.ctx.plan.org.units:
            return self.unit.ctx.plan.org           # as of this request
        if "org_tree" not in self.unit.memory:
            self.unit.memory["org_tree"] = load_org_tree(self.unit.conn, self.unit.revision)
        found: OrgTree = self.unit.memory["org_tree"]
        return found


def keys_of(unit: Unit) -> dict[int, str]:
    """Whose account each account is, as far as this unit knows."""
    if "persons" not in unit.memory:
        actor = unit.ctx.actor
        unit.memory["persons"] = {actor.user_id: actor.person} if actor.user_id is not None and actor.person else {}
    found: dict[int, str] = unit.memory["persons"]
    return found


def ids_in(value: Any) -> list[int]:
    """Account ids out of what an expression gave: a user, several, or nothing."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        value = value["id"]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [one for part in value for one in ids_in(part)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def _place(unit: Unit, entity: str, record: Mapping[str, Any]) -> dict[str, int | None]:
    """Company and unit of a record: its own, else those of the record it follows."""
    found = unit.entity(entity)
    own = {name: record.get(name) for name in ("company", "org_unit")}
    above = found.ownership.scope_from or found.parent_field
    if any(value is not None for value in own.values()) or not above or above not in found.fields or record.get(above) is None:
        return own
    target = rows.target(found.fields[above])
    row = rows.fetch(unit, target, record[above])
    return _place(unit, target, row) if row is not None else own
