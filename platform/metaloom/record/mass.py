"""Very many rows at once, as columns of plain numbers and texts: read in one statement, written in one statement.

Exact decimals travel as integers of their last place and dates as ordinals, so that nobody makes a Decimal or a date for each value.
PostgreSQL takes a column as one array; SQLite takes the rows one after another in one call.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import chain
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import elements, functions, operators, visitors

from metaloom.base.errors import NotFound
from metaloom.model import Entity, Field
from metaloom.plugin.mass import Reckoned, Settled, Written
from metaloom.record.paths import UnknownPath, column_of, field_of
from metaloom.storage.types import BigInt, ExactDecimal, Flag, IsoDate, LongText, ShortText, UtcDateTime

Columns = Mapping[str, list[Any]]
_COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq)
_KINDS = ((ExactDecimal, "exact"), (IsoDate, "date"), (Flag, "flag"), (BigInt, "integer"), (ShortText, "text"), (LongText, "text"))


class NoColumn(LookupError):
    """The entity has no such field, or it holds what cannot travel as a column (secrets, lists, instants)."""


def column(revision: Any, entity: Entity, name: str) -> tuple[sa.Column[Any], str]:
    """The column of a field and its kind: exact, date, flag, integer or text."""
    try:
        found: Field = field_of(entity, name)
    except UnknownPath:
        raise NoColumn(f"{entity.address} has no field {name}") from None
    table = revision.tables.of(entity.address)
    place = table.c.get(column_of(found)) if found.stored else None
    kind = next((kind for type_, kind in _KINDS if place is not None and isinstance(place.type, type_)), "")
    if not kind or found.encrypted or isinstance(place.type, UtcDateTime):
        raise NoColumn(f"{entity.address}.{name} cannot be read as a column")
    return place, kind


def read(conn: sa.Connection, revision: Any, entity: Entity, names: Sequence[str], clauses: Sequence[Any], *, order: Sequence[str] = ("id",),
         lock: bool = False) -> Columns:
    """The rows for which the clauses hold, as columns. ``lock``: nobody else changes them until the transaction ends; rows that somebody
    is changing are waited for and looked at again (SQLite has one writer anyway)."""
    expressions = [_out(*column(revision, entity, name), revision.dialect).label(f"c{place}") for place, name in enumerate(names)]
    by = [column(revision, entity, name)[0] for name in order]
    table = revision.tables.of(entity.address)
    query = sa.select(*expressions).select_from(table).where(*clauses).order_by(*by)
    if revision.dialect != "postgresql":
        found = conn.execute(query).all()
        return dict(zip(names, map(list, zip(*found, strict=True)), strict=True)) if found else {name: [] for name in names}
    inner = (query.with_for_update(of=table, key_share=True) if lock else query).subquery()
    row = conn.execute(sa.select(*(sa.func.array_agg(one, type_=sa.ARRAY(sa.Integer)) for one in inner.c))).one()
    return {name: values or [] for name, values in zip(names, row, strict=True)}


def least(conn: sa.Connection, revision: Any, entity: Entity, name: str, clauses: Sequence[Any]) -> Any:
    """The smallest value of a field over the rows for which the clauses hold."""
    place, kind = column(revision, entity, name)
    return conn.scalar(sa.select(_out(sa.func.min(place, type_=place.type), kind, revision.dialect)).where(*clauses))


class _Arithmetic:
    """Implements :class:`metaloom.plugin.mass.Arithmetic`."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def case(self, *pairs: tuple[Any, Any], other: Any) -> Any:
        return sa.case(*pairs, else_=other)

    def least(self, one: Any, two: Any) -> Any:
        return (sa.func.least if self._dialect == "postgresql" else sa.func.min)(one, two, type_=sa.BigInteger())

    def most(self, one: Any, two: Any) -> Any:
        return (sa.func.greatest if self._dialect == "postgresql" else sa.func.max)(one, two, type_=sa.BigInteger())

    def filled(self, said: Any, value: Any) -> Any:
        return sa.func.coalesce(said, value)

    def unless_zero(self, said: Any) -> Any:
        return sa.func.nullif(said, 0, type_=sa.BigInteger())

    def number(self, value: int) -> Any:
        return sa.literal(value, sa.BigInteger)

    def roughly(self, said: Any) -> Any:
        return sa.cast(said, sa.Double)


