"""Tables: the SQLAlchemy tables of a revision, each built when first asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from metaloom.model import Catalog
from metaloom.storage import engine
from metaloom.storage.columns import columns_of, sa_column, table_name

ENGINE = SimpleNamespace(**{
    name: table for name, table in vars(engine).items() if isinstance(table, sa.Table)
})  # fmt: skip


class Tables:
    """``of(address)`` is an entity's table, ``engine.<name>`` an engine table (audit, outbox, user, ledger_entry …).

    Lazy: a catalog of a hundred entities costs nothing until an entity is used. Shared by threads and tenants.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.engine: Any = ENGINE
        self._metadata = sa.MetaData()
        self._built: dict[str, sa.Table] = {}

    def of(self, address: str) -> sa.Table:
        """The table of the entity at ``address``; KeyError when the catalog has no such entity."""
        found = self._built.get(address)
        return found if found is not None else self._built.setdefault(address, self._build(address))

    def _build(self, address: str) -> sa.Table:
        entity = self.catalog.entities[address]
        specs = columns_of(self.catalog, entity)
        name = table_name(entity)
        if entity.storage != "engine":
            return sa.Table(name, sa.MetaData(), *(sa_column(spec) for spec in specs), sqlite_autoincrement=True)
        base = engine.METADATA.tables.get(name)
        if base is None:
            raise KeyError(f"{address} says storage: engine, but the engine has no table {name}")
        extra = (sa_column(spec) for spec in specs if spec.name not in base.columns)
        if all(spec.name in base.columns for spec in specs):
            return base
        return sa.Table(name, sa.MetaData(), *(_copied(column) for column in base.columns), *extra)


def _copied(column: sa.Column[Any]) -> sa.Column[Any]:
    return sa.Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
