"""A list by days: the rows of each day, the first of them and how many there are, in one statement.

The rows are those of the list. A row stands on a day only where the reader may read the date in the clear (decision 13); days are
those of the tenant's zone. A row with an end stands on every day from its date to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom.record.row import Row
from metaloom.record.select import Frame, Selection
from metaloom.record.summary import day_of
from metaloom.storage.types import IsoDate, UtcDateTime

if TYPE_CHECKING:
    from metaloom.record.reader import Reader

DAYS_MAX = 62


@dataclass(frozen=True, slots=True)
class Days:
    """Which days are asked for, both included. ``date`` and ``end``: paths; ``limit``: rows of one day."""

    date: str
    since: date
    until: date
    end: str = ""
    paths: tuple[str, ...] = ()
    limit: int = 5


@dataclass(frozen=True, slots=True)
class Day:
    """``rows``: how many there are on the day; ``cards``: the first of them, by their date."""

    rows: int
    cards: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Dated:
    """The days on which something stands. ``narrowed``: as for a page of a list."""

    days: Mapping[date, Day]
    narrowed: bool = False


def by_day(reader: Reader, frame: Frame, clauses: Sequence[Any], asked: Days, *,
           select: Callable[[Sequence[str]], tuple[Frame, Selection]]) -> Dated:
    """The rows of ``frame`` for which ``clauses`` hold, by day. Invalid for a date that is unknown, hidden, masked or no date."""
    assert asked.until - asked.since < timedelta(days=DAYS_MAX)
    begins, begin, readable = day_of(reader, frame, asked.date, asked.since, asked.until)
    clauses = [*clauses, *([] if readable is None else [readable]), begin <= _day(asked.until)]
    if asked.end:
        _, end, known = day_of(reader, frame, asked.end, asked.since, asked.until)
        last = end if known is None else sa.type_coerce(sa.case((known, end)), IsoDate())
        days = sa.union_all(*(sa.select(_day(day).label("d")) for day in _span(asked.since, asked.until))).subquery("d")
        day = days.c.d
        clauses.append(sa.or_(begin >= _day(asked.since), last >= _day(asked.since)))
        source = frame.source().join(days, sa.or_(begin == day, sa.and_(begin <= day, last >= day)))
    else:
        day, source = begin, frame.source()
        clauses.append(begin >= _day(asked.since))
        if begins is not begin:                                 # whole days around, which an index of the instants serves
            clauses += [begins >= _instant(asked.since, -1), begins < _instant(asked.until, 2)]
    place = sa.func.row_number().over(partition_by=day, order_by=(begins.asc(), frame.table.c.id.asc())).label("n")
    ranked = (sa.select(frame.table.c.id.label("i"), day.label("g"), place, sa.func.count().over(partition_by=day).label("m"))
              .select_from(source).where(*clauses)).subquery("w")
    outer, selection = select(asked.paths)
    joined = ranked.join(outer.table, outer.table.c.id == ranked.c.i)
    for table, on in outer.joins:
        joined = joined.outerjoin(table, on)
    wanted = (sa.select(*selection.statement_columns(), ranked.c.g, ranked.c.m).select_from(joined).where(ranked.c.n <= asked.limit)
              .order_by(ranked.c.g, ranked.c.n))
    width, decode = len(selection.columns), selection.decoder()
    found: dict[date, list[Any]] = {}
    for raw in reader.conn.execute(wanted):
        found.setdefault(raw[width], []).append(raw)
    return Dated({key: Day(raws[0][width + 1], tuple(decode(raw) for raw in raws)) for key, raws in found.items()}, readable is not None)


def _day(day: date) -> Any:
    return sa.literal(day, IsoDate())


def _instant(day: date, days: int) -> Any:
    return sa.literal(datetime.combine(day, time(), UTC) + timedelta(days=days), UtcDateTime())


def _span(since: date, until: date) -> list[date]:
    return [since + timedelta(days=number) for number in range((until - since).days + 1)]