class Reckoner(_Arithmetic):
    """Implements :class:`metaloom.plugin.mass.Terms` and makes the statement.

    Three levels: the joined rows, with each field that is asked for turned into a whole number once; what is kept for each of them; the
    sums. ``OFFSET 0`` holds PostgreSQL to that: it would put the conversion back wherever the number is used.
    """

    def __init__(self, revision: Any, entity: Entity, rows: Entity, link: str, entities: Callable[[str], Entity], bounds: tuple[Any, Any],
                 each: Sequence[int]) -> None:
        super().__init__(revision.dialect)
        self.numbers, self.bounds = each, bounds
        self._revision, self._entity, self._rows, self._entities = revision, entity, rows, entities
        self._record = revision.tables.of(entity.address)
        self._row = revision.tables.of(rows.address).alias("r")
        self._near = column(revision, rows, link)[0]
        self._fields: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._kept: list[dict[str, Any]] = []
        self._dates: dict[str, Any] = {}
        self._series = self._numbers(array(each, "integer")) if len(each) > 1 else None
        self._number: Any = sa.literal(each[0], sa.BigInteger) if self._series is None else self._series.c.n
        self.each: Any = sa.column("c1", sa.BigInteger)

    def _numbers(self, said: str) -> Any:
        if self._revision.dialect == "postgresql":
            return sa.select(sa.func.unnest(sa.cast(sa.literal(said, sa.Text), sa.ARRAY(sa.BigInteger))).label("n")).subquery("e")
        return sa.select(sa.literal_column("value", sa.BigInteger).label("n")).select_from(sa.func.json_each(f"[{said[1:-1]}]")).subquery("e")

    def of(self, field: str) -> Any:
        return self._stored("record", field, *column(self._revision, self._entity, field))

    def row(self, field: str) -> Any:
        place, kind = column(self._revision, self._rows, field)
        return self._stored("row", field, self._row.c[place.name], kind)

    def _stored(self, of: str, field: str, place: Any, kind: str) -> Any:
        named = self._once(of, field, lambda: _out(place, kind, self._dialect))
        if kind == "date":
            self._dates[named.name] = place
        return named

    def _once(self, of: str, field: str, make: Callable[[], Any]) -> Any:
        """The name under which the field goes from the first level on."""
        if (of, field) not in self._fields:
            made = make()
            self._fields[of, field] = sa.column(f"f{len(self._fields)}", made.type), made
        return self._fields[of, field][0]

    def kept(self, said: Any) -> Any:
        inside = set(_named(said))
        level = max((n for n, ones in enumerate(self._kept, 1) if inside & set(ones)), default=0)
        if level == len(self._kept):
            self._kept.append({})
        name = f"k{level}_{len(self._kept[level])}"
        self._kept[level][name] = said
        return sa.column(name, said.type)

    def none(self, entity: str, link: str, where: Mapping[str, object]) -> Any:
        found = self._entities(entity)
        place = column(self._revision, found, link)[0]
        there = sa.select(place).where(place.between(*self.bounds), *equal(self._revision, found, where))
        return self._record.c.id.not_in(there)

    def nothing(self, field: str) -> Any:
        place, kind = column(self._revision, self._entity, field)
        return sa.or_(place.is_(None), place.is_(sa.false()) if kind == "flag" else sa.type_coerce(place, sa.Integer) == 0)

    def sum(self, said: Any) -> Any:
        return sa.cast(sa.func.sum(said), sa.BigInteger)

    def query(self, said: Reckoned, clauses: Sequence[Any]) -> Any:
        """Columns c0 (id), c1 (number), then ``what`` and ``rises``, in the order of both."""
        needed = self._needed(said)
        place = self._joined(said, clauses, needed[0])
        for level, ones in enumerate(self._kept):
            told = [_told(one, place.c).label(name) for name, one in ones.items()]
            passed = (one for one in place.c if one.name in needed[level + 1])
            place = _fenced(sa.select(*passed, *told), self._dialect).subquery(f"kept{level}")
        by, own = [place.c.c0, place.c.c1], {"c1", *(one.name for (of, _), (one, _) in self._fields.items() if of != "row")}
        wanted = [_of_all(one, own, place.c).label(f"c{n}") for n, one in enumerate(said.what.values(), 2)]
        having = [_of_all(one, own, place.c) for one in said.having]
        found = sa.select(*by, *wanted).group_by(*by).having(sa.and_(sa.true(), *having)).order_by(*by)
        if not said.rises:
            return found
        inner, places = found.subquery("reckoned"), {name: f"c{place}" for place, name in enumerate(said.what, 2)}
        rises = [(inner.c[places[of]] - self._before(inner, places[of], places[first])).label(f"c{place}")
                 for place, (of, first) in enumerate(said.rises.values(), 2 + len(places))]
        return sa.select(*inner.c, *rises).order_by(inner.c.c0, inner.c.c1)

    def _needed(self, said: Reckoned) -> list[set[str]]:
        """Names that go on from the joined rows, and from each level of what is kept: every column that is carried along costs each row."""
        needed = [{"c0", "c1"}.union(*map(_named, (*said.what.values(), *said.having)))]
        for ones in reversed(self._kept):
            needed.insert(0, needed[0].union(*map(_named, ones.values())) - set(ones))
        return needed

    def _joined(self, said: Reckoned, clauses: Sequence[Any], needed: set[str]) -> Any:
        """The records beside their rows and the numbers: c0, c1 and of the fields f0, f1 … those needed later."""
        record, near = self._record, self._row.c[self._near.name]
        origin: Any = record.join(self._row, sa.and_(near == record.c.id, near.between(*self.bounds)))
        if self._series is not None:
            origin = origin.join(self._series, sa.true())
        found = {one.name: made for one, made in self._fields.values()} | {"c1": self._number}
        names = {name: elements.Grouping(made) for name, made in found.items()}
        where = [_told(one, names) if (of_dates := self._of_dates(one)) is None else of_dates for one in said.where]
        asked = sa.select(record.c.id.label("c0"), *(made.label(name) for name, made in found.items() if name in needed)).select_from(origin).where(
            record.c.id.between(*self.bounds), *clauses, *where)
        return _fenced(asked, self._dialect).subquery("joined")

    def _of_dates(self, said: Any) -> Any:
        """A comparison of date columns with each other or with a day, as the planner knows the columns; None for anything else."""
        if self._dialect != "postgresql" or not isinstance(said, elements.BinaryExpression) or said.operator not in _COMPARISONS:
            return None
        sides = [self._as_date(one) for one in (said.left, said.right)]
        return None if any(one is None for one in sides) else said.operator(*sides)

    def _as_date(self, said: Any) -> Any:
        if isinstance(said, sa.BindParameter) and isinstance(said.value, int) and 0 < said.value <= date.max.toordinal():
            return sa.literal(date.fromordinal(said.value), sa.Date())
        return self._dates.get(said.name) if isinstance(said, sa.ColumnClause) and said.table is None else None

    def _before(self, inner: Any, name: str, first: str) -> Any:
        if len(self.numbers) == 1:
            return inner.c[first]
        return sa.func.coalesce(sa.func.lag(inner.c[name]).over(partition_by=inner.c.c0, order_by=inner.c.c1), inner.c[first])


