"""Records as expressions see them: mappings by field name whose links and children are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metaloom.command import rows
from metaloom.model import Entity, FieldLevel, FieldType
from metaloom.model.entity import LINK_TYPES, LIST_TYPES
from metaloom.record import Row
from metaloom.record.paths import UnknownPath, field_of, implicit_fields, target_of

if TYPE_CHECKING:
    from metaloom.command.unit import Unit


class Live(Mapping[str, Any]):
    """One record. ``values`` holds raw values by field name; a link gives a mapping of the linked record (or None).

    ``children`` holds rows of child fields that are not stored yet or were just changed; others are read.
    """

    def __init__(self, unit: Unit, entity: Entity, values: Mapping[str, Any],
                 children: Mapping[str, list[Live]] | None = None, parent: tuple[str, Live] | None = None) -> None:
        self._unit, self._entity, self._values = unit, entity, values
        self._children = children or {}
        self._parent = parent

    def __getitem__(self, name: str) -> Any:
        if self._parent is not None and name == self._parent[0]:
            return self._parent[1]
        if name in self._children:
            return self._children[name]
        field = self._entity.fields.get(name)
        if field is not None and field.type is FieldType.CHILD:
            return children_of(self._unit, self._entity, name, self._values.get("id"))
        return linked(self._unit, self._target(name), self._values[name])

    @property
    def entity(self) -> str:
        """Address of the record's entity."""
        return self._entity.address

    def _target(self, name: str) -> str:
        try:
            field = field_of(self._entity, name)
        except UnknownPath:
            return ""
        return target_of(field) if field.type in LINK_TYPES else ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def raw(self) -> Mapping[str, Any]:
        return self._values


class Shown(Mapping[str, Any]):
    """The record of a row that a person looks at: what that person reads stands in the row; the whole record is read only when
    a rule asks for more (hidden or masked fields, lists, what an archived record holds)."""

    def __init__(self, unit: Unit, row: Row) -> None:
        self._unit, self._row = unit, row
        entity = unit.entity(row.entity)
        fields = {**{one.name: one for one in implicit_fields(entity)}, **entity.fields}
        self._known = {"id": row.id, "row_version": row.row_version} | {
            name: value for name, value in row.values.items()
            if "." not in name and row.levels.get(name, FieldLevel.HIDDEN) >= FieldLevel.READ and name in fields
            and fields[name].type not in LIST_TYPES}

    @property
    def entity(self) -> str:
        """Address of the record's entity."""
        return self._row.entity

    @property
    def id(self) -> int:
        return self._row.id

    def _whole(self) -> Mapping[str, Any]:
        entity = self._unit.entity(self._row.entity)
        found = rows.fetch(self._unit, entity.address, self._row.id)
        return found if found is not None else rows.nothing(entity)

    def __getitem__(self, name: str) -> Any:
        return self._known[name] if name in self._known else self._whole()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())


def along(record: Mapping[str, Any], path: str) -> int | None:
    """The account, or whatever a link holds, at the end of a path of links; None where one of them is empty. KeyError: no such field."""
    found: Any = record
    for name in path.split("."):
        found = found[name] if found is not None else None
    end: int | None = found["id"] if isinstance(found, Mapping) else found
    return end


class Linked(Mapping[str, Any]):
    """A linked record that is read only when something besides its id is asked of it."""

    def __init__(self, unit: Unit, entity: str, record_id: int) -> None:
        self._unit, self.entity, self.id = unit, entity, record_id
        self._row: Live | None = None

    def _live(self) -> Live:
        if self._row is None:
            found = rows.fetch(self._unit, self.entity, self.id)
            entity = self._unit.entity(self.entity)
            self._row = Live(self._unit, entity, found if found is not None else rows.nothing(entity))
        return self._row

    def __getitem__(self, name: str) -> Any:
        return self.id if name == "id" else self._live()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live())

    def __len__(self) -> int:
        return len(self._live())


class Loose(Mapping[str, Any]):
    """Values without a record: the input of an action, the result of a plugin command. Links work as in records."""

    def __init__(self, unit: Unit, fields: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._unit, self._fields, self._values = unit, fields, values

    def __getitem__(self, name: str) -> Any:
        field = self._fields.get(name)
        value = self._values.get(name)
        return linked(self._unit, target_of(field) if field is not None and field.type in LINK_TYPES else "", value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Names(Mapping[str, Any]):
    """The names of an action: those with a meaning of their own (``record``, ``input``, lets) before the record's fields."""

    def __init__(self, own: dict[str, Any], record: Mapping[str, Any] | None) -> None:
        self.own, self.record = own, record if record is not None else {}

    def __getitem__(self, name: str) -> Any:
        return self.own[name] if name in self.own else self.record[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.record, **self.own})

    def __len__(self) -> int:
        return len({**self.record, **self.own})


def linked(unit: Unit, target: str, value: Any) -> Any:
    """A link's value as a mapping; any other value as it is."""
    if target and isinstance(value, int) and target in unit.catalog.entities:
        return Linked(unit, target, value)
    return value


def children_of(unit: Unit, entity: Entity, name: str, record_id: int | None) -> list[Live]:
    """The stored rows of a child field, live ones only, in order of their ids."""
    if record_id is None:
        return []
    child = unit.entity(entity.fields[name].entity)
    found = rows.find(unit, child.address, {parent_field(entity, name, child): record_id}, live_only=True)
    return [Live(unit, child, row) for row in found]


def parent_field(entity: Entity, name: str, child: Entity) -> str:
    """The link field of the child rows that points to their parent."""
    return entity.fields[name].parent_field or child.parent_field
