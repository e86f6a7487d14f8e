"""A list as columns: the rows of each value of one field, the first of them and how many there are, in one statement.

The rows are those of the list. A row stands in a column only where the reader may read the field in the clear (decision 13), and
adds to a sum only where the number may be read; ``narrowed`` says when a row of a column did not add.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.model import FieldLevel, FieldType
from metaloom.record.paging import Order
from metaloom.record.row import Row
from metaloom.record.select import Frame, Selection
from metaloom.record.summary import adding

if TYPE_CHECKING:
    from metaloom.record.reader import Reader

COLUMNED = frozenset({FieldType.CHOICE, FieldType.STATE})


@dataclass(frozen=True, slots=True)
class Lane:
    """One column. ``key``: the value, None where nothing is entered; ``rows`` and ``sums`` are of all its rows, ``cards`` the first of them."""

    key: str | None
    rows: int
    sums: Mapping[str, Any]
    cards: tuple[Row, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """The columns that have rows, by value. ``narrowed``: as for a page of a list, or a sum leaves out rows where its number may not be read."""

    lanes: Mapping[str | None, Lane]
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class Lanes:
    """How a board is asked for. ``keys``: which values have a column, () = all; ``sums``: paths of numbers; ``limit``: cards of a column."""

    by: str
    keys: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    limit: int = 20


def laid_out(reader: Reader, frame: Frame, clauses: Sequence[Any], order: Order, lanes: Lanes, *, seal: Callable[[Sequence[Any]], str],
             select: Callable[[Sequence[str]], tuple[Frame, Selection]]) -> Laid:
    """The columns of the rows of ``frame`` for which ``clauses`` hold. ``seal``: key values of a row → the marker behind it; ``select``:
    what is read of the cards. Invalid for a field that is unknown, hidden or masked, or that is no choice and no state."""
    clauses = list(clauses)
    before = len(clauses)
    column = column_of_lanes(reader, frame, clauses, lanes.by)
    narrowed = len(clauses) > before
    if lanes.keys:
        clauses.append(column.in_(lanes.keys))
    added = {path: adding(reader, frame, path) for path in lanes.sums}
    sums, unread = {path: kind for path, (kind, _) in added.items()}, [out for _, out in added.values() if out is not None]
    left_out = sa.func.count(sa.case((sa.or_(*unread), 1))).over(partition_by=column) if unread else sa.literal_column("0")
    atoms = [atom.over(partition_by=column).label(f"a{i}") for i, atom in enumerate(a for kind in sums.values() for a in kind.atoms)]
    place = sa.func.row_number().over(partition_by=column, order_by=order.by(reverse=False, phase=None)).label("n")
    keys = [key.column.label(f"k{i}") for i, key in enumerate(order.keys)]
    ranked = (sa.select(*keys, column.label("g"), place, sa.func.count().over(partition_by=column).label("m"), left_out.label("o"), *atoms)
              .select_from(frame.source()).where(*clauses)).subquery("w")
    outer, selection = select(lanes.paths)
    source = ranked.join(outer.table, outer.table.c.id == ranked.c[f"k{len(keys) - 1}"])
    for table, on in outer.joins:
        source = source.outerjoin(table, on)
    wanted = sa.select(*selection.statement_columns(), *ranked.c).select_from(source).where(ranked.c.n <= lanes.limit).order_by(ranked.c.n)
    width = len(selection.columns)
    found: dict[str | None, list[Any]] = {}
    for raw in reader.conn.execute(wanted):
        found.setdefault(raw[width + len(keys)], []).append(raw)
    decode = selection.decoder()

    def lane(key: str | None, raws: Sequence[Any]) -> Lane:
        last = raws[-1][width:]
        many, rest = last[len(keys) + 2], list(last[len(keys) + 4:])
        values = {}
        for path, kind in sums.items():
            values[path], rest = kind.value(rest[:len(kind.atoms)]), rest[len(kind.atoms):]
        return Lane(key, many, values, tuple(decode(raw) for raw in raws), seal(last[:len(keys)]) if many > len(raws) else None)

    narrowed = narrowed or any(raws[0][width + len(keys) + 3] for raws in found.values())
    return Laid({key: lane(key, raws) for key, raws in found.items()}, narrowed)


def in_lane(reader: Reader, by: str, key: str | None) -> Callable[[Frame], sa.ColumnElement[bool]]:
    """The condition of one column, for ``Asked.where``: with a lane's cursor it continues that column as a list."""
    def stands_here(frame: Frame) -> sa.ColumnElement[bool]:
        conditions: list[Any] = []
        column = column_of_lanes(reader, frame, conditions, by)
        return sa.and_(column.is_(None) if key is None else column == key, *conditions)

    return stands_here


def column_of_lanes(reader: Reader, frame: Frame, clauses: list[Any], by: str) -> Any:
    """The column that a board goes by; the condition under which it may be read is added to ``clauses``."""
    path = reader.visible_path(frame, by, "by", FieldLevel.READ)
    if path.field.type not in COLUMNED or path.field.encrypted or path.hops:
        raise Invalid([Problem("by", message("record.no_group", label=path.field.label))])
    condition, _ = frame.readable(path, FieldLevel.READ)
    if condition is not None:
        clauses.append(condition)
    return frame.column(path)
