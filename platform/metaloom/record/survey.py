"""Survey: every stored row of any entity, whoever asks, for looking whether the whole is as it must be.

Rights hold for people. This is for ``metaloom doctor``, on the machine, in a read-only transaction; nothing of it reaches a
screen or the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom.model import Entity
from metaloom.record.paths import column_of, field_of

PAGE = 2_000


class Survey:
    """Implements :class:`metaloom.plugin.invariant.Survey` on one transaction. ``looked`` counts the rows that were read."""

    def __init__(self, conn: sa.Connection, revision: Any, company: int | None = None, until: date | None = None) -> None:
        self._conn, self._revision, self._company, self._until = conn, revision, company, until
        self.looked = 0

    @property
    def company(self) -> int | None:
        return self._company

    @property
    def until(self) -> date | None:
        return self._until

    def links_checked_in_sets(self) -> tuple[tuple[str, str, str], ...]:
        """Entity, column and target of every link that no foreign key holds."""
        return tuple((entity.address, entity.fields[name].column, entity.fields[name].entity)
                     for entity in self._revision.catalog.entities.values() for name in entity.checked_in_sets)

    def rows(self, entity: str, fields: Sequence[str], where: Mapping[str, Any] | None = None) -> Iterator[Mapping[str, Any]]:
        found, table = self._entity(entity), self._revision.tables.of(entity)
        columns = [_column(found, table, name).label(f"f{place}") for place, name in enumerate(fields)]
        wanted, last = sa.select(table.c.id, *columns).where(*self._ours(found, table), *_conditions(found, table, where)).order_by(table.c.id).limit(PAGE), 0
        while page := self._conn.execute(wanted.where(table.c.id > last)).all():
            self.looked += len(page)
            last = page[-1][0]
            yield from (dict(zip(("id", *fields), row, strict=True)) for row in page)

    def sums(self, entity: str, by: Sequence[str], of: Sequence[str],
             where: Mapping[str, Any] | None = None) -> Mapping[Any, Mapping[str, Decimal]]:
        found, table = self._entity(entity), self._revision.tables.of(entity)
        keys = [_column(found, table, name) for name in by]
        amounts = [_column(found, table, name) for name in of]
        total = [sa.type_coerce(sa.func.coalesce(sa.func.sum(column), 0), column.type) for column in amounts]
        wanted = sa.select(sa.func.count(), *keys, *total).where(*self._ours(found, table), *_conditions(found, table, where)).group_by(*keys)
        sums = {}
        for number, *values in self._conn.execute(wanted):
            self.looked += number
            key = tuple(values[:len(keys)]) if len(keys) != 1 else values[0]
            sums[key] = dict(zip(of, values[len(keys):], strict=True))
        return sums

    def _ours(self, entity: Entity, table: sa.Table) -> list[Any]:
        return [table.c.company_id == self._company] if self._company is not None and "company" in entity.ownership.owned_by else []

    def _entity(self, address: str) -> Entity:
        found: Entity = self._revision.catalog.entities[address]
        return found


def _column(entity: Entity, table: sa.Table, name: str) -> Any:
    field = field_of(entity, name)
    if field.encrypted or not field.stored:
        raise LookupError(f"{entity.address} has no {name} that could be surveyed")
    return table.c[column_of(field)]


def _conditions(entity: Entity, table: sa.Table, where: Mapping[str, Any] | None) -> Iterator[Any]:
    for name, value in (where or {}).items():
        column = _column(entity, table, name)
        yield column.is_(None) if value is None else column.in_(value) if isinstance(value, (list, tuple)) else column == value
