"""The tree of organisation units, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

COMPANY, ORG_UNIT = "platform.company", "platform.org_unit"


@dataclass(frozen=True, slots=True)
class Unit:
    """One organisation unit; ``parent_id`` is None at the top of its company."""

    id: int
    company_id: int | None
    parent_id: int | None
    code: str
    name: str


@dataclass(frozen=True, eq=False)
class OrgTree:
    """Companies and units. ``stamp`` changes whenever one of them does."""

    units: Mapping[int, Unit] = field(default_factory=dict)
    stamp: str = ""

    @classmethod
    def of(cls, units: Iterable[Unit], stamp: str = "") -> OrgTree:
        return cls(MappingProxyType({unit.id: unit for unit in units}), stamp)

    def subtree(self, unit_id: int | None) -> tuple[int, ...]:
        """``unit_id`` and all units below it, sorted; a circle in the data ends the walk, an unknown unit gives ()."""
        found: set[int] = set()
        waiting = [unit_id] if unit_id in self.units else []
        below = self._children() if waiting else {}
        while waiting:
            current = waiting.pop()
            if current is not None and current not in found:
                found.add(current)
                waiting.extend(below.get(current, ()))
        return tuple(sorted(found))

    def with_codes(self, codes: Iterable[str]) -> tuple[int, ...]:
        """Ids of the units with these codes."""
        wanted = frozenset(codes)
        return tuple(sorted(unit.id for unit in self.units.values() if unit.code in wanted))

    def company_of(self, unit_id: int | None) -> int | None:
        unit = self.units.get(unit_id) if unit_id is not None else None
        return unit.company_id if unit else None

    def _children(self) -> dict[int, list[int]]:
        below: dict[int, list[int]] = {}
        for unit in self.units.values():
            if unit.parent_id is not None:
                below.setdefault(unit.parent_id, []).append(unit.id)
        return below


def load_org_tree(conn: sa.Connection, revision: Any, stamp: str = "") -> OrgTree:
    """Read the tree in one statement; empty where the catalog has no units."""
    if ORG_UNIT not in revision.catalog.entities:
        return OrgTree(stamp=stamp)
    table = revision.tables.of(ORG_UNIT)
    columns = [_column(table, name) for name in ("id", "company_id", "parent_id", "code", "name")]
    rows = conn.execute(sa.select(*columns).where(*_live(table)))
    return OrgTree.of((Unit(r[0], r[1], r[2], r[3] or "", r[4] or "") for r in rows), stamp)


def stamp_columns(revision: Any) -> list[sa.ColumnElement[Any]]:
    """Scalar sub-selects that together change whenever a unit is added, moved, archived or removed."""
    if ORG_UNIT not in revision.catalog.entities:
        return [sa.literal(0).label("org_rows"), sa.literal(0).label("org_versions")]
    table = revision.tables.of(ORG_UNIT)
    return [
        sa.select(sa.func.count()).select_from(table).scalar_subquery().label("org_rows"),
        sa.select(sa.func.coalesce(sa.func.sum(table.c.row_version), 0)).scalar_subquery().label("org_versions"),
    ]


def _column(table: Any, name: str) -> sa.ColumnElement[Any]:
    return table.c[name] if name in table.c else sa.null().label(name)


def _live(table: Any) -> list[sa.ColumnElement[bool]]:
    return [table.c.archived_at.is_(None)] if "archived_at" in table.c else []
