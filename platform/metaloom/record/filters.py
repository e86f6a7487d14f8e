"""Filters: what a person may ask of a list, checked against type and rights before any SQL is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

import sqlalchemy as sa

from metaloom.access import aliased
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import Message, message
from metaloom.model import Field, FieldLevel, FieldType
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record import pinyin
from metaloom.record.paths import DIRECTORY, Path, UnknownPath, target_of
from metaloom.record.select import Frame, secret_address
from metaloom.record.values import BadValue, Reading, read
from metaloom.storage.companions import DOUBLED, doubled, last4_address

FILTERS_MAX, VALUES_MAX, TEXT_MAX = 30, 200, 100
_EQUAL, _ORDERED = ("eq", "ne", "in", "not_in", "empty"), ("eq", "ne", "lt", "le", "gt", "ge", "between", "in", "not_in", "empty")
_TEXT_OPS = ("eq", "ne", "contains", "prefix", "in", "not_in", "empty")
_DATE_ONLY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_COMPARE: dict[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "eq": lambda c, v: c == v, "ne": lambda c, v: sa.or_(c != v, c.is_(None)), "lt": lambda c, v: c < v, "le": lambda c, v: c <= v,
    "gt": lambda c, v: c > v, "ge": lambda c, v: c >= v,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """``path op value``: eq ne lt le gt ge between in not_in contains prefix empty last4. ``between`` takes two values (either may
    be None), ``in`` a list or text with commas, ``empty`` true or false."""

    path: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Searched:
    """A search on a field that the person sees masked in some of the rows it was about."""

    entity: str
    field: str
    op: str
    value: str


def operators(field: Field) -> tuple[str, ...]:
    """The operators a field offers to those who may read it, the natural one first."""
    kind = field.type
    if field.encrypted:
        return _encrypted_operators(field)
    if kind in (FieldType.JSON, *FILE_TYPES):
        return ("empty",)
    if kind in (FieldType.MULTI_CHOICE, FieldType.TAGS):
        return ("contains", "empty")
    if kind is FieldType.BOOLEAN:
        return ("eq", "empty")
    if kind in (FieldType.CHOICE, FieldType.STATE):
        return ("in", "eq", "ne", "not_in", "empty")
    if kind in LINK_TYPES:
        return _EQUAL
    if kind in EXACT_TYPES or kind in (FieldType.INTEGER, FieldType.DATE, FieldType.DATETIME, FieldType.TIME):
        return ("between", *(op for op in _ORDERED if op != "between"))
    first = {"exact": "eq", "prefix": "prefix"}.get(field.search, "prefix" if kind is FieldType.REGION else "contains")
    return (first, *(op for op in _TEXT_OPS if op != first), *(("last4",) if field.search == "last4" else ()))


def _encrypted_operators(field: Field) -> tuple[str, ...]:
    if field.search == "last4":
        return ("last4", "eq", "in", "empty")
    return ("eq", "in", "empty") if field.search == "exact" or field.unique else ("empty",)


def masked_operators(field: Field) -> tuple[str, ...]:
    """The operators that remain where the field is masked (decision 14)."""
    return {"last4": ("last4", "eq"), "exact": ("eq",)}.get(field.search, ())


class Filters:
    """Turns filters into clauses over one frame; remembers whether a clause left rows out for want of rights."""

    def __init__(self, frame: Frame, paths: Callable[[str, str], Path], secrets: Any, zone: tzinfo, me: int | None) -> None:
        self._frame, self._paths, self._secrets, self._zone, self._me = frame, paths, secrets, zone, me
        self.narrowed = False
        self.searched: list[Searched] = []

    def clauses(self, filters: Sequence[Filter]) -> list[sa.ColumnElement[bool]]:
        """One clause per filter; Invalid names every filter that is wrong, all at once."""
        if len(filters) > FILTERS_MAX:
            raise Invalid([Problem("", message("record.too_many_filters", limit=FILTERS_MAX))])
        problems: list[Problem] = []
        found = []
        for item in filters:
            try:
                found.append(self._clause(item))
            except _Refused as refused:
                problems.append(Problem(str(item.path)[:120], refused.message))
        if problems:
            raise Invalid(problems)
        return found

    def _clause(self, item: Filter) -> sa.ColumnElement[bool]:
        path = self.visible_path(item.path)
        field = path.field
        if not isinstance(item.op, str) or item.op not in operators(field):
            if self._frame.readable(path, FieldLevel.READ)[1]:
                raise _Refused(message("record.unknown_operator", label=field.label, op=str(item.op)[:20]))
            raise _Refused(message("record.masked_exact_only", label=field.label))
        if path.hops and item.op in ("contains", "prefix") and path.field.type not in (FieldType.MULTI_CHOICE, FieldType.TAGS):
            return self._linked_like(path, item.op, item.value)
        clause = self._within_rights(path, item.op, self._compare(path, item.op, item.value))
        self._note(path, item.op, item.value)
        return clause

    def _note(self, path: Path, op: str, value: Any) -> None:
        """Remembers a question about a field that the actor does not read in the clear everywhere."""
        if op not in masked_operators(path.field):
            return
        condition, possible = self._frame.readable(path, FieldLevel.READ)
        if condition is not None or not possible:
            self.searched.append(Searched(path.entity, path.field.name, op, str(value).strip()))

    def visible_path(self, text: Any) -> Path:
        """The path, if the actor may see it at least masked in some row."""
        entity = self._frame.entity.address
        try:
            path = self._paths(entity, text) if isinstance(text, str) and len(text) <= 120 else None
        except UnknownPath:
            path = None
        if path is None or not self._frame.readable(path, FieldLevel.MASKED)[1]:
            raise _Refused(message("record.unknown_column", path=str(text)[:60]))
        return path

    def _within_rights(self, path: Path, op: str, clause: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """The clause in the rows where the actor may ask this: readable ones, and masked ones for exact search."""
        level = FieldLevel.MASKED if op in masked_operators(path.field) else FieldLevel.READ
        condition, possible = self._frame.readable(path, level, linked=op not in ("ne", "not_in", "empty"))
        if not possible:
            raise _Refused(message("record.masked_exact_only", label=path.field.label))
        if condition is None:
            return clause
        self.narrowed = True
        return sa.and_(condition, clause)

    def _compare(self, path: Path, op: str, raw: Any) -> sa.ColumnElement[bool]:
        column = self._frame.column(path)
        if op == "empty":
            return self._empty(column, raw)
        if op == "last4":
            return self._last4(path, self._search_text(raw))
        if op in ("contains", "prefix"):
            return self._like(path, column, op, raw)
        if op == "in":
            return self._in(path, column, raw)
        if op == "not_in":
            return sa.or_(sa.not_(self._in(path, column, raw)), column.is_(None))
        if op == "between":
            return self._between(path, column, raw)
        if path.field.type is FieldType.DATETIME and isinstance(raw, str) and _DATE_ONLY.fullmatch(raw.strip()):
            return self._on_day(path, column, op, raw)
        value = self._value(path, raw)
        if path.field.encrypted:
            return self._blind(path, [value])
        return _COMPARE[op](column, value)

    def _value(self, path: Path, raw: Any) -> Any:
        """One typed value; a link to people also takes ``me``."""
        if path.field.type is FieldType.USER and raw == "me":
            return self._me
        how = Reading(self._frame.plan.catalog.choices, self._zone, bounds=path.field.encrypted)
        field = path.field if path.field.encrypted else replace(path.field, length=TEXT_MAX * 5, precision=None, scale=None)
        if field.type in EXACT_TYPES:
            field = replace(field, precision=18, scale=8)
        try:
            value = read(field, raw, how)
        except BadValue as wrong:
            raise _Refused(wrong.message) from None
        if value is None:
            raise _Refused(message("record.required", label=path.field.label))
        return self._storable(path, value)

    def _storable(self, path: Path, value: Any) -> Any:
        """A number with more places than the column keeps equals no row; it is still a fair bound."""
        kind: Any = self._frame.column(path).type
        if path.field.type in EXACT_TYPES and hasattr(kind, "scaled"):
            try:
                kind.scaled(value)
            except ValueError:
                raise _Refused(message("record.too_many_places", limit=kind.scale)) from None
        return value

    def _in(self, path: Path, column: Any, raw: Any) -> sa.ColumnElement[bool]:
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, (list, tuple, set, frozenset)) or not items:
            raise _Refused(message("record.not_list"))
        if len(items) > VALUES_MAX:
            raise _Refused(message("record.too_many_values", limit=VALUES_MAX))
        values = [self._value(path, item) for item in items]
        return self._blind(path, values) if path.field.encrypted else column.in_(values)

    def _between(self, path: Path, column: Any, raw: Any) -> sa.ColumnElement[bool]:
        bounds = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
            raise _Refused(message("record.not_list"))
        low, high = (None if bound in (None, "") else bound for bound in bounds)
        clauses = []
        for bound, op in ((low, "ge"), (high, "le")):
            if bound is not None:
                clauses.append(self._compare(path, op, bound))
        return sa.and_(*clauses) if clauses else sa.true()

    def _on_day(self, path: Path, column: Any, op: str, raw: str) -> sa.ColumnElement[bool]:
        """A day against an instant: the day of the tenant's zone."""
        start = self._value(path, f"{raw.strip()}T00:00")
        local = datetime.combine((start.astimezone(self._zone) + timedelta(days=1)).date(), time(), self._zone)
        end = local.astimezone(start.tzinfo)
        inside = sa.and_(column >= start, column < end)
        return {"eq": inside, "ne": sa.or_(sa.not_(inside), column.is_(None)), "lt": column < start, "le": column < end,
                "gt": column >= end, "ge": column >= start}[op]

    def _empty(self, column: Any, raw: Any) -> sa.ColumnElement[bool]:
        if raw in (True, "true", "1", None, ""):
            return column.is_(None)
        if raw in (False, "false", "0"):
            return column.is_not(None)
        raise _Refused(message("record.not_boolean"))

    def _search_text(self, raw: Any) -> str:
        if not isinstance(raw, str) or not raw.strip():
            raise _Refused(message("record.not_text"))
        if len(raw) > TEXT_MAX:
            raise _Refused(message("record.text_too_long_to_search", limit=TEXT_MAX))
        if "\x00" in raw:
            raise _Refused(message("record.bad_characters"))
        return raw.strip()

    def _linked_like(self, path: Path, op: str, raw: Any) -> sa.ColumnElement[bool]:
        """Words in a linked row: the targets are found first and once, then the rows that point to them. Joined, the planner
        would guess how many match, and walk the whole table when it guesses wrong."""
        frame, hop = self._frame, path.hops[-1]
        owner = self._paths(frame.entity.address, ".".join(path.prefix))
        above, possible = frame.readable(owner, FieldLevel.READ, linked=True)
        rights = frame.plan.rights(hop.target)
        directory = hop.target in DIRECTORY and path.field.name == rights.entity.title
        holding = rights.scopes_at(path.field.name, FieldLevel.READ)
        if not possible or not (holding or directory):
            raise _Refused(message("record.masked_exact_only", label=path.field.label))
        table = aliased(frame.revision.tables.of(hop.target), "s")
        matching = [self._text_clause(path, table, op, raw)]
        if not directory and not any(rights.scopes[i].covers_all for i in holding):
            matching.append(rights.any_of(holding, table, frame.env))
        self.narrowed = self.narrowed or len(matching) > 1 or above is not None
        found = sa.select(table.c.id).where(*matching).correlate(None)
        column = frame.place(owner).table.c[hop.column]
        if frame.revision.dialect == "postgresql":
            clause: sa.ColumnElement[bool] = column == sa.any_(sa.func.array(found.scalar_subquery(), type_=sa.ARRAY(sa.BigInteger())))
        else:
            clause = column.in_(found)
        return clause if above is None else sa.and_(above, clause)

    def _like(self, path: Path, column: Any, op: str, raw: Any) -> sa.ColumnElement[bool]:
        if path.field.type in (FieldType.MULTI_CHOICE, FieldType.TAGS):
            text = self._search_text(raw)
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            return column.like(f'%"{escape_like(quoted)}"%', escape="\\")
        return self._text_clause(path, self._frame.place(path).table, op, raw)

    def _text_clause(self, path: Path, table: Any, op: str, raw: Any) -> sa.ColumnElement[bool]:
        text = self._search_text(raw)
        pattern = escape_like(text) + "%" if op == "prefix" else f"%{escape_like(text)}%"
        words = sa.type_coerce(table.c[path.column], sa.Text())
        caseless = text.lower() == text.upper()  # Chinese has no case, and folding it costs three times the comparison
        alike = (lambda said, by: said.like(by, escape="\\")) if caseless else (lambda said, by: said.ilike(by, escape="\\"))
        clause: sa.ColumnElement[bool] = alike(words, pattern)
        if op == "contains" and path.field.search == "contains" and len(text) > 1 and self._frame.revision.dialect == "postgresql":
            # True wherever the first is; it is what the index answers.
            pairs = sa.func.regexp_replace(words, *map(sa.literal_column, DOUBLED), type_=sa.Text())
            clause = sa.and_(clause, alike(pairs, f"%{escape_like(doubled(text))}%"))
        companion = f"{path.field.name}__py"
        if path.field.pinyin and companion in table.c and (typed := pinyin.query(text)):
            clause = sa.or_(clause, sa.type_coerce(table.c[companion], sa.Text()).like(f"%{escape_like(typed)}%", escape="\\"))
        return clause

    def _blind(self, path: Path, values: Sequence[str]) -> sa.ColumnElement[bool]:
        table, address = self._frame.place(path).table, secret_address(path.entity, path.field)
        column = table.c[f"{path.field.name}__bx"]
        prints = [self._secrets.blind(address, str(value)) for value in values]
        return column == prints[0] if len(prints) == 1 else column.in_(prints)

    def _last4(self, path: Path, text: str) -> sa.ColumnElement[bool]:
        if len(text) != 4:
            raise _Refused(message("record.masked_exact_only", label=path.field.label))
        table = self._frame.place(path).table
        if not path.field.encrypted:
            return sa.type_coerce(table.c[path.column], sa.Text()).like(f"%{escape_like(text)}", escape="\\")
        address = last4_address(secret_address(path.entity, path.field))
        return table.c[f"{path.field.name}__l4"] == self._secrets.blind(address, text.upper())

    # -- quick search ------------------------------------------------------------------------------------------------

    def quick(self, text: Any, extra: Sequence[str] = ()) -> sa.ColumnElement[bool]:
        """``q``: the words in the title, the subtitle, the natural key or ``extra`` paths, a secret's exact value or last four."""
        words, entity, clauses = self._try(lambda: self._search_text(text)), self._frame.entity, []
        names = dict.fromkeys((entity.title, entity.subtitle, *entity.natural_key, *extra))
        names.update(dict.fromkeys(f.name for f in entity.fields.values() if f.search))
        for name in names:
            clauses.extend(self._quick_field(name, words))
        return sa.or_(*clauses) if clauses else sa.false()

    def _quick_field(self, name: str, text: str) -> list[sa.ColumnElement[bool]]:
        try:
            path = self._paths(self._frame.entity.address, name) if name else None
        except UnknownPath:
            path = None
        if path is not None and path.field.type is FieldType.LINK and name == self._frame.entity.subtitle:
            return self._quick_linked(path, text)
        if path is None or path.field.type in (*LINK_TYPES, *FILE_TYPES):
            return []
        offered = operators(path.field)
        op = next((op for op in ("contains", "last4", "eq") if op in offered), None)
        level = FieldLevel.MASKED if op in masked_operators(path.field) else FieldLevel.READ
        condition, possible = self._frame.readable(path, level)
        if op is None or not possible or path.field.type in (FieldType.MULTI_CHOICE, FieldType.TAGS):
            return []
        ops = [o for o in ("last4", "eq") if o in offered] if path.field.encrypted else [op]
        found = []
        for each in ops:
            try:
                found.append(self._compare(path, each, text))
            except _Refused:
                continue
            self._note(path, each, text)
        return [clause if condition is None else sa.and_(condition, clause) for clause in found]

    def _quick_linked(self, path: Path, text: str) -> list[sa.ColumnElement[bool]]:
        """The words in the title of the row that the subtitle names, as the reader sees it."""
        title = self._frame.plan.catalog.entities[target_of(path.field)].title
        narrowed = self.narrowed
        try:
            named = self._paths(self._frame.entity.address, f"{path.field.name}.{title}")
            return [self._linked_like(named, "contains", text)] if "contains" in operators(named.field) else []
        except (UnknownPath, _Refused):
            return []
        finally:
            self.narrowed = narrowed

    def _try(self, make: Callable[[], str]) -> str:
        try:
            return make()
        except _Refused as refused:
            raise Invalid([Problem("q", refused.message)]) from None


class _Refused(Exception):
    def __init__(self, text: Message) -> None:
        super().__init__(text.code)
        self.message = text


def escape_like(text: str) -> str:
    """``text`` as a literal part of a LIKE pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

