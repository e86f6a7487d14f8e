"""Writer: how records are stored. Commands use it and nobody else; it knows columns and companions, not rights or rules.

A record here is a mapping of Python values by field name, with the names that every record has (``id``, ``row_version``,
``created_at`` …, ``company``, ``org_unit``, ``owner``, ``archived_at``); secrets are in clear. It never leaves a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotFound, NotPossible, Stale
from metaloom.base.messages import message
from metaloom.model import Entity, Field
from metaloom.model.entity import LIST_TYPES
from metaloom.record import pinyin
from metaloom.record.paths import PerRevision, column_of, implicit_fields
from metaloom.record.select import secret_address
from metaloom.storage.companions import last4_address

FETCH_MAX = 1_000


class _Shape:
    """How a stored row of an entity is read: where each field stands among the columns, and the statement for one id."""

    def __init__(self, entity: Entity, table: sa.Table) -> None:
        columns = list(table.c.keys())
        fields = [f for f in (*implicit_fields(entity), *(f for f in entity.fields.values() if f.stored)) if column_of(f) in table.c]
        self.places = tuple((field.name, columns.index(column_of(field))) for field in fields)
        self.lists = tuple(field.name for field in fields if field.type in LIST_TYPES and not field.encrypted)
        self.secrets = tuple((field.name, secret_address(entity.address, field)) for field in fields if field.encrypted)
        self._one = sa.select(table).where(table.c.id == sa.bindparam("id"))

    def one(self, *, lock: bool) -> sa.Select[Any]:
        return self._one.with_for_update(key_share=True) if lock else self._one    # NO KEY: rows that point here may come meanwhile


SHAPES: PerRevision[dict[str, _Shape]] = PerRevision(lambda revision: {})


class Writer:
    """Stores rows in one transaction. ``user_id`` and ``now`` go into the reserved columns."""

    def __init__(self, conn: sa.Connection, tenant: Any, revision: Any, *, user_id: int | None, now: datetime) -> None:
        self.conn, self.tenant, self.revision, self.user_id, self.now = conn, tenant, revision, user_id, now

    # -- reading what is stored --------------------------------------------------------------------------------------

    def nothing(self, address: str) -> dict[str, Any]:
        """A record without values: every name, None."""
        return dict.fromkeys(name for name, _ in self._shape(address).places)

    def stored(self, address: str, id: int, *, lock: bool = False) -> dict[str, Any] | None:
        """The record whoever asks, or None. ``lock``: other transactions that lock it wait for this one."""
        shape = self._shape(address)
        row = self.conn.execute(shape.one(lock=lock and self.revision.dialect == "postgresql"), {"id": id}).one_or_none()
        return None if row is None else self._decoded(shape, row)

    def stored_many(self, address: str, ids: Iterable[int], *, lock: bool = False) -> dict[int, dict[str, Any]]:
        """Several records by id, locked in the order of their ids."""
        wanted = sorted(set(ids))
        found: list[dict[str, Any]] = []
        for start in range(0, len(wanted), FETCH_MAX):
            part = wanted[start:start + FETCH_MAX]
            found += self._select(address, lambda table, part=part: [table.c.id.in_(part)], lock=lock)
        return {row["id"]: row for row in found}

    def read_for_update(self, address: str, id: int) -> dict[str, Any]:
        """``stored`` with the lock; NotFound when the row is gone."""
        found = self.stored(address, id, lock=True)
        if found is None:
            raise NotFound
        return found

    def children(self, address: str, parent_field: str, parent_id: int, *, lock: bool = False) -> list[dict[str, Any]]:
        """The live rows of a child entity inside one parent, by id."""
        column = self._entity(address).fields[parent_field].column
        return self._select(address, lambda table: [
            table.c[column] == parent_id, *([table.c.archived_at.is_(None)] if "archived_at" in table.c else [])], lock=lock)

    def where(self, address: str, conditions: Sequence[sa.ColumnElement[bool]], *, order: Sequence[Any] = (), limit: int | None = None,
              lock: bool = False) -> list[dict[str, Any]]:
        """Records by conditions over ``revision.tables.of(address)``; for steps and plugin commands."""
        return self._select(address, lambda table: list(conditions), lock=lock, order=order, limit=limit)

    # -- writing -----------------------------------------------------------------------------------------------------

    def insert(self, address: str, values: Mapping[str, Any]) -> int:
        """Store a new row; its id."""
        return self.insert_many(address, [values])[0]

    def insert_many(self, address: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Store new rows; their ids in the same order."""
        entity, table = self._writable(address), self.revision.tables.of(address)
        ids: list[int] = []
        for start in range(0, len(rows), FETCH_MAX):
            encoded = [self._new_row(entity, values) for values in rows[start:start + FETCH_MAX]]
            if len(encoded) == 1:
                ids.append(self.conn.execute(table.insert().values(**encoded[0])).inserted_primary_key[0])  # type: ignore[index]
                continue
            same = [{name: row.get(name) for name in dict.fromkeys(n for r in encoded for n in r)} for row in encoded]
            ids += list(self.conn.scalars(table.insert().returning(table.c.id, sort_by_parameter_order=True), same))
        return ids

    def update(self, address: str, id: int, changes: Mapping[str, Any], row_version: int) -> int:
        """Store changed values if the row still has ``row_version``; the new version. Stale when it moved on or is gone."""
        entity, table = self._writable(address), self.revision.tables.of(address)
        if entity.append_only:
            raise NotPossible(message("record.append_only", entity=entity.label))
        encoded = {**self.encode(entity, changes), "row_version": row_version + 1, "updated_at": self.now, "updated_by": self.user_id}
        result = self.conn.execute(table.update().where(table.c.id == id, table.c.row_version == row_version).values(**encoded))
        if result.rowcount != 1:
            raise Stale
        return row_version + 1

    def archive(self, address: str, id: int, row_version: int) -> int:
        """Take the row out of lists; it stays readable where it is linked."""
        return self.update(address, id, {"archived_at": self.now}, row_version)

    def restore(self, address: str, id: int, row_version: int) -> int:
        return self.update(address, id, {"archived_at": None}, row_version)

    def delete(self, address: str, id: int, row_version: int) -> None:
        """Remove the row and its children; the database refuses while others point to it."""
        self._writable(address)
        table = self.revision.tables.of(address)
        if self.conn.execute(table.delete().where(table.c.id == id, table.c.row_version == row_version)).rowcount != 1:
            raise Stale

    def replace_children(self, address: str, parent_field: str, parent_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Make ``rows`` the child rows of a parent: those with an ``id`` (and ``row_version``) are changed, new ones stored,
        the others removed (archived where the child entity archives). Ids in the order given; Stale when one moved on."""
        entity = self._writable(address)
        before = {row["id"]: row for row in self.children(address, parent_field, parent_id, lock=True)}
        kept = {row["id"] for row in rows if row.get("id") is not None}
        if not kept <= before.keys():
            raise Stale(message("record.child_gone"))
        for gone in before.keys() - kept:
            version = before[gone]["row_version"]
            if entity.archivable:
                self.archive(address, gone, version)
            else:
                self.delete(address, gone, version)
        return [self._child(address, parent_field, parent_id, row, before) for row in rows]

    def _child(self, address: str, parent_field: str, parent_id: int, row: Mapping[str, Any], before: Mapping[int, Mapping[str, Any]]) -> int:
        values = {name: value for name, value in row.items() if name not in ("id", "row_version")}
        id = row.get("id")
        if id is None:
            return self.insert(address, {**values, parent_field: parent_id})
        changes = {name: value for name, value in values.items() if before[id].get(name) != value}
        if changes or row.get("row_version", before[id]["row_version"]) != before[id]["row_version"]:
            self.update(address, id, changes, row.get("row_version", before[id]["row_version"]))
        return id  # type: ignore[no-any-return]

    # -- columns -----------------------------------------------------------------------------------------------------

    def encode(self, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as columns, with their companions: ciphertext, blind indexes, pinyin."""
        table = self.revision.tables.of(entity.address)
        names = {field.name: field for field in (*implicit_fields(entity), *entity.fields.values()) if field.stored}
        encoded: dict[str, Any] = {}
        for name, value in values.items():
            field = names.get(name)
            if field is not None:
                encoded.update(self._columns_of(entity, field, value, table))
        return encoded

    def _columns_of(self, entity: Entity, field: Field, value: Any, table: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        companions = {suffix: f"{field.name}__{suffix}" for suffix in ("bx", "l4", "py") if f"{field.name}__{suffix}" in table.c}
        address = secret_address(entity.address, field)
        text = None if value is None else str(value)
        if field.encrypted:
            found[field.name] = None if text is None else self.tenant.secrets.encrypt(address, text)
        else:
            found[column_of(field)] = list(value) if field.type in LIST_TYPES and value is not None else value
        if "bx" in companions:
            found[companions["bx"]] = None if text is None else self.tenant.secrets.blind(address, text)
        if "l4" in companions:
            found[companions["l4"]] = None if text is None else self.tenant.secrets.blind(last4_address(address), text[-4:].upper())
        if "py" in companions:
            found[companions["py"]] = None if text is None else pinyin.companion(text)
        return found

    def _decoded(self, shape: _Shape, row: Any) -> dict[str, Any]:
        """A stored row as values by field name."""
        found = {name: row[place] for name, place in shape.places}
        for name in shape.lists:
            if found[name] is not None:
                found[name] = tuple(found[name])
        for name, address in shape.secrets:
            if found[name] is not None:
                found[name] = self.tenant.secrets.decrypt(address, found[name])
        return found

    def _shape(self, address: str) -> _Shape:
        shapes = SHAPES.of(self.revision)
        if address not in shapes:
            shapes[address] = _Shape(self._entity(address), self.revision.tables.of(address))
        return shapes[address]

    def _new_row(self, entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
        reserved = {"row_version": 1, "created_at": self.now, "created_by": self.user_id, "updated_at": self.now, "updated_by": self.user_id}
        given = {name: value for name, value in values.items() if name not in ("id", *reserved)}
        return {**self.encode(entity, given), **reserved}

    def _select(self, address: str, conditions: Any, *, lock: bool, order: Sequence[Any] = (), limit: int | None = None) -> list[dict[str, Any]]:
        table = self.revision.tables.of(address)
        statement = sa.select(table).where(*conditions(table)).order_by(*(order or (table.c.id,)))
        if limit is not None:
            statement = statement.limit(limit)
        if lock and self.revision.dialect == "postgresql":
            statement = statement.with_for_update(key_share=True)
        shape = self._shape(address)
        return [self._decoded(shape, row) for row in self.conn.execute(statement)]

    def _entity(self, address: str) -> Entity:
        entity: Entity = self.revision.catalog.entities[address]
        return entity

    def _writable(self, address: str) -> Entity:
        entity = self._entity(address)
        if entity.storage != "table":
            raise NotPossible(message("record.engine_storage", entity=entity.label))
        return entity
