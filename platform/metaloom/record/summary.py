"""Sums over rows: one number, one for each group, one for each day, week or month; exact on both databases, in one statement.

The rows are those of the list (scope, live, the conditions that were asked). A group, a day and a measure count only in rows where
the reader may read the field (decision 13); ``narrowed`` says when that left rows out, by a second statement where it could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom.access.condition import condition_clause
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.model import FieldLevel, FieldType, Measure
from metaloom.model.entity import EXACT_TYPES, LIST_TYPES
from metaloom.record.encode import words_for
from metaloom.record.mask import mask
from metaloom.record.paths import Path, target_of
from metaloom.record.select import Frame, secret_address, title_path
from metaloom.storage.types import IsoDate, UtcDateTime

if TYPE_CHECKING:
    from metaloom.record.reader import Reader

GROUPS_MAX = 400
PART = 10**9            # SQLite adds whole numbers of 64 bits: each is added in two halves, so that no sum leaves them
PLACES_OF_A_MEAN = 2
_NEVER_GROUPED = frozenset({FieldType.CHILD, FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.DATE, FieldType.DATETIME, FieldType.TIME,
                            *EXACT_TYPES, *LIST_TYPES})
_DATES = frozenset({FieldType.DATE, FieldType.DATETIME})
_NUMBERS = EXACT_TYPES | {FieldType.INTEGER}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Days of the field at ``path``, put together by ``unit`` (day, week from Monday, month, year)."""

    path: str
    unit: str
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Summing:
    """What is reckoned. ``group``: a path; ``sort``: which groups are kept, most | least, at most ``limit`` of them.
    ``part``: a condition; the measure is also taken of the rows for which it holds. ``locale``: of the words for groups."""

    measure: Measure = Measure()
    group: str = ""
    bucket: Bucket | None = None
    part: str = ""
    sort: str = "most"
    limit: int = 50
    locale: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One group. ``key``: the value in rows (an id for a link, the first day of a bucket, None where nothing is entered)."""

    key: Any
    words: str
    value: Any
    rows: int


@dataclass(frozen=True, slots=True)
class Summary:
    """``value`` and ``rows`` are of all rows, whatever groups were kept; ``groups_found`` counts the groups there are."""

    value: Any
    rows: int
    part: Any = None
    groups: tuple[Group, ...] = ()
    groups_found: int = 0
    narrowed: bool = False


def summed(reader: Reader, frame: Frame, clauses: Sequence[Any], asked: Summing, *, narrowed: bool) -> Summary:
    """The summary of the rows of ``frame`` for which ``clauses`` hold. Invalid for a path that is unknown, hidden or cannot be reckoned with."""
    work = _Work(reader, frame, list(clauses), narrowed, asked.locale or reader.locale)
    kinds = [work.reckoned(asked.measure, "")]
    if asked.part:
        kinds.append(work.reckoned(asked.measure, asked.part))
    if asked.group or asked.bucket:
        return work.groups(asked, kinds[0])
    row = reader.conn.execute(sa.select(sa.func.count(), *(a for kind in kinds for a in kind.atoms)).select_from(frame.source()).where(*work.clauses)).one()
    atoms = iter(row[1:])
    values = [kind.value([next(atoms) for _ in kind.atoms]) for kind in kinds]
    return Summary(values[0], row[0], values[1] if asked.part else None, narrowed=work.narrowed())


def adding(reader: Reader, frame: Frame, path: str) -> tuple[Reckoned, Any]:
    """The sum of the field at ``path`` where it may be read, for who reckons it over rows of ``frame`` in a statement of his own; with the
    condition that holds for the rows it leaves out, None where it leaves out none."""
    work = _Work(reader, frame, [], False, reader.locale)
    return work.reckoned(Measure("sum", path), ""), work.left_out()


def day_of(reader: Reader, frame: Frame, path: str, since: date, until: date) -> tuple[Any, Any, Any]:
    """(stored value, its day in the tenant's zone, condition under which it may be read or None) of a date or an instant at ``path``; days
    are right from ``since`` to ``until``. Invalid as for a bucket."""
    work = _Work(reader, frame, [], False, reader.locale)
    day = work._bucket(Bucket(path, "day", since, until))
    found = reader.visible_path(frame, path, "date", FieldLevel.READ)
    column = frame.column(found)
    return column, column if found.field.type is FieldType.DATE else day, work.clauses[0] if work.clauses else None


@dataclass(frozen=True)
class Reckoned:
    """A measure as aggregate columns, how their results become its value, and how groups are ordered by it."""

    atoms: tuple[Any, ...]
    value: Callable[[Sequence[Any]], Any]
    over_all: Callable[[Any], Any] = sa.func.sum     # the aggregate that makes the whole of the groups


class _Work:
    def __init__(self, reader: Reader, frame: Frame, clauses: list[Any], filters_narrowed: bool, locale: str) -> None:
        self.reader, self.frame, self.clauses, self.locale = reader, frame, clauses, locale
        self.sqlite = reader.revision.dialect != "postgresql"
        self._rows, self._filters_narrowed, self._conditions = list(clauses), filters_narrowed, []   # type: ignore[var-annotated]

    def narrowed(self) -> bool:
        """Whether a row was left out because a field may not be read there: asked only where the rights differ from row to row."""
        if self._filters_narrowed or not self._conditions:
            return self._filters_narrowed
        rows = sa.select(sa.literal(1)).select_from(self.frame.source()).where(*self._rows, self.left_out())
        return bool(self.reader.conn.scalar(sa.select(sa.exists(rows))))

    def left_out(self) -> Any:
        """The condition of rows in which a field may not be read; None where every row counts."""
        return sa.or_(*(sa.not_(sa.func.coalesce(condition, sa.false())) for condition in self._conditions)) if self._conditions else None

    # -- measures

    def reckoned(self, measure: Measure, part: str) -> Reckoned:
        condition = condition_clause(self.reader.revision, self.frame.entity.address, part, self.frame.table, self.reader.env) if part else None
        if measure.how == "count":
            return Reckoned((sa.func.count() if condition is None else sa.func.count(sa.case((condition, 1))),), lambda found: int(found[0] or 0))
        path = self._path(measure.path, "measure")
        extreme = measure.how in ("min", "max")
        if path.field.encrypted or path.field.type not in (_NUMBERS | _DATES if extreme else _NUMBERS):
            raise Invalid([Problem("measure", message("record.no_total", label=path.field.label))])
        column = self._readable_values(path, condition)
        if extreme:
            most = sa.func.min if measure.how == "min" else sa.func.max
            return Reckoned((most(column, type_=column.type),), lambda found: found[0], lambda c: most(c, type_=column.type))
        return self._added(measure.how, path, column)

    def _readable_values(self, path: Path, condition: Any) -> Any:
        """The values where they may be read and ``condition`` holds; null elsewhere."""
        readable, _ = self.frame.readable(path, FieldLevel.READ)
        self._conditions += [] if readable is None else [readable]
        conditions = [c for c in (readable, condition) if c is not None]
        column = self.frame.column(path)
        return sa.type_coerce(sa.case((sa.and_(*conditions), column)), column.type) if conditions else column

    def _added(self, how: str, path: Path, column: Any) -> Reckoned:
        scale = getattr(column.type, "scale", None) or 0
        exact = path.field.type in EXACT_TYPES
        halves = self._halves(column)
        places = scale if exact else PLACES_OF_A_MEAN

        def value(found: Sequence[Any]) -> Any:
            many, *parts = found
            if not many:
                return None if how == "avg" else _typed(Decimal(0), exact, scale)
            whole = Decimal(int(parts[0]) * PART + int(parts[1])).scaleb(-scale) if self.sqlite else Decimal(parts[0])
            if how == "avg":
                return (whole / many).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
            return _typed(whole, exact, scale)

        return Reckoned((sa.func.count(column), *halves), value)

    def _halves(self, column: Any) -> tuple[Any, ...]:
        """The sum; on SQLite as two sums, upper first, the lower one never negative, so that they also order groups."""
        if not self.sqlite:
            return (sa.func.sum(sa.type_coerce(column, sa.Numeric()), type_=sa.Numeric()),)
        raw, part = sa.type_coerce(column, sa.BigInteger()), sa.literal(PART, sa.BigInteger())
        low = raw.op("%")(part).op("+")(part).op("%")(part)
        high = sa.type_coerce(raw.op("-")(low), sa.BigInteger()).op("/")(part)
        return (sa.func.sum(high, type_=sa.BigInteger()), sa.func.sum(low, type_=sa.BigInteger()))

    # -- groups

    def groups(self, asked: Summing, kind: Reckoned) -> Summary:
        """One statement: rows grouped, the whole by window, the most of them kept, then the words of linked rows."""
        path = None if asked.bucket else self._path(asked.group, "group")
        key = self._bucket(asked.bucket) if asked.bucket else self._key(path)  # type: ignore[arg-type]
        inner = (sa.select(key.label("k"), sa.func.count().label("n"), *(a.label(f"a{i}") for i, a in enumerate(kind.atoms)))
                 .select_from(self.frame.source()).where(*self.clauses).group_by(sa.text("1"))).subquery("g")
        atoms = [inner.c[f"a{i}"] for i in range(len(kind.atoms))]
        whole = [sa.func.count().over(), sa.func.sum(inner.c.n, type_=sa.BigInteger()).over(), *(kind.over_all(a).over() for a in atoms)]
        order = self._order(asked, inner, atoms)
        limit = GROUPS_MAX if asked.bucket else min(asked.limit, GROUPS_MAX)
        kept = (sa.select(inner, *(w.label(f"w{i}") for i, w in enumerate(whole))).order_by(*order).limit(limit)).subquery("p")
        statement, words = self._with_words(kept, path, len(atoms))
        rows = self.reader.conn.execute(statement.order_by(*self._order(asked, kept, [kept.c[f"a{i}"] for i in range(len(atoms))]))).all()
        first, last = 2, 2 + len(atoms)
        made = tuple(Group(row[0], words(row), kind.value(row[first:last]), row[1]) for row in rows)
        if not rows:
            return Summary(kind.value([0] * len(atoms)) if asked.measure.how in ("count", "sum") else None, 0, narrowed=self.narrowed())
        found, many = rows[0][last], rows[0][last + 1]
        return Summary(kind.value(rows[0][last + 2:last + 2 + len(atoms)]), int(many), None, made, int(found), self.narrowed())

    def _order(self, asked: Summing, table: Any, atoms: Sequence[Any]) -> Iterator[Any]:
        if asked.bucket:
            yield table.c.k
            return
        values = list(atoms[1:]) if asked.measure.how in ("sum", "avg") else list(atoms)
        if asked.measure.how == "avg":
            values = [sa.cast(values[0], sa.Float()) * PART + values[1] if self.sqlite else values[0]]
            values = [values[0] / sa.func.nullif(atoms[0], 0)]
        for value in values:
            yield sa.nulls_last(value.asc() if asked.sort == "least" else value.desc())
        yield sa.nulls_last(table.c.k.asc())

    def _key(self, path: Path) -> Any:
        if path.field.encrypted or path.field.type in _NEVER_GROUPED:
            raise Invalid([Problem("group", message("record.no_group", label=path.field.label))])
        self._only_readable(path)
        return self.frame.column(path)

    def _only_readable(self, path: Path) -> None:
        condition, _ = self.frame.readable(path, FieldLevel.READ)
        if condition is not None:
            self.clauses.append(condition)
            self._conditions.append(condition)

    def _path(self, text: str, where: str) -> Path:
        """The path, if the reader may read it in the clear in some row; else it is as unknown as one that does not exist."""
        return self.reader.visible_path(self.frame, text, where, FieldLevel.READ)

    def _with_words(self, kept: Any, path: Path | None, atoms: int) -> tuple[Any, Callable[[Any], str]]:
        """The statement with the words of linked rows joined to the kept groups, and how a result row is called."""
        columns = [*kept.c]
        if path is None:
            return sa.select(*columns), lambda row: row[0].isoformat() if row[0] is not None else ""
        reader = self.reader
        said = words_for(reader.plan.catalog, path.field, self.locale, entity=path.entity, zone=reader.zone)
        if not path.is_link:
            return sa.select(*columns), lambda row: "" if row[0] is None else said(row[0])
        target = reader.plan.catalog.entities[target_of(path.field)]
        frame = Frame(reader.plan, target.address, reader.env, action="")
        title = title_path(reader.known_path, target)
        source, at = kept.outerjoin(frame.table, frame.table.c.id == kept.c.k), len(columns)
        if title is None:
            return sa.select(*columns).select_from(source), lambda row: f"#{row[0]}"
        clear, masked = (frame.readable(title, level) for level in (FieldLevel.READ, FieldLevel.MASKED))
        flags = [sa.literal(possible) if condition is None else sa.and_(sa.literal(possible), condition) for condition, possible in (clear, masked)]
        columns += [frame.column(title), *flags]
        for table, on in frame.joins:
            source = source.outerjoin(table, on)
        return sa.select(*columns).select_from(source), self._titles(title, at)

    def _titles(self, title: Path, at: int) -> Callable[[Any], str]:
        field, reader = title.field, self.reader
        words = words_for(reader.plan.catalog, field, self.locale, entity=title.entity, zone=reader.zone)
        address, decrypt = secret_address(title.entity, field), reader.tenant.secrets.decrypt

        def called(row: Any) -> str:
            raw, clear, masked = row[at:at + 3]
            if row[0] is None:
                return ""
            if raw is None or not (clear or masked):
                return f"#{row[0]}"
            plain = decrypt(address, raw) if field.encrypted else raw
            return words(plain) if clear else str(mask(field, plain))

        return called

    # -- days

    def _bucket(self, bucket: Bucket) -> Any:
        path = self._path(bucket.path, "date")
        if path.field.type not in _DATES:
            raise Invalid([Problem("date", message("record.no_group", label=path.field.label))])
        self._only_readable(path)
        column, instant = self.frame.column(path), path.field.type is FieldType.DATETIME
        if self.sqlite:
            return self._sqlite_day(column, instant, bucket)
        if instant:
            column = sa.func.timezone(getattr(self.reader.zone, "key", "UTC"), column)
        return sa.type_coerce(sa.cast(sa.func.date_trunc(sa.literal_column(f"'{bucket.unit}'"), sa.cast(column, sa.TIMESTAMP())), sa.Date()), IsoDate())

    def _sqlite_day(self, column: Any, instant: bool, bucket: Bucket) -> Any:
        steps = _STEPS[bucket.unit]
        raw = sa.type_coerce(column, sa.Text())
        if not instant:
            return sa.func.date(raw, *steps, type_=IsoDate())
        spans = _offsets(self.reader.zone, bucket.since, bucket.until)
        days = [sa.func.date(raw, f"{seconds:+d} seconds", *steps, type_=IsoDate()) for _, seconds in spans]
        if len(days) == 1:
            return days[0]
        begun = [sa.literal(moment, UtcDateTime()) for moment, _ in spans[1:]]
        return sa.type_coerce(sa.case(*((column < moment, day) for moment, day in zip(begun, days, strict=False)), else_=days[-1]), IsoDate())


_STEPS = {"day": (), "week": ("weekday 0", "-6 days"), "month": ("start of month",), "year": ("start of year",)}


def _offsets(zone: tzinfo, since: date, until: date) -> list[tuple[datetime, int]]:
    """The offsets from UTC, in seconds, that hold between two days, each with the instant from which it holds."""
    moment = datetime.combine(since, time(), UTC) - timedelta(days=1)
    found = [(moment, _offset(zone, moment))]
    while moment.date() <= until + timedelta(days=1):
        later = moment + timedelta(days=1)
        if _offset(zone, later) != found[-1][1]:
            found.append((_change(zone, moment, later), _offset(zone, later)))
        moment = later
    return found


def _offset(zone: tzinfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """The minute between two instants from which the later offset holds."""
    while high - low > timedelta(minutes=1):
        middle = low + timedelta(minutes=(high - low) // timedelta(minutes=1) // 2)
        low, high = (low, middle) if _offset(zone, middle) == _offset(zone, high) else (middle, high)
    return high


def _typed(whole: Decimal, exact: bool, scale: int) -> Any:
    return whole.quantize(Decimal(1).scaleb(-scale)) if exact else int(whole)