def _fenced(query: Any, dialect: str) -> Any:
    return query.offset(sa.literal_column("0")) if dialect == "postgresql" else query


def _named(said: Any) -> Iterator[str]:
    """Names in an expression that stand for what an earlier level has."""
    return (one.name for one in visitors.iterate(said) if isinstance(one, sa.ColumnClause) and one.table is None)


def _told(said: Any, names: Any) -> Any:
    """The expression with what the names stand for."""
    return visitors.replacement_traverse(said, {}, lambda one, **_: names.get(one.name) if isinstance(one, sa.ColumnClause) and one.table is None else None)


def _of_all(said: Any, own: Any, names: Any) -> Any:
    """The same over all rows of a record and number: what stands outside a sum is the record's own (``own``), the same in each of them; a group by
    less is put in order sooner. ValueError for anything else."""
    def instead(one: Any, **_: Any) -> Any:
        if isinstance(one, functions.sum):
            return _told(one, names)
        if not isinstance(one, sa.ColumnClause) or one.table is not None:
            return None
        if one.name not in own:
            raise ValueError("what differs from row to row of a record stands in a sum alone")
        return sa.func.min(names[one.name], type_=one.type)

    return visitors.replacement_traverse(said, {}, instead)


class ReckonedLines(_Arithmetic):
    """Implements :class:`metaloom.plugin.mass.Lines` over the query of a :class:`Reckoner`."""

    def __init__(self, dialect: str, said: Reckoned, place: Any) -> None:
        super().__init__(dialect)
        self.id, self.each = place.c.c0, place.c.c1
        self._said = dict(zip((*said.what, *said.rises), list(place.c)[2:], strict=True))

    def of(self, name: str) -> Any:
        return self._said[name]


