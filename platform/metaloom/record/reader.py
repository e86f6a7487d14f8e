"""Reader: the one scoped query builder. Every list, detail, lookup, total, export and history is read here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom.access import AccessPlan, aliased
from metaloom.access.condition import condition_clause, link_filter_clause
from metaloom.access.plan import Memory
from metaloom.base.errors import Invalid, NotAllowed, NotFound, Problem
from metaloom.base.messages import message
from metaloom.model import Entity, FieldLevel, FieldType, ListView
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES
from metaloom.record.board import Laid, Lanes, in_lane, laid_out
from metaloom.record.days import Dated, Days, by_day
from metaloom.record.export import export_rows
from metaloom.record.filters import Filter, Filters, Searched
from metaloom.record.history import read_history
from metaloom.record.paging import Key, Marker, Order, seal, unseal
from metaloom.record.paths import PATHS, Path, UnknownPath, implicit_fields
from metaloom.record.row import Asked, Count, Found, HistoryEntry, Page, Row
from metaloom.record.select import Frame, Selection, title_path
from metaloom.record.summary import Summary, Summing, summed
from metaloom.record.why import Why, explain
from metaloom.storage.budget import limited
from metaloom.storage.ready import Ready

# Inside the class `list` is the method of that name.
Clauses = list[Any]
Paths = list[Path]
Rows = list[Row]
Hits = list[Found]
Names = list[str]
Watch = Callable[["Reader", Sequence[Searched]], None]
LIMIT_MAX, PAGES_MAX, SORTS_MAX, COUNT_CAP = 200, 400, 4, 10_000
NO_TOTALS = (FieldType.RATE,)
SECONDS_TO_SUM = 8.0
STATEMENTS_KEPT = 50


class Reader:
    """Reads as one actor under one revision. Writes nothing; makes at most two statements per list."""

    def __init__(self, conn: sa.Connection, tenant: Any, revision: Any, plan: AccessPlan, env: Any = None, *,
                 locale: str | None = None, watch: Watch | None = None) -> None:
        """``watch`` is told of searches on masked fields before they are answered; what it raises is the answer."""
        self.conn, self.tenant, self.revision, self.plan, self.env, self._watch = conn, tenant, revision, plan, env, watch
        self.locale = locale or plan.actor.locale
        self.known_path = PATHS.of(revision).path

    @property
    def zone(self) -> tzinfo:
        """The tenant's zone: days of a filter and shown instants are its days and hours."""
        return zone_of(self.tenant)

    # -- lists -------------------------------------------------------------------------------------------------------

    def list(
        self, entity: str, *, view: ListView | None = None, filters: Sequence[Filter] = (), q: str | None = None,
        sort: Sequence[str] = (), cursor: str | None = None, page: int | None = None, limit: int | None = None,
        paths: Sequence[str] | None = None, tab: str | None = None, archived: bool = False, **more: Any,
    ) -> Page:
        """One page of rows. ``cursor`` continues after (or before) a page; ``page`` numbers pages from 1 to 400.

        Raises NotAllowed without the right to list, Invalid for anything unknown, hidden or malformed in the question.
        """
        asked = Asked(entity, view, tuple(filters), q, tab, archived, **more)
        self._permit(entity, asked.action)
        size = _limit(limit, view)
        return self._page(asked, paths, sort, cursor, _page_number(page), size)

    def count(self, entity: str, *, cap: int = COUNT_CAP, view: ListView | None = None, filters: Sequence[Filter] = (),
              q: str | None = None, tab: str | None = None, archived: bool = False, **more: Any) -> Count:
        """How many rows the list has; counting stops at ``cap`` (0 = never)."""
        asked = Asked(entity, view, tuple(filters), q, tab, archived, **more)
        self._permit(entity, asked.action)
        frame, clauses, _ = self._rows(asked)
        rows = sa.select(sa.literal(1).label("one")).select_from(frame.source()).where(*clauses)
        if cap:
            rows = rows.limit(cap + 1)
        number = self.conn.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0
        return Count(cap, False) if cap and number > cap else Count(number, True)

    def estimate(self, entity: str) -> Count:
        """The database's own idea of the table's size, for people whose scope is everything (PostgreSQL); exact elsewhere."""
        self._permit(entity, "list")
        rights = self.plan.rights(entity)
        unlimited = any(rights.scopes[i].covers_all for i in rights.scopes_for("list"))
        if self.revision.dialect != "postgresql" or not unlimited:
            return self.count(entity)
        name = self.revision.tables.of(entity).name
        found = self.conn.scalar(sa.text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)"), {"name": f'"{name}"'})
        if found is None or found < COUNT_CAP:
            return self.count(entity)
        return Count(int(found), False, estimated=True)

    def totals(self, entity: str, fields: Sequence[str], *, view: ListView | None = None, filters: Sequence[Filter] = (),
               q: str | None = None, tab: str | None = None, archived: bool = False) -> Mapping[str, Any]:
        """Sums over the whole filter, of each field in the rows where it is readable. A field readable nowhere is absent."""
        asked = Asked(entity, view, tuple(filters), q, tab, archived)
        self._permit(entity, "list")
        frame, clauses, _ = self._rows(asked)
        columns = {}
        for name in fields:
            column = self._summand(frame, entity, name)
            if column is not None:
                columns[name] = column
        if not columns:
            return {}
        sums = [sa.func.sum(column, type_=column.type).label(f"s{i}") for i, column in enumerate(columns.values())]
        row = self.conn.execute(sa.select(*sums).select_from(frame.source()).where(*clauses)).one()
        return dict(zip(columns, row, strict=True))

    def summary(self, entity: str, summing: Summing, *, view: ListView | None = None, filters: Sequence[Filter] = (), q: str | None = None,
                tab: str | None = None, archived: bool = False) -> Summary:
        """Sums over the rows of a list, in all or by group; see ``record.summary``. TooSlow when it takes longer than ``SECONDS_TO_SUM``."""
        self._permit(entity, "list")
        frame, clauses, asked = self._rows(Asked(entity, view, tuple(filters), q, tab, archived))
        with limited(self.conn, SECONDS_TO_SUM):
            return summed(self, frame, clauses, summing, narrowed=asked.narrowed)

    def board(self, entity: str, lanes: Lanes, *, view: ListView | None = None, filters: Sequence[Filter] = (), q: str | None = None,
              tab: str | None = None, archived: bool = False) -> Laid:
        """The list as columns of cards, in one statement; see ``record.board``. TooSlow when it takes longer than ``SECONDS_TO_SUM``."""
        self._permit(entity, "list")
        asked = Asked(entity, view, tuple(filters), q, tab, archived)
        frame, clauses, known = self._rows(asked)
        order, kept_out = self._order(frame, asked, lanes.sort)
        bound = f"{self.tenant.name}|{entity}"
        with limited(self.conn, SECONDS_TO_SUM):
            found = laid_out(self, frame, [*clauses, *kept_out], order, lanes, select=lambda paths: self._cards(entity, paths),
                             seal=lambda values: seal(order, values, backwards=False, bound_to=bound, sign=self._sign))
        return replace(found, narrowed=found.narrowed or known.narrowed or bool(kept_out))

    def calendar(self, entity: str, days: Days, *, view: ListView | None = None, filters: Sequence[Filter] = (), q: str | None = None,
                 tab: str | None = None, archived: bool = False) -> Dated:
        """The list by days, in one statement; see ``record.days``. TooSlow when it takes longer than ``SECONDS_TO_SUM``."""
        self._permit(entity, "list")
        frame, clauses, known = self._rows(Asked(entity, view, tuple(filters), q, tab, archived))
        with limited(self.conn, SECONDS_TO_SUM):
            found = by_day(self, frame, clauses, days, select=lambda paths: self._cards(entity, paths))
        return replace(found, narrowed=found.narrowed or known.narrowed)

    def _cards(self, entity: str, paths: Sequence[str]) -> tuple[Frame, Selection]:
        """What is read of cards: fields that may be read in the clear somewhere."""
        outer = Frame(self.plan, entity, self.env, action="list")
        return outer, self._selection(outer, [self.visible_path(outer, text, "columns", FieldLevel.READ) for text in paths])

    def lane(self, entity: str, by: str, key: str | None, **asked: Any) -> Page:
        """A column of a board as a page of a list: with the column's cursor it goes on where the board ended."""
        return self.list(entity, where=(in_lane(self, by, key),), **asked)

    def tab_counts(self, entity: str, view: ListView, *, filters: Sequence[Filter] = (), q: str | None = None,
                   cap: int = COUNT_CAP) -> Mapping[str, Count]:
        """The count of every tab of ``view`` in one statement, each capped."""
        self._permit(entity, "list")
        counts: Clauses = []
        for name in view.tabs:
            frame, clauses, _ = self._rows(Asked(entity, view, tuple(filters), q, name))
            rows = sa.select(sa.literal(1).label("one")).select_from(frame.source()).where(*clauses).limit(cap + 1).subquery()
            counts.append(sa.select(sa.func.count()).select_from(rows).scalar_subquery().label(f"n{len(counts)}"))
        if not counts:
            return {}
        numbers = self.conn.execute(sa.select(*counts)).one()
        return {name: Count(cap, False) if number > cap else Count(number, True) for name, number in zip(view.tabs, numbers, strict=True)}

    def related(self, entity: str, id: int, tab: str, *, view: ListView | None = None, **asked: Any) -> Page:
        """A tab of related records on the detail page: rows of the other entity whose link points here."""
        self.require(entity, id)
        found = self.plan.catalog.entities[entity].related.get(tab)
        if found is None:
            raise Invalid([Problem("tab", message("record.unknown_tab", tab=tab[:40]))])
        other, _, link = found.rpartition(".")
        pointing = self.known_path(other, link)
        if self.plan.field_level_anywhere(other, link) < FieldLevel.READ:
            raise NotFound
        view = view or self.plan.catalog.lists.get(f"{other}/main")
        return self.list(other, view=view, where=(self._pointing(pointing, id),), **asked)

    def related_counts(self, entity: str, id: int, tabs: Sequence[str], cap: int = COUNT_CAP) -> Mapping[str, Count]:
        """How many rows each tab of related records has, in one statement; a tab that the actor may not list is absent."""
        self.require(entity, id)
        names, counts = [], []
        for tab in tabs:
            other, _, link = self.plan.catalog.entities[entity].related[tab].rpartition(".")
            pointing = self.known_path(other, link)
            if not self.plan.may(other, "list") or self.plan.field_level_anywhere(other, link) < FieldLevel.READ:
                continue
            frame, clauses, _ = self._rows(Asked(other, where=(self._pointing(pointing, id),)))
            rows = sa.select(sa.literal(1).label("one")).select_from(frame.source()).where(*clauses).limit(cap + 1).subquery()
            counts.append(sa.select(sa.func.count()).select_from(rows).scalar_subquery().label(f"n{len(counts)}"))
            names.append(tab)
        numbers = self.conn.execute(sa.select(*counts)).one() if counts else ()
        return {name: Count(cap, False) if number > cap else Count(number, True) for name, number in zip(names, numbers, strict=True)}

    def _pointing(self, link: Path, id: int) -> Callable[[Frame], sa.ColumnElement[bool]]:
        """The rows whose ``link``, where it may be read, names ``id``."""
        def points_here(frame: Frame) -> sa.ColumnElement[bool]:
            readable, _ = frame.readable(link, FieldLevel.READ)
            here = frame.table.c[link.column] == id
            return here if readable is None else sa.and_(here, readable)

        return points_here

    def lookup(self, entity: str, text: str = "", limit: int = 20, filter: str = "", *, for_entity: str = "",
               record: Mapping[str, Any] | None = None, ids: Sequence[int] = ()) -> Hits:
        """Candidates for a link: rows the actor may list or read, with the link field's ``filter`` applied.

        ``for_entity`` and ``record`` supply ``record.x`` to the filter; ``ids`` asks for the titles of known rows, archived ones too:
        whether a link may name them is the question of ``visible``.
        """
        action = "list" if self.plan.may(entity, "list") else "read"
        self._permit(entity, action)
        target = self.plan.catalog.entities[entity]
        frame = Frame(self.plan, entity, self.env, action=action)
        clauses = [frame.predicate(), *(() if ids else _live(frame.table, archived=False))]
        if filter:
            clauses.append(link_filter_clause(self.revision, for_entity or entity, entity, filter, frame.table, record or {}, self.env))
        if ids:
            clauses.append(frame.table.c.id.in_([int(i) for i in ids][:LIMIT_MAX]))
        if text:
            asked = self._filters(frame)
            clauses.append(asked.quick(text))
            self._tell(asked.searched)
        paths = [self.known_path(entity, target.subtitle)] if target.subtitle and target.subtitle in target.fields else []
        rows = self._read(frame, clauses, paths, _limit(limit, None))
        return [Found(row.id, row.title, self._subtitle(row, target)) for row in rows]

    def visible(self, entity: str, ids: Sequence[int], *, action: str = "", filter: str = "", for_entity: str = "",
                record: Mapping[str, Any] | None = None) -> frozenset[int]:
        """Which of ``ids`` exist, live, inside the actor's scope (and pass a link's ``filter``): what a saved link may name."""
        wanted = [i for i in dict.fromkeys(ids) if isinstance(i, int) and 0 < i < 2**63]
        if not wanted or entity not in self.plan.catalog.entities:
            return frozenset()
        frame = Frame(self.plan, entity, self.env, action=action or "read")
        within = [frame.predicate()] if action else [self._seen(frame)]
        if filter:
            within.append(link_filter_clause(self.revision, for_entity or entity, entity, filter, frame.table, record or {}, self.env))
        statement = sa.select(frame.table.c.id).where(frame.table.c.id.in_(wanted), *within, *_live(frame.table, archived=False))
        return frozenset(self.conn.scalars(statement))

    def titles(self, entity: str, ids: Sequence[int]) -> dict[int, str]:
        """The titles of those of ``ids`` (at most 200) that the actor may read, in one statement; archived ones too."""
        wanted = [i for i in dict.fromkeys(ids) if _is_id(i)][:LIMIT_MAX]
        if not wanted or entity not in self.plan.catalog.entities or not self.plan.rights(entity).scopes_for("read"):
            return {}
        frame = Frame(self.plan, entity, self.env, action="read")
        return {row.id: row.title for row in self._read(frame, [frame.table.c.id.in_(wanted), frame.predicate()], [], LIMIT_MAX)}

    def versions(self, entity: str, ids: Sequence[int]) -> dict[int, int]:
        """The ``row_version`` of those of ``ids`` that the actor may read, in one statement; archived ones too."""
        wanted = [i for i in dict.fromkeys(ids) if _is_id(i)]
        if not wanted or entity not in self.plan.catalog.entities or not self.plan.rights(entity).scopes_for("read"):
            return {}
        frame = Frame(self.plan, entity, self.env, action="read")
        statement = sa.select(frame.table.c.id, frame.table.c.row_version).where(frame.table.c.id.in_(wanted), frame.predicate())
        return {row.id: row.row_version for row in self.conn.execute(statement)}

    def ids(self, of: str, actions: Sequence[str], **equal: Any) -> sa.Select[Any]:
        """The ids of live rows of an entity with these values on which the actor holds each of ``actions``: not asked here, a part of a larger statement."""
        frame, rights = Frame(self.plan, of, self.env, action=actions[0]), self.plan.rights(of)
        within = [rights.any_of(rights.scopes_for(action), frame.table, self.env) for action in actions]
        return sa.select(frame.table.c.id).where(*within, *(frame.table.c[name] == value for name, value in equal.items()), *_live(frame.table, archived=False))

    def by_key(self, entity: str, key: Mapping[str, Any], *, archived: bool = False) -> int | None:
        """Id of the live (or the ``archived``) row with this natural key inside the actor's scope; None when there is none or more than one."""
        frame = Frame(self.plan, entity, self.env, action="read")
        clauses = self._filters(frame).clauses([Filter(name, "eq", value) for name, value in key.items()])
        rows = self.conn.scalars(sa.select(frame.table.c.id).select_from(frame.source())
                                 .where(self._seen(frame), *clauses, *_live(frame.table, archived=archived)).limit(2)).all()
        return rows[0] if len(rows) == 1 else None

    # -- one record --------------------------------------------------------------------------------------------------

    def get(self, entity: str, id: int, *, paths: Sequence[str] | None = None, children: bool = True,
            action: str = "read") -> Row:
        """The record with every field the actor may see and the titles of its links; NotFound outside the scope.

        One statement, and one more for each child grid.
        """
        if entity not in self.plan.catalog.entities:
            raise NotFound
        row = self._one(entity, id, action, paths)
        return replace(row, children=self._children(row)) if children else row

    def require(self, entity: str, id: int, action: str = "read") -> None:
        """NotFound unless the row lies in the scope of ``action``."""
        if entity not in self.plan.catalog.entities or not _is_id(id):
            raise NotFound
        frame = Frame(self.plan, entity, self.env, action=action)
        if self.conn.scalar(sa.select(frame.table.c.id).where(frame.table.c.id == id, frame.predicate())) is None:
            raise NotFound

    def history(self, entity: str, id: int, *, limit: int = 200, before: int | None = None, without: Collection[str] = ()) -> tuple[HistoryEntry, ...]:
        """What happened to the record, newest first; hidden fields are left out, masked ones masked on both sides. ``without``: commands."""
        row = self._one(entity, id, "read", None)
        if "history" not in row.actions:
            raise NotAllowed(message("access.missing_action", roles="", entity=self.plan.catalog.entities[entity].label,
                                     action=self.plan.action_label(entity, "history")))
        return read_history(self, row, limit=limit, before=before, without=without)

    def export(self, entity: str, *, format: str, file: Any, **asked: Any) -> int:
        """Write the list's rows, all of them, to ``file`` as csv or xlsx; see ``record.export``."""
        return export_rows(self, entity, format=format, file=file, **asked)

    def columns(self, entity: str, view: ListView | None, paths: Sequence[str] | None) -> tuple[str, ...]:
        """The paths that a list or an export of these columns shows this actor."""
        return tuple(path.text for path in self._columns(Asked(entity, view), paths))

    def stream(self, asked: Asked, paths: Sequence[str] | None, sort: Sequence[str]) -> tuple[Paths, Iterator[Row]]:
        """Every row of the list in order, read through a server-side cursor in batches: flat memory."""
        columns = self._columns(asked, paths)
        frame, clauses, _ = self._rows(asked)
        order, sort_clauses = self._order(frame, asked, sort)
        selection = self._selection(frame, columns)
        statement = (sa.select(*selection.statement_columns()).select_from(frame.source()).where(*clauses, *sort_clauses)
                     .order_by(*order.by(reverse=False, phase=None)))
        decode = selection.decoder()
        result = self.conn.execute(statement, execution_options={"stream_results": True, "yield_per": 1000})
        return columns, (decode(raw) for raw in result)

    def why(self, user: int, entity: str, id: int, field: str) -> Why:
        """Why the given user may or may not see a field of a record: roles, grants, scopes, file:line."""
        return explain(self, user, entity, id, field)

    # -- building ----------------------------------------------------------------------------------------------------

    def _permit(self, entity: str, action: str) -> None:
        verdict = self.plan.may(entity, action)
        if not verdict:
            raise NotAllowed(verdict.reason)

    def _filters(self, frame: Frame) -> Filters:
        return Filters(frame, self.known_path, self.tenant.secrets, self.zone, self.plan.actor.user_id)

    def _tell(self, searched: Sequence[Searched]) -> None:
        if searched and self._watch is not None:
            self._watch(self, searched)

    def _rows(self, asked: Asked) -> tuple[Frame, Clauses, Filters]:
        """The frame and WHERE of a row set, and the filters, which know what rights narrowed and what was masked."""
        frame = Frame(self.plan, asked.entity, self.env, action=asked.action)
        clauses = [frame.predicate(), *_live(frame.table, archived=asked.archived)]
        for text in self._fixed_conditions(asked):
            clauses.append(condition_clause(self.revision, asked.entity, text, frame.table, self.env))
        filters = self._filters(frame)
        clauses.extend(filters.clauses(asked.filters))
        if asked.q:
            searched = [*asked.view.search, *asked.view.more] if asked.view else []
            clauses.append(filters.quick(asked.q, [p for p in searched if "." not in p]))
        clauses.extend(make(frame) for make in asked.where)
        self._tell(filters.searched)
        return frame, clauses, filters

    def _fixed_conditions(self, asked: Asked) -> Names:
        """Conditions of the list and of its tab; they are the author's, so they need no right of the reader."""
        view, found = asked.view, []
        if view is not None:
            found.extend(text for text in (view.filter, *view.also) if text)
        if asked.tab:
            tab = view.tabs.get(asked.tab) if view is not None else None
            if tab is None:
                raise Invalid([Problem("tab", message("record.unknown_tab", tab=str(asked.tab)[:40]))])
            if tab.filter:
                found.append(tab.filter)
        return found

    def _columns(self, asked: Asked, paths: Sequence[str] | None) -> Paths:
        """The columns to read. Columns of the list that the actor may see nowhere fall away; asked-for ones are refused."""
        entity = self.plan.catalog.entities[asked.entity]
        frame = Frame(self.plan, asked.entity, self.env, action=asked.action)
        if paths is None:
            own = [c.path for c in asked.view.columns.values() if not c.hidden] if asked.view else _all_paths(entity, with_implicit=False)
            known = [self.known_path(asked.entity, text) for text in own]
            return [path for path in known if frame.readable(path, FieldLevel.MASKED)[1]]
        if len(paths) > 100:
            raise Invalid([Problem("columns", message("record.too_many_values", limit=100))])
        found: dict[str, Path] = {}
        problems: list[Problem] = []
        for text in paths:
            try:
                path = self.visible_path(frame, text, "columns")
                found[path.text] = path
            except Invalid as refused:
                problems += refused.problems
        if problems:
            raise Invalid(problems)
        return [*found.values()]

    def visible_path(self, frame: Frame, text: Any, where: str, level: FieldLevel = FieldLevel.MASKED) -> Path:
        """The path, if the reader may see it at ``level`` in some row; Invalid, as for one that does not exist, where not."""
        try:
            path = self.known_path(frame.entity.address, text) if isinstance(text, str) and len(text) <= 120 else None
        except UnknownPath:
            path = None
        if path is None or not frame.readable(path, level)[1]:
            raise Invalid([Problem(where, message("record.unknown_column", path=str(text)[:60]))])
        return path

    def _order(self, frame: Frame, asked: Asked, sort: Sequence[str]) -> tuple[Order, Clauses]:
        """The order asked for, else the list's own; and the conditions that keep unreadable rows out of it."""
        keys: Clauses = []
        conditions: Clauses = []
        if len(sort) > SORTS_MAX:
            raise Invalid([Problem("sort", message("record.too_many_values", limit=SORTS_MAX))])
        for text in sort:
            key, condition = self._key(frame, text)
            keys.append(key)
            if condition is not None:
                conditions.append(condition)
        if not keys and asked.view is not None:
            keys = self._own_sort(frame, asked.view.sort)
        ident = self.known_path(frame.entity.address, "id")
        descending = keys[-1].descending if keys else True
        keys = [key for key in keys if key.name != "id"]
        if len(keys) < len(sort) and "id" in (text.lstrip("-") for text in sort):
            descending = next(text for text in sort if text.lstrip("-") == "id").startswith("-")
        return Order((*keys, Key("id", frame.table.c.id, descending, False, ident.field))), conditions

    def _key(self, frame: Frame, text: Any) -> tuple[Key, sa.ColumnElement[bool] | None]:
        name = text.removeprefix("-") if isinstance(text, str) else ""
        path = self.visible_path(frame, name, "sort")
        shown = path.title or path
        condition, possible = frame.readable(shown, FieldLevel.READ)
        unsortable = (FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.MULTI_CHOICE, FieldType.TAGS, *FILE_TYPES)
        if not possible or shown.field.encrypted or shown.field.type in unsortable:
            raise Invalid([Problem("sort", message("record.no_sort", label=path.field.label))])
        column = frame.column(shown)
        nullable = bool(shown.hops) or getattr(column, "nullable", True)
        return Key(name, column, text.startswith("-"), nullable, shown.field), condition

    def _own_sort(self, frame: Frame, sort: Sequence[str]) -> Clauses:
        """The list's own order, without the keys that this actor may not read everywhere: it must not tell what it hides."""
        keys = []
        for text in sort:
            try:
                key, condition = self._key(frame, text)
            except Invalid:
                continue
            if condition is None:
                keys.append(key)
        return keys

    def _selection(self, frame: Frame, paths: Sequence[Path]) -> Selection:
        selection = Selection(frame, self.tenant.secrets, self.locale)
        selection.add_row()
        selection.add_title(title_path(self.known_path, frame.entity))
        for path in paths:
            selection.add_path(path)
        selection.add_flags()
        return selection

    def _page(self, asked: Asked, given: Sequence[str] | None, sort: Sequence[str], cursor: str | None, number: int | None, size: int) -> Page:
        window = self._window(asked, given, sort)
        order, bound = window.order, f"{self.tenant.name}|{asked.entity}"
        marker = unseal(order, cursor, bound_to=bound, sign=self._sign) if cursor else None
        offset = (number - 1) * size if number and not marker else 0
        raws = window.fetch(self.conn, marker, size + 1, offset)
        more = len(raws) > size
        backwards = marker is not None and marker.backwards
        raws = raws[:size][::-1] if backwards else raws[:size]
        rows = tuple([window.decode(raw) for raw in raws])
        has_next = bool(rows) and (more if not backwards else True)
        has_prev = bool(rows) and (more if backwards else marker is not None or offset > 0)
        return Page(
            rows, window.paths,
            seal(order, window.key_values(raws[-1]), backwards=False, bound_to=bound, sign=self._sign) if has_next else None,
            seal(order, window.key_values(raws[0]), backwards=True, bound_to=bound, sign=self._sign) if has_prev else None,
            has_next, window.narrowed,
        )

    def _window(self, asked: Asked, given: Sequence[str] | None, sort: Sequence[str]) -> _Window:
        """The list's statements; kept with the actor's plan where the same question will have the same SQL."""
        key = self._window_key(asked, given, sort)
        found: _Window | None = self.plan.memory.get(key) if key is not None else None
        if found is not None:
            self._tell(found.searched)
            return found
        paths = self._columns(asked, given)
        inner, clauses, filters = self._rows(asked)
        order, sort_clauses = self._order(inner, asked, sort)
        outer = Frame(self.plan, asked.entity, self.env, action=asked.action)
        made = _Window(inner, outer, self._selection(outer, paths), order, [*clauses, *sort_clauses], tuple(path.text for path in paths),
                       filters.narrowed or bool(sort_clauses), tuple(filters.searched), "" if asked.filters or asked.q else self.revision.digest)
        if key is not None and inner.lasting and outer.lasting:
            self.plan.memory[key] = made
        return made

    def _window_key(self, asked: Asked, given: Sequence[str] | None, sort: Sequence[str]) -> Any:
        """What a list's SQL depends on; None where it must be made anew (conditions that may ask the environment)."""
        if asked.where or self._fixed_conditions(asked):
            return None
        view = (asked.view.address, asked.view.sort, asked.view.search, asked.view.more,
                tuple((c.path, c.hidden) for c in asked.view.columns.values())) if asked.view else None
        filters = tuple((f.path, f.op, tuple(f.value) if isinstance(f.value, list) else f.value) for f in asked.filters)
        key = ("list", asked.entity, view, filters, asked.q, asked.tab, asked.archived, asked.action,
               tuple(given) if given is not None else None, tuple(sort), self.locale, id(self.tenant.secrets))
        try:
            hash(key)
        except TypeError:
            return None
        return key

    def _sign(self, text: str) -> str:
        return self.tenant.secrets.blind("record/cursor", text)

    def _read(self, frame: Frame, clauses: Clauses, paths: Paths, limit: int, *order: Any) -> Rows:
        """Some rows without paging."""
        selection = self._selection(frame, paths)
        statement = sa.select(*selection.statement_columns()).select_from(frame.source()).where(*clauses)
        statement = statement.order_by(*(order or (frame.table.c.id.desc(),))).limit(limit)
        decode = selection.decoder()
        return [decode(raw) for raw in self.conn.execute(statement).all()]

    def _one(self, entity: str, id: int, action: str, paths: Sequence[str] | None) -> Row:
        if not _is_id(id) or not self.plan.rights(entity).scopes_for(action):
            raise NotFound
        statement, decode = self._detail(entity, action, paths)
        found = statement.rows(self.conn, {"record_id": id})
        if not found:
            raise NotFound
        return self._with_child_levels(decode(found[0]), self.plan.catalog.entities[entity])

    def _detail(self, entity: str, action: str, paths: Sequence[str] | None) -> Any:
        """(statement of one record by ``record_id``, decoder), kept with the actor's plan."""
        key = ("detail", entity, action, tuple(paths) if paths is not None else None, self.locale, id(self.tenant.secrets))
        found = self.plan.memory.get(key)
        if found is not None:
            return found
        frame = Frame(self.plan, entity, self.env, action=action)
        definition = self.plan.catalog.entities[entity]
        wanted = [*_all_paths(definition, with_implicit=True), *(p for p in definition.header if "." in p)] if paths is None else paths
        known = [self.known_path(entity, text) for text in dict.fromkeys(wanted)]
        selection = self._selection(frame, [path for path in known if frame.readable(path, FieldLevel.MASKED)[1]])
        by_id = frame.table.c.id == sa.bindparam("record_id", type_=frame.table.c.id.type)
        statement = sa.select(*selection.statement_columns()).select_from(frame.source()).where(by_id, frame.predicate())
        made = (Ready(statement, lasting=self.revision.digest), selection.decoder())
        if frame.lasting:
            self.plan.memory[key] = made
        return made

    def _with_child_levels(self, row: Row, entity: Entity) -> Row:
        """Levels of child fields: they have no column, so the row's own scopes decide."""
        slots = [f.name for f in entity.fields.values() if f.type is FieldType.CHILD]
        if not slots:
            return row
        best = {name: self.plan.field_level_anywhere(entity.address, name) for name in slots}
        if len(self.plan.rights(entity.address).scopes) > 1:
            best = self._child_levels_of(row, entity, slots)
        return replace(row, levels={**row.levels, **best})

    def _child_levels_of(self, row: Row, entity: Entity, slots: Sequence[str]) -> dict[str, FieldLevel]:
        rights = self.plan.rights(entity.address)
        table = aliased(self.revision.tables.of(entity.address), "t")
        flags = self.conn.execute(sa.select(*(rights.clause(i, table, self.env).label(f"f{i}") for i in range(len(rights.scopes))))
                                  .where(table.c.id == row.id)).one()
        levels = rights.levels(frozenset(i for i, flag in enumerate(flags) if flag))
        return {name: levels[name] for name in slots}

    def _children(self, row: Row) -> dict[str, tuple[Row, ...]]:
        entity, found = self.plan.catalog.entities[row.entity], {}
        for field in entity.fields.values():
            if field.type is FieldType.CHILD and row.levels.get(field.name, FieldLevel.HIDDEN) >= FieldLevel.READ:
                found[field.name] = self._child_rows(field.entity, field.parent_field, row.id)
        return found

    def _child_rows(self, address: str, parent_field: str, parent_id: int) -> tuple[Row, ...]:
        child = self.plan.catalog.entities[address]
        if not self.plan.rights(address).scopes_for("read", "list"):
            return ()
        frame = Frame(self.plan, address, self.env, action="read")
        column = frame.table.c[child.fields[parent_field or child.parent_field].column]
        paths = [self.known_path(address, text) for text in _all_paths(child, with_implicit=False)]
        shown = [path for path in paths if frame.readable(path, FieldLevel.MASKED)[1]]
        clauses = [column == parent_id, frame.predicate(), *_live(frame.table, archived=False)]
        return tuple(self._read(frame, clauses, shown, 2000, frame.table.c.id))

    def _seen(self, frame: Frame) -> sa.ColumnElement[bool]:
        rights = frame.base.rights
        if frame.base.directory:
            return sa.true()
        return rights.any_of(rights.scopes_for("read", "list"), frame.table, self.env)

    def _summand(self, frame: Frame, entity: str, name: str) -> Any:
        try:
            path = self.known_path(entity, name)
        except UnknownPath:
            raise Invalid([Problem("totals", message("record.unknown_column", path=str(name)[:60]))]) from None
        summable = path.field.type in EXACT_TYPES or path.field.type is FieldType.INTEGER
        if not summable or path.field.type in NO_TOTALS or path.field.name in ("id", "row_version"):
            raise Invalid([Problem("totals", message("record.no_total", label=path.field.label))])
        condition, possible = frame.readable(path, FieldLevel.READ)
        if not possible:
            return None
        column = frame.column(path)
        return column if condition is None else sa.type_coerce(sa.case((condition, column)), column.type)

    def _subtitle(self, row: Row, entity: Entity) -> str:
        value = row.values.get(entity.subtitle)
        if value is None:
            return ""
        return row.titles.get(entity.subtitle) or str(value)


