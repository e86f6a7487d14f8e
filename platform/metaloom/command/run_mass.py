"""A plugin's mass function on a chunk of records: read as columns, asked, believed nothing before it is checked, written as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from metaloom import ledger
from metaloom.base.errors import NotPossible
from metaloom.base.messages import Message, message, register, words
from metaloom.command import rows
from metaloom.command.providers import environment_for
from metaloom.command.unit import Unit
from metaloom.job import parts
from metaloom.model import Entity
from metaloom.plugin import PluginFault
from metaloom.plugin.declaration import MassDeclaration
from metaloom.plugin.doors import DOORS
from metaloom.plugin.mass import Mass, Outcome
from metaloom.plugin.registry import Registry
from metaloom.record import mass

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


class PluginChunk:
    """Implements :class:`metaloom.plugin.mass.Chunk`."""

    def __init__(self, unit: Unit, declared: MassDeclaration, columns: Mapping[str, list[Any]], day: date, company_id: int | None) -> None:
        self._unit, self._declared = unit, declared
        self.ids, self.columns, self.day, self.company_id = columns["id"], columns, day, company_id

    @property
    def settings(self) -> Mapping[str, Any]:
        given = environment_for(self._unit.ctx).settings.get(self._declared.plugin)
        return self._unit.ctx.plugins.settings(self._declared.plugin, given)

    def rows(self, entity: str, link: str, fields: Sequence[str], ids: Sequence[int] | None = None,
             where: Mapping[str, object] | None = None) -> Mapping[str, list[Any]]:
        unit, found = self._unit, self._unit.entity(entity)
        place = mass.column(unit.revision, found, link)[0]
        near = [mass.among(unit.revision, place, ids)] if ids is not None else [place >= self.ids[0], place <= self.ids[-1]]
        read = mass.read(unit.conn, unit.revision, found, tuple(dict.fromkeys(("id", link, *fields))), [*near, *mass.equal(unit.revision, found, where or {})],
                         order=(link, "id"))
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


def hold_mass(unit: Unit, entity: str, company_id: int | None, *, alone: bool) -> None:
    """Ranges of an entity are worked on side by side; a single record that is brought up to date by a command waits for them and lets none begin."""
    mass.hold(unit.conn, unit.revision, f"{entity}/{company_id or 0}", alone=alone)


def run_mass(unit: Unit, name: str, clauses: Sequence[Any], *, day: date, company_id: int | None, cause: tuple[str, int]) -> Done:
    """Runs the function on the records for which the clauses hold and writes what it says."""
    declared, function = mass_of(unit.ctx.plugins, name)
    entity = unit.entity(declared.on)
    columns = mass.read(unit.conn, unit.revision, entity, ("id", *declared.read), clauses)
    if not columns["id"]:
        return Done((), {}, {}, ())
    try:
        outcome = function(PluginChunk(unit, declared, columns, day, company_id))
        _check(unit, declared, columns["id"], outcome)
    except mass.NoColumn as error:
        raise PluginFault(declared.plugin, f"{declared.address}: {error}") from error
    written = _write(unit, declared, outcome)
    for posting in outcome.post:
        _post(unit, declared, posting, day, company_id, cause)
    return Done(columns["id"], {one: words(said) for one, said in outcome.held.items()}, outcome.figures, written)


def bring_up(unit: Unit, name: str, record_id: int, *, day: date, company_id: int | None) -> None:
    """The function on one record inside a command; NotPossible with the reason when the record cannot be done. Held back before, it is no more."""
    declared, _ = mass_of(unit.ctx.plugins, name)
    hold_mass(unit, declared.on, company_id, alone=True)
    entity = unit.entity(declared.on)
    done = run_mass(unit, name, mass.equal(unit.revision, entity, {"id": record_id}), day=day, company_id=company_id, cause=(declared.on, record_id))
    rows.forget(unit, declared.on, record_id)
    if record_id in done.held:
        raise NotPossible(message("mass.held", label=declared.label, why=done.held[record_id]))
    parts.let_go(unit.conn, name, declared.on, record_id)


def _check(unit: Unit, declared: MassDeclaration, ids: Sequence[int], outcome: Any) -> None:
    """Entities and fields as declared, columns of one length, held records of the chunk."""
    if not isinstance(outcome, Outcome):
        raise PluginFault(declared.plugin, f"{declared.address} returned no Outcome")
    for what, said, allowed in (("change", outcome.change, declared.change), ("add", outcome.add, declared.add)):
        for address, columns in said.items():
            fields = set(columns) - ({"id"} if what == "change" else set())
            if not fields <= set(allowed.get(address, ())) or (what == "change" and "id" not in columns):
                raise PluginFault(declared.plugin, f"{declared.address} may not {what} {sorted(fields)} of {address}")
            if len({len(one) for one in columns.values() if isinstance(one, list)}) > 1:
                raise PluginFault(declared.plugin, f"{declared.address}: the columns of {address} have different lengths")
            if what == "change":
                _refuse_what_is_not_its_own(unit, declared, unit.entity(address), fields)
    if not set(outcome.held) <= set(ids):
        raise PluginFault(declared.plugin, f"{declared.address} holds back what is not in its chunk")


def _refuse_what_is_not_its_own(unit: Unit, declared: MassDeclaration, entity: Entity, fields: set[str]) -> None:
    """States are written by transitions, computed fields by their formula."""
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    for name in fields:
        if (lifecycle is not None and name == lifecycle.field) or entity.fields[name].computed:
            raise PluginFault(declared.plugin, f"{declared.address} may not set {entity.address}.{name}")


def _write(unit: Unit, declared: MassDeclaration, outcome: Outcome) -> list[Any]:
    user = unit.ctx.actor.user_id
    for address, columns in outcome.change.items():
        there = mass.update(unit.conn, unit.revision, unit.entity(address), columns, now=unit.now, user_id=user)
        if there != len(columns["id"]):
            raise PluginFault(declared.plugin, f"{declared.address} changes {len(columns['id'])} rows of {address}; {there} are there")
    for address, columns in outcome.add.items():
        mass.insert(unit.conn, unit.revision, unit.entity(address), columns, now=unit.now, user_id=user)
    return [*outcome.change.values(), *outcome.add.values()]


def _post(unit: Unit, declared: MassDeclaration, posting: Any, day: date, company_id: int | None, cause: tuple[str, int]) -> None:
    amounts = {name: Decimal(cents).scaleb(-CENT_PLACES) for name, cents in posting.amounts.items()}
    if company_id is None:
        raise PluginFault(declared.plugin, f"{declared.address} posts without a company: its job runs per company")
    entry = ledger.Entry(
        event=posting.event, amounts=amounts, facts=dict(posting.facts), company_id=company_id, booking_date=day, value_date=day,
        cause=ledger.Cause(cause[0], cause[1], declared.address, unit.revision.number, unit.revision.digest, unit.ctx.actor.user_id))
    try:
        ledger.post(unit.conn, unit.revision, entry, now=unit.now)
    except ValueError as error:
        raise PluginFault(declared.plugin, str(error)) from error


def digest_of(done: Done) -> str:
    """SHA-256 over everything that was written, for the audit row of the range."""
    found = hashlib.sha256()
    for columns in done.written:
        for name, values in columns.items():
            found.update(f"{name}:{values!r};".encode())
    return found.hexdigest()


__all__ = ["Done", "bring_up", "digest_of", "hold_mass", "mass_of", "run_mass"]