def reckon(conn: sa.Connection, said: Reckoned, query: Any, given: Mapping[str, Any]) -> Columns:
    """What the database makes of the records by a query of a :class:`Reckoner`, as columns with ``id`` and ``each``."""
    names, found = ("id", "each", *said.what, *said.rises), conn.execute(query, given).all()
    return dict(zip(names, map(list, zip(*found, strict=True)), strict=True)) if found else {name: [] for name in names}


BOUNDS: Final = sa.bindparam("first_id", type_=sa.BigInteger()), sa.bindparam("last_id", type_=sa.BigInteger())
"""The ends of a range of ids, as names: what is said with them serves every range."""


def within(place: Any, above: int, until: int) -> list[Any]:
    """A range of ids by names that :func:`of_range` fills with another one."""
    return [place > sa.bindparam("above_id", above, sa.BigInteger()), place <= sa.bindparam("until_id", until, sa.BigInteger())]


def of_range(ids: Sequence[int], now: datetime) -> dict[str, Any]:
    """Values of the names in statements that :func:`settling` made, for the records ``ids`` (rising)."""
    return {"first_id": ids[0], "last_id": ids[-1], "above_id": ids[0] - 1, "until_id": ids[-1], "now": now}


@dataclass(frozen=True)
class Settling:
    """What :func:`settling` must know beside the arithmetic. ``entities``: by address; ``user_id`` stands in the reserved columns."""

    revision: Any
    entity: Entity
    entities: Callable[[str], Entity]
    user_id: int | None


Settle = Callable[[sa.Connection, Mapping[str, Any]], tuple[Settled, str]]