class _Window:
    """The statements of one list: the rows are limited first, links are joined afterwards (late join)."""

    def __init__(self, inner: Frame, outer: Frame, selection: Selection, order: Order, clauses: list[Any], paths: tuple[str, ...],
                 narrowed: bool, searched: tuple[Searched, ...], lasting: str) -> None:
        """``lasting``: the digest of the catalog for the rows that the actor sees without having typed anything; empty otherwise."""
        self._inner, self._outer, self._clauses, self._selection = inner, outer, clauses, selection
        self.order, self.decode, self.paths, self.narrowed = order, selection.decoder(), paths, narrowed
        self._width, self.searched, self._lasting = len(selection.columns), searched, lasting
        self._made: dict[Any, Any] = Memory(STATEMENTS_KEPT)

    def fetch(self, conn: sa.Connection, marker: Marker | None, limit: int, offset: int) -> list[Any]:
        """Up to ``limit`` raw rows in reading direction (reversed for a backwards marker)."""
        backwards = marker is not None and marker.backwards
        if not self.order.phased:
            return self._run(conn, marker, None, limit, offset, backwards)
        if offset:
            found = self._run(conn, None, True, limit, offset, False)
            return found if len(found) == limit else self._run(conn, None, None, limit, offset, False)
        phases = [False, True] if backwards else [True, False]
        if marker is not None and (marker.values[0] is None) != (phases[0] is False):
            phases = phases[1:]
        rows: list[Any] = []
        for phase in phases:
            here = marker if marker is not None and (marker.values[0] is None) == (phase is False) else None
            rows += self._run(conn, here, phase, limit - len(rows), 0, backwards)
            if len(rows) >= limit:
                break
        return rows

    def key_values(self, raw: Any) -> tuple[Any, ...]:
        return tuple(raw[self._width:])

    def _run(self, conn: sa.Connection, marker: Marker | None, phase: bool | None, limit: int, offset: int, reverse: bool) -> list[Any]:
        place: dict[str, Any] = {} if marker is None else {f"m{i}": value for i, value in enumerate(marker.values) if value is not None}
        key = (phase, limit, offset, reverse, marker is not None, tuple(place))     # which values are there decides what the SQL says
        statement = self._made.get(key)
        if statement is None:               # another thread may have it forget everything at any moment
            lasting = self._lasting if not place else ""
            statement = self._made[key] = Ready(self._statement(marker, phase, limit, offset, reverse), lasting=lasting, own=True)
        return list(statement.rows(conn, place))

    def _statement(self, marker: Marker | None, phase: bool | None, limit: int, offset: int, reverse: bool) -> Any:
        order, clauses = self.order, list(self._clauses)
        first = order.keys[0].column
        if phase is not None:
            clauses.append(first.is_not(None) if phase else first.is_(None))
        if marker is not None:
            values = [None if value is None else sa.bindparam(f"m{i}", type_=order.keys[i].column.type) for i, value in enumerate(marker.values)]
            clauses.append(order.after(values, reverse=reverse, phase=phase))
        keys = [key.column.label(f"k{i}") for i, key in enumerate(order.keys)]
        window = (sa.select(*keys).select_from(self._inner.source()).where(*clauses)
                  .order_by(*order.by(reverse=reverse, phase=phase)).limit(limit).offset(offset or None)).subquery("p")
        table = self._outer.table
        source = window.join(table, table.c.id == window.c[f"k{len(keys) - 1}"])
        for target, on in self._outer.joins:
            source = source.outerjoin(target, on)
        outer_order = Order(tuple(Key(k.name, window.c[f"k{i}"], k.descending, k.nullable, k.field) for i, k in enumerate(order.keys)))
        columns = (*self._selection.statement_columns(), *(window.c[f"k{i}"] for i in range(len(keys))))
        return sa.select(*columns).select_from(source).order_by(*outer_order.by(reverse=reverse, phase=phase))


