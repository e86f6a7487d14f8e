"""The scoped SELECT: which tables are joined, which columns are read, and what of them the reader may see.

A ``Frame`` is the FROM of one SELECT: the entity's table and an alias per link followed. A ``Selection`` adds columns:
values by path, the words for linked rows, and one boolean per row scope that is not certain, so that one statement
brings the rows and, for each of them, which grants hold (decision 13: best level per row *and* field).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from metaloom.access import AccessPlan, EntityRights, aliased
from metaloom.model import Entity, FieldLevel, FieldType
from metaloom.model.entity import LIST_TYPES
from metaloom.record.alert_query import ALERT
from metaloom.record.alert_words import NAME, SUBJECT, words_for_alerts
from metaloom.record.audit_values import AUDIT_LOG, SIDES, sides_for
from metaloom.record.encode import EMPTY, words_for
from metaloom.record.mask import mask
from metaloom.record.paths import DIRECTORY, Path, column_of, field_of
from metaloom.record.row import Row

Prefix = tuple[str, ...]
SEEING = ("list", "read", "edit")


@dataclass
class Place:
    """One table of a frame: the entity it holds, its alias, the actor's rights there, the scopes its rows are known to be in."""

    entity: Entity
    table: Any
    rights: EntityRights
    within: tuple[int, ...]
    prefix: Prefix
    flags: tuple[int, ...] = ()
    certain: frozenset[int] = frozenset()
    positions: tuple[int, ...] = ()
    directory: bool = False

    def __post_init__(self) -> None:
        self.flags, self.certain = self.rights.flags_needed(self.within)
        self.directory = self.entity.address in DIRECTORY