def settling(how: Settling, reckoner: Reckoner, said: Reckoned, write: Callable[[Any], Written], clauses: Sequence[Any]) -> Settle:
    """What reckons, adds the rows and changes the records of a range (:func:`of_range`): what came of it, and SHA-256 digests of the lines. Its
    statements are made once, which costs more than to carry them out for some hundred records. On PostgreSQL one statement; SQLite writes nothing
    inside a query, so the rows go through here. ValueError when a record has lines and none for the last number."""
    dialect, last = how.revision.dialect, reckoner.numbers[-1]
    query = reckoner.query(said, clauses)
    place = query.cte("lines") if dialect == "postgresql" else query.subquery("lines")
    lines = ReckonedLines(dialect, said, place)
    asked = write(lines)
    adding = [_adding(how, how.entities(address), fields, place) for address, fields in asked.add.items()]
    table, changed = _changing(how, asked.change)
    version = {"row_version": table.c.row_version + 1}
    one_number = len(reckoner.numbers) == 1
    each = sa.func.min(lines.each, type_=sa.BigInteger()) if one_number else lines.each
    told = sa.select(each, sa.func.count(), *(sa.cast(sa.func.sum(one), sa.BigInteger) for one in asked.sums.values()))
    told = told.having(sa.func.count() > 0) if one_number else told.group_by(lines.each).order_by(lines.each)
    if dialect == "postgresql":
        changing = table.update().where(table.c.id == lines.id, table.c.id.between(*reckoner.bounds), lines.each == last).values({**changed, **version})
        writing = (*(into.insert().from_select(list(names), rows).cte(f"added{n}") for n, (into, names, rows) in enumerate(adding)), changing.cte("changed"))
        ids_of = sa.func.array_agg(lines.id, type_=sa.ARRAY(sa.BigInteger))
        in_one = told.add_columns(ids_of, _digest(place, ordered=one_number)).add_cte(*writing)
    else:
        wanted = sa.select(lines.id, *changed.values()).select_from(place).where(lines.each == last)
        change_one = table.update().where(table.c.id == sa.bindparam("n_id")).values(
            {**{name: sa.bindparam(f"n_{name}", type_=table.c[name].type) for name in changed}, **version})

    def settle(conn: sa.Connection, given: Mapping[str, Any]) -> tuple[Settled, str]:
        if dialect == "postgresql":
            with joined_as_sets(conn, dialect):
                found = conn.execute(in_one, given).all()
            ids, digest = next((row[-2] for row in found if row[0] == last), []), " ".join(row[-1] for row in found)
        else:
            read, found = reckon(conn, said, query, given), conn.execute(told, given).all()
            new = [(into, [dict(zip(names, row, strict=True)) for row in conn.execute(rows, given)]) for into, names, rows in adding]
            then = [dict(zip(("n_id", *(f"n_{name}" for name in changed)), row, strict=True)) for row in conn.execute(wanted, given)]
            for into, rows in (one for one in new if one[1]):      # everything is read before anything is written
                conn.execute(into.insert(), rows)
            if then:
                conn.execute(change_one, then)
            ids, digest = [one for one, number in zip(read["id"], read["each"], strict=True) if number == last], sha256(repr(read).encode()).hexdigest()
        if any(row[1] > len(ids) for row in found):
            raise ValueError("a record has lines and none for the last number")
        sums = {row[0]: dict(zip(asked.sums, row[2:2 + len(asked.sums)], strict=True)) for row in found}
        return Settled(ids, sum(row[1] for row in found), sums), digest

    return settle


@contextmanager
def joined_as_sets(conn: sa.Connection, dialect: str) -> Iterator[None]:
    """Over a whole range rows are joined as sets: conditions on many columns, or statistics of a while ago (thousands of rows that are new), have
    the planner believe in a handful of rows, and it would look through an index, or a whole table, for each of thousands. The lines of a range,
    which are read three times and sorted, stay in memory: those of twenty thousand records take less than 32 MB."""
    if dialect == "postgresql":
        conn.exec_driver_sql("SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'")
    yield
    if dialect == "postgresql":
        conn.exec_driver_sql("SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL jit TO DEFAULT; SET LOCAL work_mem TO DEFAULT")


