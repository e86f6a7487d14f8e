"""What a person's dashboards show: which there are, what a widget says, and the rows behind each of its numbers.

Reads only. ``record`` reckons, within rows and fields of the person; ``report`` knows periods; here they come together, for the
screens and for REST alike. A number leads to its rows by an ``Aim``: the widget's own conditions are looked up again in the
metadata, so that no address can bring a condition of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from metaloom.base.errors import NotAllowed, NotFound
from metaloom.base.text import Text
from metaloom.command.session import Pinned
from metaloom.model import Catalog, Column, Dashboard, Entity, Field, FieldType, ListView, Rows, Widget
from metaloom.model.dashboard import COUNTED
from metaloom.record import Bucket, Filter, Group, Page, Path, Summing, UnknownPath, choice_of, path
from metaloom.report import Span, before, bucket_for, end_of, filled, in_order, offered, span_of

TASK = "platform.approval_task"
OPENED, TODO = "opened_at", "todo"
AGED = 90                      # days over which open tasks are told apart by age; what is older is old
KEY_MAX, KEYS_MAX = 200, 60
_SHARE = Decimal("0.0001")


@dataclass(frozen=True)
class Aim:
    """The rows behind a number: those of ``rows`` in the days of ``span``, of one group or of none of the groups shown.

    ``at``: (key,) of the group; ``but``: the keys of the groups that are not meant; ``part``: only where the widget's part holds."""

    widget: Widget
    rows: Rows
    span: Span | None = None
    at: tuple[Any, ...] = ()
    but: tuple[Any, ...] = ()
    part: bool = False

    @property
    def address(self) -> str:
        return f"{self.widget.address}/{self.rows.name}" if self.rows.name else self.widget.address


@dataclass(frozen=True)
class Point:
    """One slice, bar or point. ``code``: the value of the group as it is stored; ``colour``: what the metadata gives it."""

    code: Any
    words: str
    value: Any
    aim: Aim
    colour: str = ""
    rest: bool = False


@dataclass(frozen=True)
class Line:
    """One series of a trend."""

    name: str
    label: Text | None
    colour: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Figures:
    """What a widget says. ``value`` is of everything in the period; ``compared`` of the days it is compared with; ``narrowed``:
    rows were left out because a field may not be read there (decision 13). ``field``: what is measured, None for a count."""

    widget: Widget
    period: str = ""
    span: Span | None = None
    value: Any = None
    share: Decimal | None = None
    part: Any = None
    compared: Any = None
    compared_span: Span | None = None
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    bucket: str = ""
    narrowed: bool = False
    aim: Aim | None = None
    field: Field | None = None
    page: Page | None = None
    locale: str = ""


# -- which there are --------------------------------------------------------------------------------------------------


def dashboards_of(pinned: Pinned) -> tuple[Dashboard, ...]:
    """The person's dashboards, the workbench first; those without roles only for who has no other."""
    held = pinned.actor.role_addresses
    boards = sorted(pinned.catalog.dashboards.values(), key=lambda board: (board.order, board.address))
    own = tuple(board for board in boards if held.intersection(board.roles))
    return own or tuple(board for board in boards if not board.roles)


def dashboard_of(pinned: Pinned, address: str) -> Dashboard:
    """One of them; NotFound for any other, whether it exists or not."""
    found = next((board for board in dashboards_of(pinned) if board.address == address), None)
    if found is None:
        raise NotFound
    return found


def widget_of(pinned: Pinned, board: str, name: str) -> Widget:
    """A widget of one of the person's dashboards."""
    found = dashboard_of(pinned, board).widgets.get(name)
    if found is None:
        raise NotFound
    return found


def shown(pinned: Pinned, widget: Widget) -> bool:
    """Whether the person may list any of the rows the widget speaks of; one that speaks of none is for everybody."""
    if widget.type == "todo":
        return bool(pinned.plan.may(TASK, "list"))
    return not widget.rows or any(pinned.plan.may(rows.entity, "list") for rows in widget.rows)


def periods_of(widget: Widget) -> tuple[str, ...]:
    """The periods among which the person may choose; none where the widget's own is the only one."""
    return offered(widget.period) if widget.switch and widget.period else ()


