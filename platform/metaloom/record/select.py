"""The scoped SELECT: which tables are joined, which columns are read, and what of them the reader may see.

A ``Frame`` is the FROM of one SELECT: the entity's table and an alias per link followed. A ``Selection`` adds columns:
values by path, the words for linked rows, and one boolean per row scope that is not certain, so that one statement
brings the rows and, for each of them, which grants hold (decision 13: best level per row *and* field).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from metaloom.access import AccessPlan, EntityRights, aliased
from metaloom.model import Entity, FieldLevel
from metaloom.model.entity import LIST_TYPES
from metaloom.record.audit_values import AUDIT_LOG, SIDES, sides_for
from metaloom.record.encode import display
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

    def add_row(self) -> None:
        """The columns of every row: id, row_version, archived_at, title."""
        table = self.frame.table
        self._id = self._add(table.c.id)
        self._version = self._add(table.c.row_version) if "row_version" in table.c else -1
        if "archived_at" in table.c:
            self._archived = self._add(table.c.archived_at)
        if self.frame.entity.address == AUDIT_LOG:
            self._told_of = self._add(table.c.entity)

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
        holders = [_Holding(place) for place in self._places]
        base = _Holding(self.frame.base)
        entity, readers = self.frame.entity.address, [self._reader(cell) for cell in self._cells]
        titles = [(text, cell, self._reader(cell)) for text, cell in self._titles]
        title_cell, title_reader = self._title, self._reader(self._title) if self._title else None
        cells = [(cell.path.text, cell.position, reader) for cell, reader in zip(self._cells, readers, strict=True)]
        verdicts: dict[tuple[int, ...], tuple[Mapping[str, FieldLevel], list[FieldLevel], FieldLevel]] = {}

        def judge(levels: list[Mapping[str, FieldLevel]]) -> tuple[Mapping[str, FieldLevel], list[FieldLevel], FieldLevel]:
            """Levels of the cells, of the links' titles and of the row's title, for one combination of holding scopes."""
            own = _level(title_cell, levels) if title_cell is not None else FieldLevel.HIDDEN
            shown = MappingProxyType({cell.path.text: _level(cell, levels) for cell in self._cells})
            return shown, [_level(cell, levels) for _, cell, _ in titles], own

        def decode(raw: Any) -> Row:
            levels = [holder.levels(raw) for holder in holders]
            key = tuple([id(found) for found in levels])  # the rights keep these mappings, so an id names one for good
            verdict = verdicts.get(key)
            if verdict is None:
                verdict = verdicts[key] = judge(levels)
            shown, title_levels, own = verdict
            values = {text: reader(raw[position], shown[text]) for text, position, reader in cells if shown[text]}
            words: dict[str, str] = {}
            struck = []
            for (text, cell, reader), level in zip(titles, title_levels, strict=True):
                if level and raw[cell.position] is not None:
                    words[text] = self._words(cell, reader(raw[cell.position], level), level)
                    if cell.struck_position >= 0 and raw[cell.struck_position]:
                        struck.append(text)
            title = ""
            if own and title_cell is not None and title_reader is not None:
                title = self._words(title_cell, title_reader(raw[title_cell.position], own), own)
            return Row(
                entity, raw[self._id], raw[self._version] if self._version >= 0 else 0, title or f"#{raw[self._id]}", values, shown,
                words, base.actions(raw), self._archived >= 0 and raw[self._archived] is not None, frozenset(struck),
            )

        return decode if self._told_of < 0 else self._narrowed(decode)

    def _narrowed(self, decode: Callable[[Any], Row]) -> Callable[[Any], Row]:
        """Rows of the audit log, each with as much of its change as the reader may see of the record it tells of."""
        seen = sides_for(self.frame.plan)

        def narrowed(raw: Any) -> Row:
            row = decode(raw)
            told = {side: seen(raw[self._told_of], row.values[side]) for side in SIDES if side in row.values}
            return replace(row, values={**row.values, **told})

        return narrowed

    def _words(self, cell: Cell, value: Any, level: FieldLevel) -> str:
        if level is FieldLevel.MASKED and isinstance(value, str):
            return value
        return display(self.frame.plan.catalog, cell.path.field, value, self.locale, entity=cell.path.entity)

    def _reader(self, cell: Cell | None) -> Callable[[Any, FieldLevel], Any]:
        """From the stored value to the value as it may be seen."""
        assert cell is not None
        found, masked = cell.path.field, FieldLevel.MASKED
        if found.encrypted:
            address = secret_address(cell.path.entity, found)
            decrypt = self.secrets.decrypt

            def read_secret(raw: Any, level: FieldLevel) -> Any:
                plain = None if raw is None else decrypt(address, raw)
                return mask(found, plain) if level is masked else plain

            return read_secret
        if found.type in LIST_TYPES:
            return lambda raw, level: mask(found, raw) if level is masked else tuple(raw) if raw is not None else None
        return lambda raw, level: raw if level is not masked else mask(found, raw)


class _Holding:
    """Which scopes hold in a result row at one place, with memory per combination."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._levels: dict[tuple[Any, ...], Mapping[str, FieldLevel]] = {}
        self._actions: dict[tuple[Any, ...], frozenset[str]] = {}

    def holding(self, flags: tuple[Any, ...]) -> frozenset[int]:
        place = self.place
        return place.certain | {index for index, flag in zip(place.flags, flags, strict=True) if flag}

    def levels_of(self, flags: tuple[Any, ...]) -> Mapping[str, FieldLevel]:
        found = self._levels.get(flags)
        if found is None:
            found = self._levels[flags] = self.place.rights.levels(self.holding(flags))
        return found

    def levels(self, raw: Any) -> Mapping[str, FieldLevel]:
        return self.levels_of(tuple([raw[position] for position in self.place.positions]))

    def actions(self, raw: Any) -> frozenset[str]:
        flags = tuple([raw[position] for position in self.place.positions])
        found = self._actions.get(flags)
        if found is None:
            found = self._actions[flags] = self.place.rights.actions_in(self.holding(flags))
        return found


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
