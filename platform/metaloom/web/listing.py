"""What a list's address asks: filters, order, place, size; and the search fields that write such addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from metaloom.base.errors import MetaloomError, NotFound
from metaloom.base.regions import is_region, significant
from metaloom.command.dashboard import Aim, aimed, arguments, narrowed_to
from metaloom.model import Entity, Field, FieldLevel, FieldType, ListView
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record.filters import Filter, masked_operators, operators
from metaloom.record.paths import Path, implicit_fields, target_of
from metaloom.web.cells import CODES, COLUMNS_KEPT, path_label, resolve
from metaloom.web.current import Current, say
from metaloom.web.frame import list_url
from metaloom.web.words import form_ids

TABLE, BOARD, CALENDAR, CHART = "table", "board", "calendar", "chart"
CHARTED = frozenset({FieldType.CHOICE, FieldType.STATE, FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME, *LINK_TYPES})
PREFIX, FROM, TO = "f.", "~from", "~to"
VALUES_MAX = 50
ARG_MAX = 300
RANGES = frozenset({*EXACT_TYPES, FieldType.INTEGER, FieldType.DATE, FieldType.DATETIME})
DAYS = frozenset({FieldType.DATE, FieldType.DATETIME})


@dataclass(frozen=True)
class SearchField:
    """One field of the search line. ``kind``: text | choice | link | range | days | bool | region."""

    path: str
    name: str
    label: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    low: str = ""
    high: str = ""
    target: str = ""
    more: bool = False
    unit: str = ""
    hint: str = ""


@dataclass(frozen=True)
class ListState:
    """The list of this request."""

    entity: Entity
    view: ListView
    filters: tuple[Filter, ...]
    q: str
    tab: str
    sort: tuple[str, ...]
    cursor: str
    size: int
    archived: bool
    args: MultiDict[str, str]
    columns: tuple[str, ...] | None = None
    density: str = "normal"
    aim: Aim | None = None
    widths: Mapping[str, int] = field(default_factory=dict)
    default: int = 0          # the kept list that this person wants to see first
    mode: str = TABLE         # how the rows are looked at: one of ``modes``
    modes: tuple[str, ...] = (TABLE,)

    @property
    def place(self) -> str:
        return list_url(self.entity.address, self.view.name)

    def asked(self) -> dict[str, Any]:
        """The row set, in the words of ``record.Reader``."""
        return {"view": self.view, "filters": self.filters, "q": self.q or None, "tab": self.tab or None, "archived": self.archived}

    @property
    def aimed(self) -> list[tuple[str, str]]:
        """The parameters that name a number of a dashboard, for the search form."""
        return arguments(self.aim) if self.aim is not None else []

    def query(self, **changes: str | None) -> str:
        """The address's query with some parameters changed (None drops one); a change leaves the page's place."""
        kept = [(k, v) for k, v in self.args.items(multi=True) if v and k not in changes and k != "cursor"]
        kept += [(k, v) for k, v in changes.items() if v]
        return "?" + urlencode(kept) if kept else ""


def read_state(pinned: Current, address: str, name: str) -> ListState:
    """The list that this request's address asks for; NotFound for a list that is not there or not the person's."""
    entity = pinned.entity(address)
    view = pinned.catalog.lists.get(f"{address}/{name}") or (_plain_view(pinned, entity) if name == "main" else None)
    if view is None:
        raise NotFound
    kept = _preferences(pinned, address, name)
    args: MultiDict[str, str] = MultiDict((k, v[:ARG_MAX * 10 if k == "cursor" else ARG_MAX]) for k, v in request.args.items(multi=True))
    aim, filters = _aim(pinned, address, name, args), list(_filters(pinned, entity, args))
    if aim is not None:
        view, behind = narrowed_to(pinned, aim, view)
        filters += behind
    tab = "" if aim is not None else args.get("tab", "") or next(iter(view.tabs), "")
    size = args.get("size", type=int) or kept.get("size") or view.page_size
    wanted = args.get("cols", "").split(",") if args.get("cols") else kept.get("columns") or ()
    columns = tuple(p for p in wanted if p in view.columns) or None
    modes, mode = _mode(pinned, entity, view, args.get("view") or (kept.get("view") if aim is None else ""))
    return ListState(entity, view, tuple(filters), args.get("q", "").strip(), tab,
                     tuple(s for s in args.get("sort", "").split(",") if s)[:4], args.get("cursor", ""), max(1, min(int(size), 200)),
                     args.get("archived") == "1", args, columns, kept.get("density", "normal"), aim,
                     {path: width for path, width in (kept.get("widths") or {}).items() if path in view.columns}, kept.get("default") or 0,
                     mode, modes)


def mode_of(pinned: Current, address: str, name: str, asked: str) -> tuple[tuple[str, ...], str]:
    """The ways in which this person may look at a list, and the one in which an address with ``view=asked`` shows it."""
    entity = pinned.entity(address)
    view = pinned.catalog.lists.get(f"{address}/{name}")
    return _mode(pinned, entity, view, asked or _preferences(pinned, address, name).get("view")) if view is not None else ((TABLE,), TABLE)


def _mode(pinned: Current, entity: Entity, view: ListView, asked: str | None) -> tuple[tuple[str, ...], str]:
    modes = _modes(pinned, entity, view)
    return modes, asked if asked in modes else TABLE


def _aim(pinned: Current, address: str, name: str, args: MultiDict[str, str]) -> Aim | None:
    """The number of a dashboard whose rows the address asks for; NotFound where it is of another list, or not the person's."""
    if "w" not in args:
        return None
    found = aimed(pinned, args.to_dict(flat=False))
    if (found.rows.entity, found.rows.list) != (address, name):
        raise NotFound
    return found