def _digest(lines: Any, *, ordered: bool) -> Any:
    """Over the columns as arrays in the form in which they are sent, which takes half of what a text of each line would. ``ordered``: the lines come
    one after another as they were reckoned, that is by id; grouped, they have to be put in order again."""
    columns = [one if ordered else aggregate_order_by(one, lines.c.c0) for one in lines.c]
    arrays = [sa.func.array_send(sa.func.array_agg(one), type_=sa.LargeBinary) for one in columns]
    return sa.func.encode(sa.func.sha256(functools.reduce(operators.concat_op, arrays)), sa.literal_column("'hex'"))


def _adding(how: Settling, entity: Entity, fields: Mapping[str, Any], lines: Any) -> tuple[Any, tuple[str, ...], Any]:
    """The table, the columns and the query of what goes into them."""
    table = how.revision.tables.of(entity.address)
    now = sa.bindparam("now", type_=table.c.created_at.type)
    fixed = {"row_version": 1, "created_at": now, "created_by": how.user_id, "updated_at": now, "updated_by": how.user_id}
    places = [(*column(how.revision, entity, name), value) for name, value in fields.items()]
    values = [*(_as_kept(value, table.c[name], "", how.revision.dialect) for name, value in fixed.items()),
              *(_as_kept(value, place, kind, how.revision.dialect) for place, kind, value in places)]
    rows = sa.select(*values).select_from(lines)
    ordered = rows if how.revision.dialect == "postgresql" else rows.order_by(lines.c.c0, lines.c.c1)    # there the lines are kept, in their order
    return table, (*fixed, *(place.name for place, *_ in places)), ordered