class Frame:
    """FROM: the base table of ``entity`` and the links followed from it."""

    def __init__(self, plan: AccessPlan, entity: str, env: Any, *, action: str) -> None:
        self.plan, self.env, self.revision = plan, env, plan.revision
        self.entity = plan.catalog.entities[entity]
        rights = plan.rights(entity)
        table = aliased(self.revision.tables.of(entity), "t")
        self.base = Place(self.entity, table, rights, rights.scopes_for(action), ())
        self.places: dict[Prefix, Place] = {(): self.base}
        self._joins: list[tuple[Any, Any]] = []

    @property
    def table(self) -> Any:
        return self.base.table

    @property
    def lasting(self) -> bool:
        """Whether the frame's SQL stays right from request to request (no scope of it asks the environment)."""
        return not any(self.plan.asks_environment(place.entity.address) for place in self.places.values())

    @property
    def joins(self) -> tuple[tuple[Any, Any], ...]:
        """(table, condition) of every link followed, in order."""
        return tuple(self._joins)

    def source(self) -> Any:
        """The FROM clause with an outer join per link."""
        found = self.table
        for target, on in self._joins:
            found = found.outerjoin(target, on)
        return found

    def predicate(self) -> sa.ColumnElement[bool]:
        """The base rows that the actor may see."""
        return self.base.rights.any_of(self.base.within, self.table, self.env)

    def place(self, path: Path) -> Place:
        """Where the path's column lives; joins what is missing."""
        current = self.base
        for hop in path.hops:
            prefix = (*current.prefix, hop.field.name)
            known = self.places.get(prefix)
            if known is None:
                table = aliased(self.revision.tables.of(hop.target), f"j{len(self._joins)}")
                self._joins.append((table, table.c.id == current.table.c[hop.column]))
                rights = self.plan.rights(hop.target)
                known = self.places[prefix] = Place(self.plan.catalog.entities[hop.target], table, rights, (), prefix)
            current = known
        return current

    def column(self, path: Path) -> sa.ColumnElement[Any]:
        return self.place(path).table.c[path.column]

    def readable(self, path: Path, level: FieldLevel, *, linked: bool = False) -> tuple[sa.ColumnElement[bool] | None, bool]:
        """(condition, possible): the rows in which the path stands at ``level`` or better; None = all rows of the scope.

        A row without the link hides nothing and is in; with ``linked`` it is out, which plans better where it cannot match anyway.
        """
        conditions: list[sa.ColumnElement[bool]] = []
        place = self.place(path)
        for index, hop in enumerate(path.hops):
            if not self._narrow(self.places[path.prefix[:index]], hop.field.name, FieldLevel.READ, conditions, linked):
                return None, False
        if place.directory and path.field.name == place.entity.title:
            return sa.and_(*conditions) if conditions else None, True
        if not self._narrow(place, path.field.name, level, conditions, linked):
            return None, False
        return sa.and_(*conditions) if conditions else None, True

    def _narrow(self, place: Place, name: str, level: FieldLevel, conditions: list[sa.ColumnElement[bool]], linked: bool) -> bool:
        """Add the condition under which ``name`` stands at ``level``; False where that can never be."""
        rights = place.rights
        if name in ("id", "row_version"):
            return bool(rights.scopes) or place is self.base
        holding = rights.scopes_at(name, level)
        if not holding:
            return False
        if any(rights.scopes[i].covers_all for i in holding) or (place.within and set(place.within) <= set(holding)):
            return True
        clause = rights.any_of(holding, place.table, self.env)
        conditions.append(sa.or_(clause, place.table.c.id.is_(None)) if place.prefix and not linked else clause)
        return True


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a value stands in a result row, and the fields on the way to it (place number, field name) that must be readable."""

    path: Path
    position: int
    place: int
    checks: tuple[tuple[int, str], ...]
    always: bool = False           # a directory title: shown without a grant on its entity
    struck_position: int = -1


@dataclass
class Selection:
    """Columns of one SELECT over a frame, and how its result rows become ``Row`` values."""

    frame: Frame
    secrets: Any
    locale: str
    columns: list[Any] = field(default_factory=list)
    _places: list[Place] = field(default_factory=list)
    _cells: list[Cell] = field(default_factory=list)
    _titles: list[tuple[str, Cell]] = field(default_factory=list)
    _title: Cell | None = None
    _id: int = 0
    _version: int = 0
    _archived: int = -1
    _told_of: int = -1
    _rule: int = -1

    def add_row(self) -> None:
        """The columns of every row: id, row_version, archived_at, title."""
        table = self.frame.table
        self._id = self._add(table.c.id)
        self._version = self._add(table.c.row_version) if "row_version" in table.c else -1
        if "archived_at" in table.c:
            self._archived = self._add(table.c.archived_at)
        if self.frame.entity.address == AUDIT_LOG:
            self._told_of = self._add(table.c.entity)
        if self.frame.entity.address == ALERT:
            self._rule = self._add(table.c.rule)

    def add_title(self, path: Path | None) -> None:
        if path is not None:
            self._title = self._cell(path)

    def add_path(self, path: Path) -> None:
        self._cells.append(self._cell(path))
        if path.title is not None:
            self._titles.append((path.text, self._cell(path.title, struck=True)))

    def add_flags(self) -> None:
        """One boolean column per uncertain scope of every place; called once, after the paths."""
        for place in self.frame.places.values():
            place.positions = tuple(
                self._add(place.rights.clause(index, place.table, self.frame.env)) for index in place.flags)

    def statement_columns(self) -> list[Any]:
        return [column.label(f"c{i}") for i, column in enumerate(self.columns)]

    def _add(self, column: Any) -> int:
        self.columns.append(column)
        return len(self.columns) - 1

    def _cell(self, path: Path, *, struck: bool = False) -> Cell:
        place = self.frame.place(path)
        checks = []
        for index, hop in enumerate(path.hops):
            checks.append((self._number(self.frame.places[path.prefix[:index]]), hop.field.name))
        always = place.directory and path.field.name == place.entity.title
        gone = self._add(place.table.c.archived_at.is_not(None)) if struck and "archived_at" in place.table.c else -1
        return Cell(path, self._add(place.table.c[path.column]), self._number(place), tuple(checks), always, gone)

    def _number(self, place: Place) -> int:
        for index, known in enumerate(self._places):
            if known is place:
                return index
        self._places.append(place)
        return len(self._places) - 1

    # -- reading -----------------------------------------------------------------------------------------------------

    def decoder(self) -> Callable[[Any], Row]:
        """A function from a result row to a ``Row``."""
        holders, base = [_Holding(place) for place in self._places], _Holding(self.frame.base)
        entity, locate, version, archived = self.frame.entity.address, self._id, self._version, self._archived
        flags_of = _picker([position for holder in (*holders, base) for position in holder.place.positions])
        verdicts: dict[Any, _Verdict] = {}

        def decode(raw: Any) -> Row:
            flags = flags_of(raw)
            verdict = verdicts.get(flags)
            if verdict is None:
                verdict = verdicts[flags] = self._judge([holder.levels(raw) for holder in holders], base.actions(raw))
            values = {text: raw[position] if reader is None else reader(raw[position]) for text, position, reader in verdict.values}
            words: dict[str, str] = {}
            struck: frozenset[str] = _NOTHING
            for text, position, say, struck_position in verdict.titles:
                stored = raw[position]
                if stored is not None:
                    words[text] = stored if say is None else say(stored)
                    if struck_position >= 0 and raw[struck_position]:
                        struck |= {text}
            number = raw[locate]
            title = "" if verdict.title is None else verdict.title(raw)
            return Row(
                entity, number, raw[version] if version >= 0 else 0, title or f"#{number}", values, verdict.levels,
                words, verdict.actions, archived >= 0 and raw[archived] is not None, struck,
            )

        if self._rule >= 0:
            return self._worded(decode)
        return decode if self._told_of < 0 else self._narrowed(decode)

    def _worded(self, decode: Callable[[Any], Row]) -> Callable[[Any], Row]:
        """Alerts, each in the words that the reader may see."""
        words = words_for_alerts(self.frame.plan, self.locale)

        def worded(raw: Any) -> Row:
            row = decode(raw)
            told = {name: words(raw[self._rule], name, row.values[name]) for name in (NAME, SUBJECT) if name in row.values}
            return replace(row, values={**row.values, **told})

        return worded

    def _narrowed(self, decode: Callable[[Any], Row]) -> Callable[[Any], Row]:
        """Rows of the audit log, each with as much of its change as the reader may see of the record it tells of."""
        seen = sides_for(self.frame.plan)

        def narrowed(raw: Any) -> Row:
            row = decode(raw)
            told = {side: seen(raw[self._told_of], row.values[side]) for side in SIDES if side in row.values}
            return replace(row, values={**row.values, **told})

        return narrowed

    def _judge(self, levels: list[Mapping[str, FieldLevel]], actions: frozenset[str]) -> _Verdict:
        """How rows with one combination of holding scopes are read: no level is asked again for each cell."""
        shown = {cell.path.text: _level(cell, levels) for cell in self._cells}
        values = tuple((cell.path.text, cell.position, self._reader(cell, shown[cell.path.text])) for cell in self._cells if shown[cell.path.text])
        titles = tuple((text, cell.position, self._sayer(cell, level), cell.struck_position)
                       for text, cell in self._titles if (level := _level(cell, levels)))
        return _Verdict(MappingProxyType(shown), values, titles, self._title_of(levels), actions)

    def _title_of(self, levels: list[Mapping[str, FieldLevel]]) -> Callable[[Any], str] | None:
        """From a result row to the row's own title; None where that may not be seen."""
        cell = self._title
        level = _level(cell, levels) if cell is not None else FieldLevel.HIDDEN
        if cell is None or not level:
            return None
        position, say = cell.position, self._sayer(cell, level)
        return (lambda raw: EMPTY if raw[position] is None else raw[position]) if say is None else lambda raw: say(raw[position])

    def _sayer(self, cell: Cell, level: FieldLevel) -> Callable[[Any], str] | None:
        """From a stored value to its words; None where a text is its own words."""
        found, reader = cell.path.field, self._reader(cell, level)
        if found.type is FieldType.TEXT and reader is None:
            return None
        words = words_for(self.frame.plan.catalog, found, self.locale, entity=cell.path.entity)
        if reader is None:
            return words
        masked = level is FieldLevel.MASKED

        def say(stored: Any) -> str:
            value = reader(stored)
            return value if masked and isinstance(value, str) else words(value)

        return say

    def _reader(self, cell: Cell, level: FieldLevel) -> Callable[[Any], Any] | None:
        """From the stored value to the value as it may be seen; None where that is the same."""
        found, masked = cell.path.field, level is FieldLevel.MASKED
        if found.encrypted:
            address, decrypt = secret_address(cell.path.entity, found), self.secrets.decrypt

            def read_secret(raw: Any) -> Any:
                plain = None if raw is None else decrypt(address, raw)
                return mask(found, plain) if masked else plain

            return read_secret
        if masked:
            return lambda raw: mask(found, raw)
        if found.type in LIST_TYPES:
            return lambda raw: tuple(raw) if raw is not None else None
        return None