def _modes(pinned: Current, entity: Entity, view: ListView) -> tuple[str, ...]:
    """The ways in which this person may look at the list: a board of what may not be read is none."""
    if pinned.catalog.lists.get(view.address) is not view:
        return _ways(pinned, entity, view)
    key, kept = (view.address, pinned.catalog.digest), pinned.plan.kept("ways", COLUMNS_KEPT)
    found: tuple[str, ...] | None = kept.get(key)
    if found is None:
        found = kept[key] = _ways(pinned, entity, view)
    return found


def _ways(pinned: Current, entity: Entity, view: ListView) -> tuple[str, ...]:
    board = view.board is not None and pinned.plan.field_level_anywhere(entity.address, view.board.by) >= FieldLevel.READ
    calendar = view.calendar is not None and in_clear(pinned, resolve(pinned, entity, view.calendar.date))
    return (TABLE, *((BOARD,) if board else ()), *((CALENDAR,) if calendar else ()), *((CHART,) if chart_paths(pinned, entity, view) else ()))


def chart_paths(pinned: Current, entity: Entity, view: ListView) -> tuple[str, ...]:
    """By what of its own columns and search fields the list can be drawn as a chart for this person: codes, links, yes or no, days.

    Nothing for entities of the engine, whose codes their own pages put into words.
    """
    if entity.storage != "table":
        return ()
    found = {text: resolve(pinned, entity, text) for text in (*view.columns, *view.search, *view.more)}
    fitting = [(text, path) for text, path in found.items() if path is not None and path.field.type in CHARTED and not path.field.encrypted
               and in_clear(pinned, path)]
    return tuple(text for text, path in sorted(fitting, key=lambda one: one[1].field.type in LINK_TYPES))      # codes and days before people and things


def in_clear(pinned: Current, path: Path | None) -> bool:
    """Whether the person reads the path in the clear in some row, every link of the way included."""
    steps = [*((hop.entity, hop.field.name) for hop in path.hops), (path.entity, path.field.name)] if path is not None else []
    return bool(steps) and all(pinned.plan.field_level_anywhere(*step) >= FieldLevel.READ for step in steps)


def _preferences(pinned: Current, address: str, name: str) -> Mapping[str, Any]:
    visit = pinned.visit
    found = visit.preferences.get(f"list:{address}/{name}") if visit else None
    return found if isinstance(found, dict) else {}


def _plain_view(pinned: Current, entity: Entity) -> ListView:
    """A list for an entity whose metadata writes none: its first fields."""
    from metaloom.model import Column

    stored = [f for f in entity.fields.values() if f.stored and f.type not in (FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.JSON, *FILE_TYPES)]
    paths = list(dict.fromkeys([entity.title, *(f.name for f in stored)]))[:8]
    return ListView(f"{entity.address}/main", entity.address, "main", None, {p: Column(p) for p in paths},
                    search=tuple(p for p in paths[:1]), sort=("-id",))


def _filters(pinned: Current, entity: Entity, args: MultiDict[str, str]) -> Iterator[Filter]:
    """Every ``f.…`` parameter as a filter; what is unknown is refused by the reader, with the name of it."""
    names = dict.fromkeys(k.removesuffix(FROM).removesuffix(TO)[len(PREFIX):] for k in args if k.startswith(PREFIX))
    for name in names:
        path = resolve(pinned, entity, name)
        field = path.field if path else None
        low, high = args.get(f"{PREFIX}{name}{FROM}", "").strip(), args.get(f"{PREFIX}{name}{TO}", "").strip()
        if low or high:
            yield Filter(name, "between", (_typed(field, low), _typed(field, high)))
        values = [v.strip() for v in args.getlist(f"{PREFIX}{name}") if v.strip()][:VALUES_MAX]
        if not values:
            continue
        op = operator_of(pinned, path)
        coded = path is not None and field is not None and (path.entity, field.name) in CODES
        if field is not None and (coded or field.type in LINK_TYPES or field.type in (FieldType.CHOICE, FieldType.STATE)):
            yield Filter(name, "in", values)
        elif op == "prefix" and field is not None and field.type is FieldType.REGION:
            yield Filter(name, op, significant(values[0]) if is_region(values[0]) else values[0])  # a province stands for all inside
        elif op == "between":
            yield Filter(name, "eq", _typed(field, values[0]))
        else:
            yield Filter(name, op or "eq", values[0])


