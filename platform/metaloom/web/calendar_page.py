"""A list as a calendar: month, week and day, with the days that the company does not work, each entry a link to its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import render_template

from metaloom.command.dashboard import today_of
from metaloom.model import CalendarView, FieldLevel, FieldType
from metaloom.model.screen import SPANS
from metaloom.record import Days, Row
from metaloom.record.working_calendar import calendar_of
from metaloom.web.board_page import card_paths, readable
from metaloom.web.cells import COLOURS, Head, cell_for, heads, resolve, titled
from metaloom.web.current import Current
from metaloom.web.frame import record_url
from metaloom.web.listing import ListState
from metaloom.web.words import t as _t

SHOWN = {"month": 4, "week": 20, "day": 200}
FIRST, LAST = date(1900, 1, 1), date(2999, 1, 1)


@dataclass(frozen=True)
class Entry:
    """A record on a day. ``time``: of an instant that begins on this day; ``facts``: label and value."""

    href: str
    title: str
    subtitle: str
    colour: str
    time: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DayShown:
    """``mark``: what the working calendar says of the day; ``rest``: how many more there are than ``entries``."""

    day: date
    name: str
    outside: bool
    today: bool
    free: bool
    mark: str
    rows: int
    rest: int
    entries: tuple[Entry, ...]
    href: str


def calendar_zone(pinned: Current, state: ListState) -> str:
    """The calendar in the place of the table: the span and the day that the address names, else this month."""
    view, today = _view(state), today_of(pinned)
    span = state.args.get("span", "month")
    span = span if span in SPANS else "month"
    at = _day(state.args.get("at", ""), today)
    since, until = reach(span, at)
    places = _heads(pinned, state)
    end = view.until if readable(pinned, state.entity, [view.until] if view.until else []) else ""
    found = pinned.reader.calendar(state.entity.address, Days(view.date, since, until, end, tuple(h.path for h in places), SHOWN[span]), **state.asked())
    working = calendar_of(pinned.conn, pinned.revision.tables, pinned.tenant.name, pinned.actor.company_id)
    entries = _Entries(pinned, state, places)
    days = []
    for number in range((until - since).days + 1):
        day = since + timedelta(days=number)
        here = found.days.get(day)
        cards = here.cards if here is not None else ()
        rows = here.rows if here is not None else 0
        mark = working.days.get(day, "")
        days.append(DayShown(day, _t(f"calendar.day.{day.weekday()}"), span == "month" and day.month != at.month, day == today, not working.works(day),
                             _t(f"calendar.mark.{mark}") if mark else "", rows, rows - len(cards), tuple(entries.of(row, day) for row in cards),
                             state.place + state.query(view="calendar", span="day", at=day.isoformat())))
    steps = {name: state.place + state.query(view="calendar", span=span, at=day.isoformat()) for name, day in _steps(span, at, today).items()}
    spans = [(name, state.place + state.query(view="calendar", span=name, at=at.isoformat())) for name in SPANS]
    return render_template("list/calendar.html", state=state, view=state.view, entity=state.entity, days=days, span=span, spans=spans, steps=steps,
                           title=_title(span, since, until, at), names=[_t(f"calendar.day.{n}") for n in range(7)], narrowed=found.narrowed,
                           nothing=not any(d.rows for d in days))


def reach(span: str, at: date) -> tuple[date, date]:
    """First and last day that a span shows; months begin on the Monday of their first week."""
    if span == "day":
        return at, at
    monday = at - timedelta(days=at.weekday())
    if span == "week":
        return monday, monday + timedelta(days=6)
    first = at.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return first - timedelta(days=first.weekday()), following + timedelta(days=6 - following.weekday())


def _view(state: ListState) -> CalendarView:
    assert state.view.calendar is not None
    return state.view.calendar


def _day(text: str, otherwise: date) -> date:
    try:
        found = date.fromisoformat(text) if len(text) == 10 else otherwise
    except ValueError:
        return otherwise
    return found if FIRST <= found <= LAST else otherwise


def _steps(span: str, at: date, today: date) -> dict[str, date]:
    if span == "month":
        first = at.replace(day=1)
        return {"before": (first - timedelta(days=1)).replace(day=1), "today": today, "after": (first + timedelta(days=32)).replace(day=1)}
    width = timedelta(days=7 if span == "week" else 1)
    return {"before": at - width, "today": today, "after": at + width}


def _title(span: str, since: date, until: date, at: date) -> str:
    if span == "month":
        return _t("calendar.month", year=at.year, month=f"{at.month:02d}")
    return since.isoformat() if span == "day" else f"{since.isoformat()} – {until.isoformat()}"


def _heads(pinned: Current, state: ListState) -> list[Head]:
    """What is read of a row: subtitle and fields, the state for its colour, the date for its time."""
    view, lifecycle = _view(state), pinned.catalog.lifecycles.get(state.entity.address)
    also = readable(pinned, state.entity, [view.date, *([lifecycle.field] if lifecycle is not None else [])])
    return heads(pinned, state.entity, dict.fromkeys((*card_paths(pinned, state, view.fields, (view.date,)), *also)), state.view)


class _Entries:
    """Rows as entries of a day."""

    def __init__(self, pinned: Current, state: ListState, places: Sequence[Head]) -> None:
        self.pinned, self.state, self.view = pinned, state, _view(state)
        self._makers = [(head, cell_for(pinned, head.resolved)) for head in places]
        self._lifecycle = pinned.catalog.lifecycles.get(state.entity.address)
        path = resolve(pinned, state.entity, self.view.date)
        self._instant = path is not None and path.field.type is FieldType.DATETIME

    def of(self, row: Row, day: date) -> Entry:
        row, subtitle, facts = titled(self.pinned, self.state.entity, row), "", []
        for head, make in self._makers:
            if row.levels.get(head.path, FieldLevel.HIDDEN) < FieldLevel.READ or head.path == self.view.date:
                continue
            text = make(row).text
            if head.path == self.state.entity.subtitle:
                subtitle = "" if text == "-" else text
            elif text != "-":
                facts.append((head.label, text))
        if not subtitle and facts:
            subtitle, facts = facts[0][1], facts[1:]
        href = record_url(self.state.entity.address, row.id) if "read" in row.actions else ""
        return Entry(href, row.title, subtitle, self._colour(row), self._time(row, day), tuple(facts))

    def _colour(self, row: Row) -> str:
        field = self._lifecycle.field if self._lifecycle is not None else ""
        state = self._lifecycle.states.get(row.values.get(field) or "") if self._lifecycle is not None else None
        return state.colour if state is not None and state.colour in COLOURS else "grey"

    def _time(self, row: Row, day: date) -> str:
        value = row.values.get(self.view.date)
        if not self._instant or not isinstance(value, datetime):
            return ""
        local = value.astimezone(self.pinned.zone)
        return local.strftime("%H:%M") if local.date() == day else ""