def period_of(widget: Widget, asked: str) -> str:
    """The asked period where the widget offers it, else its own."""
    return asked if asked in periods_of(widget) else widget.period


# -- what a widget says -----------------------------------------------------------------------------------------------


def figures(pinned: Pinned, widget: Widget, period: str = "", locale: str = "") -> Figures:
    """The widget's numbers, at most a statement for each series; the words of groups in ``locale``.

    NotAllowed where the person may not list the rows; Invalid where a field may be read nowhere; TooSlow."""
    if not shown(pinned, widget):
        raise NotAllowed(next((v.reason for rows in widget.rows if not (v := pinned.plan.may(rows.entity, "list"))), None))
    chosen = period_of(widget, period)
    made = Figures(widget, chosen, span_of(chosen, today_of(pinned)) if chosen else None, locale=locale)
    return _MADE[widget.type](pinned, made) if widget.type in _MADE else made


def today_of(pinned: Pinned) -> date:
    """The business date of the person's company."""
    today = pinned.env.business_date
    assert today is not None        # the environment of a request always has a day
    return today


def _number(pinned: Pinned, made: Figures) -> Figures:
    widget, rows = made.widget, made.widget.rows[0]
    found = _ask(pinned, rows, Summing(rows.measure, part=widget.part), made.span)
    made = replace(made, value=found.value, narrowed=found.narrowed, field=_measured(pinned, rows), aim=Aim(widget, rows, made.span, part=bool(widget.part)))
    if widget.part:
        made = replace(made, part=found.part, share=_share(found.part, found.value))
    span = before(made.period, today_of(pinned), widget.compare) if widget.compare else None
    if span is None:
        return made
    earlier = _ask(pinned, rows, Summing(rows.measure, part=widget.part), span)
    return replace(made, compared=_share(earlier.part, earlier.value) if widget.part else earlier.value, compared_span=span)


def _share(part: Any, whole: Any) -> Decimal | None:
    return (Decimal(part or 0) / Decimal(whole)).quantize(_SHARE, ROUND_HALF_UP) if whole else None


def _grouped(pinned: Pinned, made: Figures) -> Figures:
    widget, rows = made.widget, made.widget.rows[0]
    natural = widget.sort == "natural"
    found = _ask(pinned, rows, Summing(rows.measure, widget.group, sort="most" if natural else widget.sort,
                                       limit=200 if natural else widget.limit, locale=made.locale), made.span)
    group = _path(pinned, rows.entity, widget.group)
    kept: list[Group] = list(found.groups)
    if natural and group is not None:
        kept = in_order(kept, _codes(pinned.catalog, pinned.catalog.entities[group.entity], group.field), lambda one: one.key)[:widget.limit]
    points = [Point(one.key, one.words, one.value, Aim(widget, rows, made.span, (one.key,)), _colour(pinned.catalog, group, one.key)) for one in kept]
    if found.groups_found > len(kept) and rows.measure.how in ("count", "sum"):
        others = found.value - sum((one.value for one in kept), type(found.value)(0))
        points.append(Point(None, "", others, Aim(widget, rows, made.span, but=tuple(one.key for one in kept)), rest=True))
    return replace(made, value=found.value, points=tuple(points), narrowed=found.narrowed, field=_measured(pinned, rows), aim=Aim(widget, rows, made.span))


def _funnel(pinned: Pinned, made: Figures) -> Figures:
    widget = made.widget
    if widget.group:
        return _grouped(pinned, made)
    points, narrowed = [], False
    for rows in _listable(pinned, widget):
        found = _ask(pinned, rows, Summing(rows.measure), made.span)
        narrowed = narrowed or found.narrowed
        points.append(Point(rows.name, "", found.value, Aim(widget, rows, made.span), rows.colour))
    return replace(made, points=tuple(points), narrowed=narrowed, field=_measured(pinned, widget.rows[0]))