def operator_of(pinned: Current, path: Path | None) -> str:
    """The natural operator, or the one that is left where the field is masked for this person."""
    if path is None:
        return ""
    level = pinned.plan.field_level_anywhere(path.entity, path.field.name)
    offered = operators(path.field) if level >= FieldLevel.READ else masked_operators(path.field)
    return offered[0] if offered else ""


def _typed(field: Field | None, text: str) -> str | None:
    """Rates are typed in percent and stored as fractions; amounts may carry thousands separators."""
    if not text:
        return None
    if field is not None and field.type in (*EXACT_TYPES, FieldType.INTEGER):
        text = text.replace(",", "")
        if field.type is FieldType.RATE:
            return fraction(text)
    return text


def fraction(percent: str) -> str:
    """12.5 → 0.125; anything that is no number stays, to be refused with the right words."""
    try:
        number = Decimal(percent.rstrip("% ")) / 100
    except InvalidOperation:
        return percent
    return format(number.normalize(), "f") if number.is_finite() and abs(number.adjusted()) < 30 else percent


# ---------------------------------------------------------------------------------------------------- search line


def search_fields(pinned: Current, state: ListState) -> list[SearchField]:
    """The fields of the search line that this person may ask about."""
    found = []
    for more, paths in ((False, state.view.search), (True, state.view.more)):
        for text in paths:
            path = resolve(pinned, state.entity, text)
            if path is not None and _askable(pinned, state.entity, path):
                found.append((_search_field(pinned, state, path, more), path))
    return _with_titles(pinned, _briefly(state.entity, found))


def _briefly(entity: Entity, found: Sequence[tuple[SearchField, Path]]) -> list[SearchField]:
    """A field behind a link is called by its own name alone, unless the line or the entity has another of that name."""
    named = Counter([*(say(path.field.label) for _, path in found), *(say(one.label) for one in (*entity.fields.values(), *implicit_fields(entity)))])
    return [replace(one, label=own) if path.hops and one.label.endswith(own := say(path.field.label)) and named[own] == 1 else one for one, path in found]


def _askable(pinned: Current, entity: Entity, path: Path) -> bool:
    steps = [(hop.entity, hop.field.name) for hop in path.hops]
    if any(pinned.plan.field_level_anywhere(*step) < FieldLevel.READ for step in steps):
        return False
    if path.field.type in LINK_TYPES and not _lookable(pinned, target_of(path.field)):
        return False
    return bool(operator_of(pinned, path)) and path.field.type not in (FieldType.JSON, *FILE_TYPES)


def _lookable(pinned: Current, target: str) -> bool:
    return target in pinned.catalog.entities and bool(pinned.plan.may(target, "list") or pinned.plan.may(target, "read"))


def _search_field(pinned: Current, state: ListState, path: Path, more: bool) -> SearchField:
    kind = path.field.type
    one = SearchField(path.text, PREFIX + path.text, path_label(pinned, state.entity, path), "text", more=more,
                      values=tuple(v for v in state.args.getlist(PREFIX + path.text) if v))
    codes = CODES.get((path.entity, path.field.name))
    if codes is not None:
        return replace(one, kind="choice", options=tuple(codes(pinned)))
    if kind in RANGES and operator_of(pinned, path) == "between":
        return replace(one, kind="days" if kind in DAYS else "range", low=state.args.get(one.name + FROM, ""), high=state.args.get(one.name + TO, ""),
                       unit="%" if kind is FieldType.RATE else "")
    if kind is FieldType.STATE:
        lifecycle = pinned.catalog.lifecycles.get(path.entity)
        return replace(one, kind="choice", options=tuple((s.name, say(s.label)) for s in lifecycle.states.values()) if lifecycle else ())
    if kind in (FieldType.CHOICE, FieldType.MULTI_CHOICE):
        choices = pinned.catalog.choices.get(path.field.choices)
        return replace(one, kind="choice", options=tuple((c.code, say(c.label)) for c in choices.items.values()) if choices else ())
    if kind is FieldType.BOOLEAN:
        return replace(one, kind="bool")
    if kind is FieldType.REGION and operator_of(pinned, path) == "prefix":
        return replace(one, kind="region")
    if kind in LINK_TYPES:
        return replace(one, kind="link", target=target_of(path.field))
    return replace(one, hint="last4" if operator_of(pinned, path) == "last4" else "")


def _with_titles(pinned: Current, fields: list[SearchField]) -> list[SearchField]:
    """Names of the linked records that the address already filters by."""
    done = []
    for one in fields:
        ids = form_ids(one.values) if one.kind == "link" else []
        if ids:
            try:
                hits = pinned.reader.lookup(one.target, ids=ids, limit=len(ids))
            except MetaloomError:
                hits = []
            one = replace(one, titles={str(hit.id): hit.title for hit in hits})
        done.append(one)
    return done


def known_names(entity: Entity) -> frozenset[str]:
    """The names of the entity's own and implicit fields."""
    return frozenset(entity.fields) | {f.name for f in implicit_fields(entity)}