def _changing(how: Settling, fields: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The table of the records and column → value."""
    table = how.revision.tables.of(how.entity.address)
    values = {place.name: _as_kept(value, place, kind, how.revision.dialect)
              for name, value in fields.items() for place, kind in [column(how.revision, how.entity, name)]}
    now = sa.bindparam("now", type_=table.c.updated_at.type)
    stamp = {name: _as_kept(value, table.c[name], "", how.revision.dialect) for name, value in (("updated_at", now), ("updated_by", how.user_id))}
    return table, {**values, **stamp}


def _as_kept(value: Any, place: Any, kind: str, dialect: str) -> Any:
    """An expression or a plain value in the units of a column, as the column keeps it."""
    if isinstance(value, sa.ClauseElement):
        if dialect == "postgresql":
            return _in(value, place, kind)
        return sa.type_coerce(sa.func.date(value + 1721424.5) if kind == "date" else value, place.type)
    if value is not None and kind in ("exact", "date", "flag"):
        value = Decimal(value).scaleb(-place.type.scale) if kind == "exact" else date.fromordinal(value) if kind == "date" else bool(value)
    return sa.literal(value, place.type)


def _out(place: sa.Column[Any], kind: str, dialect: str) -> sa.ColumnElement[Any]:
    """The column as a number or a text."""
    if dialect == "postgresql":
        if kind == "exact":
            return sa.cast(sa.type_coerce(place, sa.Numeric) * 10**place.type.scale, sa.BigInteger)  # type: ignore[attr-defined]
        if kind == "date":
            return sa.type_coerce(place, sa.Integer).op("-")(sa.literal_column("DATE '0001-01-01'")) + 1
        return sa.cast(place, sa.Integer) if kind == "flag" else place
    if kind == "date":
        return sa.cast(sa.func.julianday(sa.type_coerce(place, sa.Text)) - 1721424.5, sa.Integer)
    return sa.type_coerce(place, sa.Integer) if kind in ("exact", "flag") else place


def among(revision: Any, place: Any, ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """Whether the column is one of very many ids. Not ``= ANY``: an array that comes as a value is searched from its beginning for every row."""
    if revision.dialect == "postgresql":
        return place.in_(sa.select(sa.func.unnest(sa.cast(sa.literal(array(ids, "integer"), sa.Text), sa.ARRAY(sa.BigInteger)))))
    return place.in_(sa.select(sa.literal_column("value")).select_from(sa.func.json_each(array(ids, "integer").replace("{", "[").replace("}", "]"))))


def insert(conn: sa.Connection, revision: Any, entity: Entity, values: Mapping[str, Any], *, now: datetime, user_id: int | None) -> int:
    """New rows; a value that is no list stands in every one of them. How many they are."""
    count = max((len(one) for one in values.values() if isinstance(one, list)), default=0)
    if not count:
        return 0
    table = revision.tables.of(entity.address)
    fixed = {"row_version": 1, "created_at": now, "created_by": user_id, "updated_at": now, "updated_by": user_id}
    places = [(place, kind, values[name] if isinstance(values[name], list) else [values[name]] * count)
              for name in values for place, kind in [column(revision, entity, name)]]
    if revision.dialect == "postgresql":
        u = _side_by_side(places)
        said = [*(sa.literal(value, table.c[name].type) for name, value in fixed.items()),
                *(_in(u.c[f"c{i}"], place, kind) for i, (place, kind, _) in enumerate(places))]
        conn.execute(table.insert().from_select([*fixed, *(place.name for place, _, _ in places)], sa.select(*said).select_from(u)))
        return count
    stamp = {name: _bound(table.c[name], value, conn) for name, value in fixed.items()}
    plain = _raw(table, (*fixed, *(place.name for place, _, _ in places)))
    lists = {place.name: _plain(one, kind) for place, kind, one in places}
    conn.execute(plain.insert(), [{**stamp, **dict(zip(lists, row, strict=True))} for row in zip(*lists.values(), strict=True)])
    return count


def update(conn: sa.Connection, revision: Any, entity: Entity, values: Columns, *, now: datetime, user_id: int | None) -> int:
    """Changes rows by ``id``; each has a new version afterwards. How many were there."""
    ids = values["id"]
    if not ids:
        return 0
    table = revision.tables.of(entity.address)
    places = [(place, kind, one) for name, one in values.items() if name != "id" for place, kind in [column(revision, entity, name)]]
    fixed = {"updated_at": now, "updated_by": user_id}
    if revision.dialect == "postgresql":
        u = _side_by_side([(table.c.id, "integer", ids), *places])
        said = {place.name: _in(u.c[f"c{i}"], place, kind) for i, (place, kind, _) in enumerate(places, 1)}
        stamp = {name: sa.literal(value, table.c[name].type) for name, value in fixed.items()}
        done = conn.execute(table.update().where(table.c.id == u.c.c0).values({**said, **stamp, "row_version": table.c.row_version + 1}))
        return int(done.rowcount)
    stamp = {name: _bound(table.c[name], value, conn) for name, value in fixed.items()}
    plain = _raw(table, ("id", "row_version", *fixed, *(place.name for place, _, _ in places)))
    lists = {f"n_{place.name}": _plain(one, kind) for place, kind, one in places}
    said = {place.name: sa.bindparam(f"n_{place.name}") for place, _, _ in places}
    stamped = {name: sa.bindparam(f"n_{name}") for name in fixed}
    change = plain.update().where(plain.c.id == sa.bindparam("n_id")).values({**said, **stamped, "row_version": plain.c.row_version + 1})
    done = conn.execute(change, [{"n_id": id, **{f"n_{n}": value for n, value in stamp.items()}, **dict(zip(lists, row, strict=True))}
                                 for id, row in zip(ids, zip(*lists.values(), strict=True), strict=True)])
    return int(done.rowcount)


def array(values: Sequence[Any], kind: str) -> str:
    """The text of a PostgreSQL array; a list of numbers is written by one call."""
    if kind != "text":
        said = repr(list(values))[1:-1]
        return "{" + (said.replace("None", "NULL") if "None" in said else said).replace("True", "1").replace("False", "0") + "}"
    return "{" + ",".join("NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in values) + "}"


def bare(value: Any) -> Any:
    """A stored value as a column holds it."""
    if isinstance(value, Decimal):
        return int(value.scaleb(-int(value.as_tuple().exponent)))
    if isinstance(value, date):
        return value.toordinal()
    return int(value) if isinstance(value, bool) else value


def _side_by_side(places: Sequence[tuple[Any, str, list[Any]]]) -> Any:
    """Columns side by side as rows ``u`` with c0, c1 …"""
    arrays = [sa.cast(sa.literal(array(one, kind), sa.Text), sa.ARRAY(sa.Text if kind == "text" else sa.BigInteger)) for _, kind, one in places]
    names = [sa.column(f"c{i}", sa.Text if kind == "text" else sa.BigInteger) for i, (_, kind, _) in enumerate(places)]
    return sa.func.unnest(*arrays).table_valued(*names).render_derived(name="u")


def _in(said: Any, place: Any, kind: str) -> Any:
    """A number or text as the column keeps it."""
    if kind == "exact":
        return said * sa.cast(sa.literal(Decimal(1).scaleb(-place.type.scale), sa.Numeric), sa.Numeric)
    if kind == "date":
        return sa.literal_column("DATE '0001-01-01'", sa.Integer) + sa.cast(said - 1, sa.Integer)
    return said != 0 if kind == "flag" else said


def _raw(table: sa.Table, names: Sequence[str]) -> Any:
    """The table without types: values go in as they are kept."""
    return sa.table(table.name, *(sa.column(name) for name in names))


def _plain(values: list[Any], kind: str) -> list[Any]:
    """A column as SQLite keeps it."""
    return values if kind != "date" else [None if one is None else date.fromordinal(one).isoformat() for one in values]


def _bound(place: Any, value: Any, conn: sa.Connection) -> Any:
    process = place.type.bind_processor(conn.dialect)
    return process(value) if process is not None else value


def equal(revision: Any, entity: Entity, where: Mapping[str, object]) -> list[Any]:
    """Clauses for fields that have given values, a list for one of several."""
    found = []
    for name, value in where.items():
        place, kind = column(revision, entity, name)
        said = [date.fromordinal(one) if kind == "date" else one for one in (value if isinstance(value, (list, tuple, range)) else [value])]
        found.append(place.in_(said) if len(said) != 1 else place == said[0])
    return found


def between(revision: Any, entity: Entity, bounds: Mapping[str, tuple[int, int]]) -> list[Any]:
    """Clauses for fields that lie between two values, both included."""
    found = []
    for name, ends in bounds.items():
        place, kind = column(revision, entity, name)
        low, high = (date.fromordinal(one) if kind == "date" else one for one in ends)
        found.append(place.between(low, high))
    return found


def kept(found: Columns, link: str, ids: Sequence[int]) -> Columns:
    """The rows whose link is one of ``ids``; mostly all of them."""
    known = set(ids)
    if known.issuperset(found[link]):
        return found
    places = [place for place, one in enumerate(found[link]) if one in known]
    return {name: [values[place] for place in places] for name, values in found.items()}


def only(found: Columns, names: Sequence[str]) -> Mapping[int, tuple[Any, ...]]:
    """Rows by their id."""
    if "id" not in found:
        raise NotFound
    return dict(zip(found["id"], zip(*(found[name] for name in names), strict=True), strict=True))


def bounds(conn: sa.Connection, table: sa.Table, clauses: Sequence[Any], size: int) -> list[tuple[int, int, int]]:
    """Ranges (above, up to, rows) of about ``size`` rows each that hold every row for which the clauses are true now."""
    numbered = sa.select(table.c.id, sa.func.row_number().over(order_by=table.c.id).label("n")).where(*clauses).subquery()
    part = (numbered.c.n - 1) // size
    found = conn.execute(sa.select(sa.func.max(numbered.c.id), sa.func.count()).group_by(part).order_by(sa.func.max(numbered.c.id))).all()
    starts = chain([0], (int(last) for last, _ in found))
    return [(start, int(last), int(count)) for start, (last, count) in zip(starts, found, strict=False)]