_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Reading of rows in one combination of scopes: (path, position, reader) of each visible value, (path, position, words,
    position of the archived flag) of each visible link title, the row's title, and the actions granted there."""

    levels: Mapping[str, FieldLevel]
    values: tuple[tuple[str, int, Callable[[Any], Any] | None], ...]
    titles: tuple[tuple[str, int, Callable[[Any], str] | None, int], ...]
    title: Callable[[Any], str] | None
    actions: frozenset[str]


def _picker(positions: Iterable[int]) -> Callable[[Any], Any]:
    """From a result row to its values at ``positions``, as one key."""
    wanted = tuple(dict.fromkeys(positions))
    return itemgetter(*wanted) if wanted else lambda raw: ()


class _Holding:
    """Which scopes hold in a result row at one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def holding(self, raw: Any) -> frozenset[int]:
        place = self.place
        return place.certain | {index for index, position in zip(place.flags, place.positions, strict=True) if raw[position]}

    def levels(self, raw: Any) -> Mapping[str, FieldLevel]:
        return self.place.rights.levels(self.holding(raw))

    def actions(self, raw: Any) -> frozenset[str]:
        return self.place.rights.actions_in(self.holding(raw))


def _level(cell: Cell, levels: list[Mapping[str, FieldLevel]]) -> FieldLevel:
    for place, name in cell.checks:
        if levels[place].get(name, FieldLevel.HIDDEN) < FieldLevel.READ:
            return FieldLevel.HIDDEN
    if cell.always:
        return FieldLevel.READ
    return levels[cell.place].get(cell.path.field.name, FieldLevel.HIDDEN)


def secret_address(entity: str, found: Any) -> str:
    """The address under which a field's secrets are sealed."""
    return found.address or f"{entity}/field/{found.name}"


def title_path(paths: Callable[[str, str], Path], entity: Entity) -> Path | None:
    """Path of the words that name a row of ``entity``."""
    if not entity.title or entity.title not in entity.fields:
        return None
    path = paths(entity.address, entity.title)
    return path.title or path


def columns_for(entity: Entity, names: Iterable[str]) -> list[str]:
    return [column_of(field_of(entity, name)) for name in names]