def _trend(pinned: Pinned, made: Figures) -> Figures:
    widget, span = made.widget, made.span
    assert span is not None  # the compiler demands a period with an end
    unit = bucket_for(span, widget.bucket if made.period == widget.period else "")
    lines, narrowed = [], False
    for rows in _listable(pinned, widget):
        found = _ask(pinned, rows, Summing(rows.measure, bucket=Bucket(rows.date, unit, span.since, span.until)), span)
        narrowed = narrowed or found.narrowed
        nothing = None if rows.measure.how in ("avg", "min", "max") else (found.value or 0) * 0      # a zero with the places of the others
        values = filled(span, unit, {one.key: one.value for one in found.groups}, nothing)
        lines.append(Line(rows.name, rows.label, rows.colour, tuple(
            Point(day, day.isoformat(), value, Aim(widget, rows, _within(span, day, unit))) for day, value in values)))
    return replace(made, lines=tuple(lines), bucket=unit, narrowed=narrowed, field=_measured(pinned, widget.rows[0]))


def _within(span: Span, day: date, unit: str) -> Span:
    """The days of a bucket that lie inside the span."""
    return Span(max(day, span.since), min(end_of(day, unit), span.until))


def _table(pinned: Pinned, made: Figures) -> Figures:
    widget, rows = made.widget, made.widget.rows[0]
    page = pinned.reader.list(rows.entity, view=view_of(pinned, rows), tab=rows.tab or None, limit=widget.limit, paths=_readable(pinned, rows, widget.columns))
    return replace(made, page=page, aim=Aim(widget, rows), narrowed=page.narrowed)


def _readable(pinned: Pinned, rows: Rows, columns: Sequence[str]) -> list[str] | None:
    """The columns the person sees at all; what the widget leaves out is the list's own."""
    own = set(pinned.reader.columns(rows.entity, replace(view_of(pinned, rows), columns=_columns(columns)), None)) if columns else set()
    return [text for text in columns if text in own] or None


def _columns(paths: Iterable[str]) -> Mapping[str, Column]:
    return {text: Column(text) for text in paths}


def _todo(pinned: Pinned, made: Figures) -> Figures:
    """Open tasks of the person by age: of today, of the last three days, older."""
    today = pinned.clock.now().astimezone(pinned.zone).date()
    since = today - timedelta(days=AGED)
    rows = Rows(TASK, tab=TODO, date=OPENED)
    whole = _ask(pinned, rows, Summing(), None)
    days = {one.key: one.value for one in _ask(pinned, rows, Summing(bucket=Bucket(OPENED, "day", since, today)), Span(since, today)).groups}
    new = days.get(today, 0)
    recent = sum(many for day, many in days.items() if day != today and day > today - timedelta(days=3))
    spans = {"today": Span(today, today), "recent": Span(today - timedelta(days=2), today - timedelta(days=1)),
             "old": Span(date.min, today - timedelta(days=3))}
    counts = {"today": new, "recent": recent, "old": whole.value - new - recent}
    points = tuple(Point(name, "", counts[name], Aim(made.widget, rows, spans[name])) for name in counts)
    return replace(made, value=whole.value, points=points)


_MADE = {"number": _number, "bar": _grouped, "pie": _grouped, "ranking": _grouped, "alerts": _grouped, "funnel": _funnel, "trend": _trend, "table": _table,
         "todo": _todo}


def _ask(pinned: Pinned, rows: Rows, summing: Summing, span: Span | None) -> Any:
    return pinned.reader.summary(rows.entity, summing, view=view_of(pinned, rows), tab=rows.tab or None, filters=_days(rows, span))


def _days(rows: Rows, span: Span | None) -> list[Filter]:
    return [Filter(rows.date, "between", (span.since.isoformat() if span.since > date.min else None, span.until.isoformat()))] if span is not None else []


def _listable(pinned: Pinned, widget: Widget) -> list[Rows]:
    return [rows for rows in widget.rows if pinned.plan.may(rows.entity, "list")]


def view_of(pinned: Pinned, rows: Rows) -> ListView:
    """The list of the rows with their further conditions."""
    view: ListView = pinned.catalog.lists[f"{rows.entity}/{rows.list}"]
    return replace(view, also=rows.filters)


def _path(pinned: Pinned, entity: str, text: str) -> Path | None:
    try:
        return path(pinned.revision, entity, text) if text else None
    except UnknownPath:
        return None