def _all_paths(entity: Entity, *, with_implicit: bool) -> list[str]:
    own = [field.name for field in entity.fields.values() if field.stored]
    return [*own, *(f.name for f in implicit_fields(entity) if f.name not in ("id", "row_version"))] if with_implicit else own


def _live(table: Any, *, archived: bool) -> list[sa.ColumnElement[bool]]:
    """Archived rows stay out of a list unless asked for; asked for, they are the list."""
    if "archived_at" not in table.c:
        return []
    return [table.c.archived_at.is_not(None) if archived else table.c.archived_at.is_(None)]


def _limit(limit: int | None, view: ListView | None) -> int:
    size = limit if limit is not None else view.page_size if view else 20
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LIMIT_MAX:
        raise Invalid([Problem("limit", message("record.bad_limit", limit=LIMIT_MAX))])
    return size


def _page_number(page: int | None) -> int | None:
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= PAGES_MAX):
        raise Invalid([Problem("page", message("record.page_too_far", limit=PAGES_MAX))])
    return page


def zone_of(tenant: Any) -> tzinfo:
    """The zone of a tenant, which names it."""
    zone = getattr(tenant, "zone", None)
    return ZoneInfo(zone) if isinstance(zone, str) else zone or UTC


def _is_id(id: Any) -> bool:
    return isinstance(id, int) and not isinstance(id, bool) and 0 < id < 2**63
