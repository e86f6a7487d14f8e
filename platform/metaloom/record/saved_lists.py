"""Lists that people keep: rows of ``ml_saved_list``, and what of such a list a reader may run and be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.access import AccessPlan
from metaloom.model import FieldLevel
from metaloom.model.dashboard import BUCKETS
from metaloom.model.screen import SHAPES, SPANS, VIEWS
from metaloom.record.paths import PATHS, Path, UnknownPath
from metaloom.storage.tables import ENGINE

TABLE = ENGINE.saved_list
NOBODY, ROLES, EVERYBODY = "nobody", "roles", "everybody"
PREFIX, ENDS = "f.", ("~from", "~to")
CODED = {"view": VIEWS, "span": SPANS, "as": sum(SHAPES.values(), ()), "unit": BUCKETS}        # the way of looking, each word with what it may say
PATHED = frozenset({"sort", "by", "of"})                                    # words that name fields: order, groups and sum of a chart
OF_VIEW = {"calendar": frozenset({"span"}), "chart": frozenset({"by", "of", "as", "unit"})}
OWN_WORDS = frozenset({"q", "tab", "archived", "size", *PATHED, *CODED})
Query = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class SavedList:
    """``query``: parameters of the list's address, each with its values. ``left_out``: parts of it that this reader may not see."""

    id: int
    row_version: int
    entity: str
    list: str
    name: str
    owner_id: int
    shared: str
    roles: tuple[str, ...]
    query: Query
    columns: tuple[str, ...]
    left_out: bool = False


class SavedLists:
    """The kept lists of one tenant on one connection."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def of(self, user_id: int, roles: Iterable[str], entity: str, name: str) -> list[SavedList]:
        """Those of one list that this person keeps or is shown: own ones first, then by name."""
        held = frozenset(roles)
        asked = sa.select(TABLE).where(TABLE.c.entity == entity, TABLE.c.list == name,
                                       sa.or_(TABLE.c.owner_id == user_id, TABLE.c.shared != NOBODY)).order_by(TABLE.c.id)
        found = [_read(row) for row in self._conn.execute(asked).mappings()]
        return sorted((one for one in found if reaches(one, user_id, held)), key=lambda one: (one.owner_id != user_id, one.name))

    def one(self, id: int, *, lock: bool = False) -> SavedList | None:
        asked = sa.select(TABLE).where(TABLE.c.id == id)
        row = self._conn.execute(asked.with_for_update() if lock else asked).mappings().one_or_none()
        return _read(row) if row is not None else None

    def add(self, values: Mapping[str, Any]) -> int:
        return int(self._conn.execute(TABLE.insert().values(**values).returning(TABLE.c.id)).scalar_one())

    def change(self, id: int, values: Mapping[str, Any]) -> None:
        self._conn.execute(TABLE.update().where(TABLE.c.id == id).values(**values, row_version=TABLE.c.row_version + 1))

    def remove(self, id: int) -> None:
        self._conn.execute(TABLE.delete().where(TABLE.c.id == id))


def reaches(one: SavedList, user_id: int | None, roles: frozenset[str]) -> bool:
    """Whether this person is shown the list at all."""
    return one.owner_id == user_id or one.shared == EVERYBODY or (one.shared == ROLES and not roles.isdisjoint(one.roles))


def _read(row: Any) -> SavedList:
    return SavedList(row["id"], row["row_version"], row["entity"], row["list"], row["name"], row["owner_id"], row["shared"], tuple(row["roles"]),
                     {key: tuple(values) for key, values in row["query"].items()}, tuple(row["columns"]))


# ------------------------------------------------------------------------------------------------ what a reader may see


def path_of(key: str) -> str:
    """The path that a parameter of the address filters by; empty for the list's own words."""
    if not key.startswith(PREFIX):
        return ""
    for end in ENDS:
        key = key.removesuffix(end)
    return key[len(PREFIX):]


def told(plan: AccessPlan, revision: Any, one: SavedList) -> SavedList:
    """The list as this reader may run and read it: what asks for fields that are not theirs is left out, and its values too."""
    level = FieldLevel.MASKED if one.owner_id == plan.actor.user_id else FieldLevel.READ
    query: dict[str, tuple[str, ...]] = {}
    for key, values in one.query.items():
        path = path_of(key)
        if key in PATHED:
            values = tuple(v for v in values if sees(plan, revision, one.entity, v.removeprefix("-"), FieldLevel.READ))
        elif path and not sees(plan, revision, one.entity, path, level):
            continue
        if values:
            query[key] = values
    columns = tuple(c for c in one.columns if sees(plan, revision, one.entity, c, FieldLevel.MASKED))
    left_out = query != dict(one.query) or columns != one.columns
    return SavedList(one.id, one.row_version, one.entity, one.list, one.name, one.owner_id, one.shared, one.roles, query, columns, left_out)


def sees(plan: AccessPlan, revision: Any, entity: str, text: str, level: FieldLevel) -> bool:
    """Whether the reader has ``level`` on the field at the end of the path in some row, and may follow the links that lead there."""
    path = known(revision, entity, text)
    return path is not None and all(plan.field_level_anywhere(h.entity, h.field.name) >= FieldLevel.READ for h in path.hops) \
        and plan.field_level_anywhere(path.entity, path.field.name) >= level


def known(revision: Any, entity: str, text: str) -> Path | None:
    """The path, or None when the catalog has none such."""
    try:
        return PATHS.of(revision).path(entity, text)
    except (UnknownPath, KeyError):
        return None