def _measured(pinned: Pinned, rows: Rows) -> Field | None:
    found = _path(pinned, rows.entity, rows.measure.path)
    return found.field if found is not None else None


def _codes(catalog: Catalog, entity: Entity, field: Field) -> list[Any]:
    """Choices or states in the order of the metadata."""
    if field.type is FieldType.STATE:
        lifecycle = catalog.lifecycles.get(entity.address)
        return list(lifecycle.states) if lifecycle else []
    choices = catalog.choices.get(field.choices)
    return list(choices.items) if choices else [True, False]


def _colour(catalog: Catalog, group: Path | None, key: Any) -> str:
    found = choice_of(catalog, group.field, key, group.entity) if group is not None and isinstance(key, str) else None
    return found.colour if found is not None else ""


# -- the rows behind a number -----------------------------------------------------------------------------------------


def arguments(aim: Aim) -> list[tuple[str, str]]:
    """The aim as parameters of a list's address; ``aimed`` reads them back."""
    found = [("w", aim.address)]
    if aim.span is not None:
        found += [("w.since", aim.span.since.isoformat()), ("w.until", aim.span.until.isoformat())]
    for name, keys in (("w.at", aim.at), ("w.but", aim.but)):
        found += [(name, _text(key)) for key in keys]
    return found + ([("w.part", "1")] if aim.part else [])


def _text(key: Any) -> str:
    return "" if key is None else ("true" if key else "false") if isinstance(key, bool) else str(key)


def aimed(pinned: Pinned, given: Mapping[str, Sequence[str]]) -> Aim:
    """The aim that the parameters name. NotFound for a widget that is not the person's, or parameters that mean nothing for it."""
    address = (given.get("w") or [""])[0]
    board, _, rest = address.partition("/")
    name, _, series = rest.partition("/")
    widget = widget_of(pinned, board, name)
    rows = next((one for one in widget.rows if one.name == series), None)
    if rows is None or (widget.type not in COUNTED and widget.type != "table"):
        raise NotFound
    span = _span(given)
    at, but = (tuple(key or None for key in given.get(name, ())[:KEYS_MAX]) for name in ("w.at", "w.but"))
    if (span is not None and not rows.date) or ((at or but) and not widget.group) or any(key and len(key) > KEY_MAX for key in (*at, *but)):
        raise NotFound
    return Aim(widget, rows, span, at[:1], but, bool(widget.part) and given.get("w.part") is not None)


def words_of(pinned: Pinned, aim: Aim, locale: str) -> str:
    """What people call the group of an aim; '' where it is none, or nothing is entered."""
    if not aim.at or aim.at[0] is None:
        return ""
    view, filters = narrowed_to(pinned, aim, pinned.catalog.lists[f"{aim.rows.entity}/{aim.rows.list}"])
    found = pinned.reader.summary(aim.rows.entity, Summing(group=aim.widget.group, limit=1, locale=locale), view=view, filters=filters)
    return found.groups[0].words if found.groups else ""


def _span(given: Mapping[str, Sequence[str]]) -> Span | None:
    if "w.since" not in given and "w.until" not in given:
        return None
    try:
        return Span(*(date.fromisoformat((given.get(name) or [""])[0]) for name in ("w.since", "w.until")))
    except ValueError:
        raise NotFound from None


def narrowed_to(pinned: Pinned, aim: Aim, view: ListView) -> tuple[ListView, list[Filter]]:
    """``view`` with just the rows of the aim: the author's conditions, and filters of the person for days and group."""
    rows, widget = aim.rows, aim.widget
    tab = view.tabs.get(rows.tab)
    fixed = [*rows.filters, *([tab.filter] if tab is not None and tab.filter else []), *([widget.part] if aim.part else [])]
    filters = _days(rows, aim.span)
    for key in aim.at:
        filters.append(Filter(widget.group, "eq", key) if key is not None else Filter(widget.group, "empty", True))
    if aim.but:
        keys = [key for key in aim.but if key is not None]
        filters += [Filter(widget.group, "not_in", keys)] if keys else []
        filters += [Filter(widget.group, "empty", False)] if None in aim.but else []
    return replace(view, also=tuple(fixed), tabs={}), filters
