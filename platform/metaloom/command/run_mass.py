"""A plugin's mass function on a chunk of records: read as columns, asked, believed nothing before it is checked, written as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from metaloom import ledger
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, NotPossible
from metaloom.base.messages import Message, message, register, words
from metaloom.command import evaluate, rows
from metaloom.command.live import Live
from metaloom.command.providers import environment_for
from metaloom.command.unit import Unit
from metaloom.compile import entity_scope
from metaloom.job import parts
from metaloom.model import Entity, Field
from metaloom.plugin import PluginFault
from metaloom.plugin.declaration import MassDeclaration
from metaloom.plugin.doors import DOORS
from metaloom.plugin.mass import Lines, Mass, Outcome, Posting, Reckoned, Settled, Terms, Written
from metaloom.plugin.registry import Registry
from metaloom.record import mass
from metaloom.storage import violation

register({
    "mass.unknown": ("没有名为“{name}”的批量处理。", "There is no mass function called {name}."),
    "mass.held": ("该记录在批量处理“{label}”中被隔离：{why}", "This record is held back by {label}: {why}"),
})
CENT_PLACES = 2


@dataclass(frozen=True)
class Done:
    """What was done to a chunk: the records, those held back and why, what the function counted, a digest of what was written."""

    ids: Sequence[int]
    held: Mapping[int, Message]
    figures: Mapping[str, int]
    written: Sequence[Any]


Kept = dict[Hashable, tuple[mass.Settle, set[str]]]
"""Statements of earlier ranges of the same run, and the fields they change."""


class PluginChunk:
    """Implements :class:`metaloom.plugin.mass.Chunk`."""

    def __init__(self, unit: Unit, declared: MassDeclaration, ids: list[int], clauses: Sequence[Any], day: date, company_id: int | None,
                 cause: tuple[str, int], kept: Kept | None = None) -> None:
        self._unit, self._declared, self._clauses, self._kept = unit, declared, clauses, {} if kept is None else kept
        self._entity = unit.entity(declared.on)
        self.ids, self.day, self.company_id, self.cause = ids, day, company_id, cause
        self.settled, self.written = set[int](), list[Mapping[str, Any]]()

    @cached_property
    def columns(self) -> Mapping[str, list[Any]]:
        return self.read(self.ids)

    def read(self, ids: Sequence[int], fields: Sequence[str] = ()) -> Mapping[str, list[Any]]:
        unit = self._unit
        self._declared_reads(fields)
        if not ids:
            return {name: [] for name in ("id", *(fields or self._declared.read))}
        clauses = self._all() if len(ids) == len(self.ids) else [mass.among(unit.revision, mass.column(unit.revision, self._entity, "id")[0], ids)]
        return mass.kept(mass.read(unit.conn, unit.revision, self._entity, ("id", *(fields or self._declared.read)), clauses), "id", ids)

    def least(self, field: str) -> Any:
        self._declared_reads([field])
        return mass.least(self._unit.conn, self._unit.revision, self._entity, field, self._all()) if self.ids else None

    def _declared_reads(self, fields: Sequence[str]) -> None:
        if undeclared := sorted(set(fields) - set(self._declared.read)):
            raise PluginFault(self._declared.plugin, f"{self._declared.address} reads {undeclared} undeclared")

    def _all(self) -> list[Any]:
        return [mass.column(self._unit.revision, self._entity, "id")[0].between(self.ids[0], self.ids[-1]), *self._clauses]

    def settle(self, entity: str, link: str, each: Sequence[int], say: Callable[[Terms], Reckoned], write: Callable[[Lines], Written],
               same: Hashable = None) -> Settled:
        unit, key = self._unit, (self._unit.revision.number, self._declared.address, entity, link, tuple(each), same)
        settle, changed = self._kept.get(key) or self._settling(entity, link, each, say, write)
        if same is not None:
            self._kept[key] = settle, changed
        found, digest = settle(unit.conn, mass.of_range(self.ids, unit.now))
        done = set(found.ids)
        if not done <= set(self.ids):
            raise Busy      # one that came after the lock was taken: its row may be changing, so the whole chunk is tried again
        _compute(unit, self._entity, {"id": list(found.ids), **{name: [] for name in changed}}, self.company_id)
        rows.forget(unit, self._declared.on, done)
        self.settled |= done
        self.written.append({"settled": [digest]})
        return found

    def _settling(self, entity: str, link: str, each: Sequence[int], say: Callable[[Terms], Reckoned],
                  write: Callable[[Lines], Written]) -> tuple[mass.Settle, set[str]]:
        unit, declared, changed = self._unit, self._declared, set[str]()

        def checked(lines: Lines) -> Written:
            asked = write(lines)
            _allowed(unit, declared, "change", declared.on, set(asked.change), declared.change)
            for address, fields in asked.add.items():
                _allowed(unit, declared, "add", address, set(fields), declared.add)
            changed.update(asked.change)
            return asked

        reckoner = mass.Reckoner(unit.revision, self._entity, unit.entity(entity), link, unit.entity, mass.BOUNDS, each)
        how = mass.Settling(unit.revision, self._entity, unit.entity, unit.ctx.actor.user_id)
        return mass.settling(how, reckoner, say(reckoner), checked, self._clauses), changed

    @property
    def settings(self) -> Mapping[str, Any]:
        given = environment_for(self._unit.ctx).settings.get(self._declared.plugin)
        return self._unit.ctx.plugins.settings(self._declared.plugin, given)

    def rows(self, entity: str, link: str, fields: Sequence[str], ids: Sequence[int] | None = None,
             where: Mapping[str, object] | None = None, between: Mapping[str, tuple[int, int]] | None = None) -> Mapping[str, list[Any]]:
        unit, found = self._unit, self._unit.entity(entity)
        place = mass.column(unit.revision, found, link)[0]
        near = [mass.among(unit.revision, place, ids)] if ids is not None else [place >= self.ids[0], place <= self.ids[-1]]
        clauses = [*near, *mass.equal(unit.revision, found, where or {}), *mass.between(unit.revision, found, between or {})]
        read = mass.read(unit.conn, unit.revision, found, tuple(dict.fromkeys(("id", link, *fields))), clauses, order=(link, "id"))
        return read if ids is not None else mass.kept(read, link, self.ids)

    def linked(self, entity: str, fields: Sequence[str], ids: Sequence[int]) -> Mapping[int, tuple[Any, ...]]:
        unit, found = self._unit, self._unit.entity(entity)
        clause = mass.among(unit.revision, mass.column(unit.revision, found, "id")[0], sorted(set(ids)))
        return mass.only(mass.read(unit.conn, unit.revision, found, tuple(dict.fromkeys(("id", *fields))), [clause]), fields)

    def provider(self, door: str, name: str = "") -> Any:
        if door in DOORS and DOORS[door].perform is not None:
            raise PluginFault(self._declared.plugin, f"{door} reaches a network; a mass function may not")
        return self._unit.ctx.plugins.provider(door, name, environment_for(self._unit.ctx))


def mass_of(plugins: Registry, name: str) -> tuple[MassDeclaration, Mass]:
    """The mass function of that name; NotPossible when no plugin has it."""
    found = plugins.mass(name)
    if found is None:
        raise NotPossible(message("mass.unknown", name=name))
    return found


def run_mass(unit: Unit, name: str, clauses: Sequence[Any], *, day: date, company_id: int | None, cause: tuple[str, int],
             kept: Kept | None = None) -> Done:
    """Runs the function on the records for which the clauses hold and writes what it says. The records are locked until the end: a command
    that is at one of them is waited for, and whoever comes later waits for this. ``kept`` is for ranges of the same condition alone."""
    declared, function = mass_of(unit.ctx.plugins, name)
    entity = unit.entity(declared.on)
    ids = mass.read(unit.conn, unit.revision, entity, ("id",), clauses, lock=True)["id"]
    if not ids:
        return Done((), {}, {}, ())
    crash_point("mass.after_lock")
    try:
        chunk = PluginChunk(unit, declared, ids, clauses, day, company_id, cause, kept)
        outcome = function(chunk)
        _check(unit, declared, chunk, outcome)
    except mass.NoColumn as error:
        raise PluginFault(declared.plugin, f"{declared.address}: {error}") from error
    written = [*chunk.written, *_write(unit, declared, outcome, company_id)]
    crash_point("mass.after_write")
    _post_all(unit, declared, outcome.post, day, company_id, cause)
    crash_point("mass.after_post")
    return Done(ids, {one: words(said) for one, said in outcome.held.items()}, outcome.figures, written)


def bring_up(unit: Unit, name: str, record_id: int, *, day: date, company_id: int | None) -> None:
    """The function on one record inside a command; NotPossible with the reason when the record cannot be done. Held back before, it is no more."""
    declared, _ = mass_of(unit.ctx.plugins, name)
    entity = unit.entity(declared.on)
    if "company" in entity.ownership.owned_by and (stored := rows.fetch(unit, declared.on, record_id)) is not None:
        company_id = stored["company"]    # a command on another record may belong to none
    done = run_mass(unit, name, mass.equal(unit.revision, entity, {"id": record_id}), day=day, company_id=company_id, cause=(declared.on, record_id))
    rows.forget(unit, declared.on, (record_id,))
    if record_id in done.held:
        raise NotPossible(message("mass.held", label=declared.label, why=done.held[record_id]))
    parts.let_go(unit.conn, name, declared.on, record_id)


def _check(unit: Unit, declared: MassDeclaration, chunk: PluginChunk, outcome: Any) -> None:
    """Entities and fields as declared, columns of one length, held records of the chunk that were not settled."""
    if not isinstance(outcome, Outcome):
        raise PluginFault(declared.plugin, f"{declared.address} returned no Outcome")
    for what, said, allowed in (("change", _changes(outcome), declared.change), ("add", outcome.add.items(), declared.add)):
        for address, columns in said:
            if what == "change" and "id" not in columns:
                raise PluginFault(declared.plugin, f"{declared.address} may not change {sorted(columns)} of {address} without ids")
            _allowed(unit, declared, what, address, set(columns) - ({"id"} if what == "change" else set()), allowed)
            if len({len(one) for one in columns.values() if isinstance(one, list)}) > 1:
                raise PluginFault(declared.plugin, f"{declared.address}: the columns of {address} have different lengths")
    if not set(outcome.held) <= set(chunk.ids) - chunk.settled:
        raise PluginFault(declared.plugin, f"{declared.address} holds back what is not in its chunk, or is settled")


def _allowed(unit: Unit, declared: MassDeclaration, what: str, address: str, fields: set[str], allowed: Mapping[str, Sequence[str]]) -> None:
    if not fields <= set(allowed.get(address, ())):
        raise PluginFault(declared.plugin, f"{declared.address} may not {what} {sorted(fields)} of {address}")
    if what == "change":
        _refuse_what_is_not_its_own(unit, declared, unit.entity(address), fields)


def _changes(outcome: Outcome) -> list[tuple[str, Mapping[str, list[Any]]]]:
    """Entity and columns, one pair for each statement."""
    return [(address, columns) for address, said in outcome.change.items() for columns in ([said] if isinstance(said, Mapping) else said)]


def _refuse_what_is_not_its_own(unit: Unit, declared: MassDeclaration, entity: Entity, fields: set[str]) -> None:
    """States are written by transitions, computed fields by their formula."""
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    for name in fields:
        if (lifecycle is not None and name == lifecycle.field) or entity.fields[name].computed:
            raise PluginFault(declared.plugin, f"{declared.address} may not set {entity.address}.{name}")


def _write(unit: Unit, declared: MassDeclaration, outcome: Outcome, company_id: int | None) -> list[Any]:
    user = unit.ctx.actor.user_id
    for address, columns in _changes(outcome):
        there = mass.update(unit.conn, unit.revision, unit.entity(address), columns, now=unit.now, user_id=user)
        if there != len(columns["id"]):
            raise PluginFault(declared.plugin, f"{declared.address} changes {len(columns['id'])} rows of {address}; {there} are there")
        _compute(unit, unit.entity(address), columns, company_id)
        rows.forget(unit, address, set(columns["id"]))
    for address, columns in outcome.add.items():
        mass.insert(unit.conn, unit.revision, unit.entity(address), columns, now=unit.now, user_id=user)
    return [*(columns for _, columns in _changes(outcome)), *outcome.add.values()]


def _compute(unit: Unit, entity: Entity, columns: Mapping[str, list[Any]], company_id: int | None) -> None:
    """Computed fields that read what was changed follow it."""
    follows = _following(unit, entity, set(columns) - {"id"})
    if not follows or not columns["id"]:
        return
    env = unit.env(company_id)
    found: dict[str, list[Any]] = {"id": [], **{field.name: [] for field in follows}}
    for row in rows.find(unit, entity.address, {"id": columns["id"]}):
        found["id"].append(row["id"])
        evaluate.compute(unit, entity, follows, row, Live(unit, entity, row), env)
        for field in follows:
            found[field.name].append(mass.bare(row[field.name]))
    mass.update(unit.conn, unit.revision, entity, found, now=unit.now, user_id=unit.ctx.actor.user_id)


def _following(unit: Unit, entity: Entity, changed: set[str]) -> list[Field]:
    """Computed fields that read one of these, or one that does."""
    scope, found = entity_scope(unit.catalog, entity.address), list[Field]()
    computed = {field.name: {path[0] for path in evaluate.checked(scope, field.computed).paths} for field in evaluate.computed_of(entity)}
    while more := [name for name, reads in computed.items() if name not in {one.name for one in found} and reads & changed]:
        changed |= set(more)
        found += [entity.fields[name] for name in more]
    return found


def _post_all(unit: Unit, declared: MassDeclaration, postings: Sequence[Posting], day: date, company_id: int | None, cause: tuple[str, int]) -> None:
    """Books the entries, none into a month that is closed: what belongs there is booked on the first day after it."""
    if not postings:
        return
    if company_id is None:
        raise PluginFault(declared.plugin, f"{declared.address} posts without a company: its job runs per company")
    opened = ledger.open_from(unit.conn, unit.tables, company_id)
    for posting in postings:
        on = posting.on or day
        if on > day:
            raise PluginFault(declared.plugin, f"{declared.address} books on {on}, after {day}")
        _post(unit, declared, posting, max(on, opened) if opened is not None else on, on, company_id, cause)


def _post(unit: Unit, declared: MassDeclaration, posting: Posting, booking: date, value: date, company_id: int, cause: tuple[str, int]) -> None:
    amounts = {name: Decimal(cents).scaleb(-CENT_PLACES) for name, cents in posting.amounts.items()}
    entry = ledger.Entry(
        event=posting.event, amounts=amounts, facts=dict(posting.facts), company_id=company_id, booking_date=booking, value_date=value,
        cause=ledger.Cause(cause[0], cause[1], declared.address, unit.revision.number, unit.revision.digest, unit.ctx.actor.user_id))
    try:
        ledger.post(unit.conn, unit.revision, entry, now=unit.now)
    except ValueError as error:
        raise PluginFault(declared.plugin, str(error)) from error
    except sa.exc.DBAPIError as error:
        found = violation(error)
        if found is not None and found.kind == "closed":    # the month was closed after its first open day was read: the next try reads it anew
            raise Busy() from error
        raise


def digest_of(done: Done) -> str:
    """SHA-256 over everything that was written, for the audit row of the range."""
    found = hashlib.sha256()
    for columns in done.written:
        for name, values in columns.items():
            found.update(f"{name}:{values!r};".encode())
    return found.hexdigest()


__all__ = ["Done", "bring_up", "digest_of", "mass_of", "run_mass"]
