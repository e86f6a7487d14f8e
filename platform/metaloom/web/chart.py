"""Figures in words, colours and addresses: what the templates of widgets and the charts in the browser draw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlencode

from metaloom.command.dashboard import TASK, Aim, Figures, Point, arguments, words_of
from metaloom.model import Field, FieldType
from metaloom.record.encode import percent, words_for
from metaloom.report import Span
from metaloom.web.cells import Cell, cell_for, heads
from metaloom.web.current import Current, locale, say, url
from metaloom.web.frame import list_url, record_url
from metaloom.web.words import t as _t

SCALES = {"zh": ((Decimal(10**8), "亿", Decimal(10**8)), (Decimal(10**5), "万", Decimal(10**4))), "en": ((Decimal(10**7), " M", Decimal(10**6)),)}
CENT = Decimal("0.01")
MONTH, DAY = "%Y-%m", "%m-%d"


@dataclass(frozen=True)
class Said:
    """A number as people read it: short, and exact for who points at it."""

    short: str
    exact: str


@dataclass(frozen=True)
class Mark:
    """One slice, bar, point or row. ``width``: of the largest, in percent."""

    label: str
    said: Said
    href: str
    colour: str
    value: float | None
    share: str = ""
    width: float = 0
    rest: bool = False


@dataclass(frozen=True)
class Series:
    name: str
    colour: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Change:
    """A comparison. ``tone``: good | bad | ''; ``way``: up | down | same."""

    said: str
    way: str
    tone: str
    before: Said
    span: str


@dataclass(frozen=True)
class Drawing:
    """A widget's fragment."""

    title: str
    period: str
    span: str
    value: Said | None
    href: str
    unit: str
    marks: tuple[Mark, ...]
    series: tuple[Series, ...]
    change: Change | None
    facts: tuple[tuple[str, Said], ...]
    narrowed: bool
    empty: bool
    chart: str                                   # JSON for the browser; '' where nothing is drawn
    heads: tuple[Any, ...] = ()
    rows: tuple[tuple[str, tuple[Cell, ...]], ...] = ()


def drawing(pinned: Current, made: Figures) -> Drawing:
    """The figures as they are shown."""
    widget, say_number = made.widget, sayer(pinned, made.field)
    marks = _marks(pinned, made, say_number)
    series = tuple(Series(say(line.label) or say(widget.label), line.colour, tuple(
        _mark(pinned, point, _bucket_words(point.code, made.bucket), say_number) for point in line.points)) for line in made.lines)
    columns, rows = _table(pinned, made)
    value = Said(percent(made.share), percent(made.share)) if made.share is not None else None if made.value is None else say_number(made.value)
    nothing = not rows if widget.type == "table" else not any(m.value for m in (*marks, *(m for s in series for m in s.marks)))
    made_of = ((say(widget.label), made.part), (_t("board.of"), made.value)) if widget.part else ()
    return Drawing(
        title=say(widget.label), period=made.period, span=_span_words(made.span), value=value, href=_href(pinned, made.aim),
        unit=_unit(made), marks=marks, series=series, change=_change(made, say_number), facts=tuple((label, say_number(v or 0)) for label, v in made_of),
        narrowed=made.narrowed, empty=nothing, chart=_chart(made, marks, series) if not nothing else "", heads=columns, rows=rows)


# -- numbers


def sayer(pinned: Current, field: Field | None) -> Any:
    """From a value of ``field`` (None: of a count) to how people read it."""
    spoken = locale()
    exact = words_for(pinned.catalog, field, spoken, zone=pinned.zone) if field is not None else lambda value: f"{value:,}"

    def said(value: Any) -> Said:
        if value is None:
            return Said("-", "-")
        whole = exact(value) if not isinstance(value, Decimal) or field is None or field.type is not FieldType.INTEGER else f"{value:,f}"
        if isinstance(value, date) or (field is not None and field.type is FieldType.RATE):
            return Said(whole, whole)
        return Said(_short(Decimal(value), spoken) or whole, whole)

    return said


def _short(value: Decimal, spoken: str) -> str:
    """12,345,678.90 → 1,234.57万; '' where the number is short enough as it stands."""
    for least, word, unit in SCALES[spoken]:
        if abs(value) >= least:
            return f"{(value / unit).quantize(CENT, ROUND_HALF_UP):,f}{word}"
    return ""


def _unit(made: Figures) -> str:
    if made.share is not None:
        return ""
    return say(made.widget.unit) if made.widget.unit else unit_words(made.field)


def unit_words(field: Field | None) -> str:
    """What stands behind values of ``field``; '' for a count."""
    if field is not None and field.type is FieldType.MONEY:
        return "元" if field.currency == "CNY" and locale() == "zh" else field.currency
    return say(field.unit) if field is not None and field.unit else ""


def _change(made: Figures, say_number: Any) -> Change | None:
    if made.compared_span is None:
        return None
    now, earlier = (made.share, made.compared) if made.widget.part else (made.value, made.compared)
    before = Said(percent(earlier), percent(earlier)) if made.widget.part and earlier is not None else say_number(earlier)
    way = "same" if now == earlier or now is None or earlier is None else "up" if now > earlier else "down"
    tone = "" if way == "same" or not made.widget.better else "good" if way == made.widget.better else "bad"
    return Change(_difference(now, earlier, bool(made.widget.part)), way, tone, before, _span_words(made.compared_span))


def _difference(now: Any, earlier: Any, share: bool) -> str:
    """By how many percent, for shares by how many points; '' where there is nothing to compare with."""
    if now is None or earlier is None or isinstance(now, date):
        return ""
    if share:
        return _t("board.points", n=f"{(Decimal(now) - Decimal(earlier)) * 100:+.2f}")
    return f"{(Decimal(now) - Decimal(earlier)) / abs(Decimal(earlier)) * 100:+,.1f}%" if earlier else ""


# -- slices, bars, points


def _marks(pinned: Current, made: Figures, say_number: Any) -> tuple[Mark, ...]:
    labels = {rows.name: rows.label for rows in made.widget.rows}
    found = []
    for point in made.points:
        words = _t("board.rest") if point.rest else _t(f"board.age.{point.code}") if made.widget.type == "todo" else (
            say(labels[point.code]) if point.code in labels and not made.widget.group else point.words or _t("board.none"))
        found.append(_mark(pinned, point, words, say_number))
    return measured(found, of_first=made.widget.type == "funnel")


def measured(marks: Sequence[Mark], *, of_first: bool = False) -> tuple[Mark, ...]:
    """The marks with their share of the whole (``of_first``: of the first) and their length beside the largest."""
    values = [m.value for m in marks if m.value is not None]
    largest, whole = max((abs(v) for v in values), default=0), sum(values)
    if of_first:
        whole = marks[0].value or 0 if marks else 0
    positive = bool(values) and min(values) >= 0 and whole > 0
    return tuple(_measured(m, largest, whole if positive else 0) for m in marks)


def _measured(mark: Mark, largest: float, whole: float) -> Mark:
    share = f"{(mark.value or 0) / whole * 100:.1f}%" if whole else ""
    width = round(abs(mark.value or 0) / largest * 100, 2) if largest else 0
    return Mark(mark.label, mark.said, mark.href, mark.colour, mark.value, share, width, mark.rest)


def _mark(pinned: Current, point: Point, words: str, say_number: Any) -> Mark:
    number = float(point.value) if isinstance(point.value, (int, Decimal)) else None
    return Mark(words, say_number(point.value), _href(pinned, point.aim), point.colour, number, rest=point.rest)


def _href(pinned: Current, aim: Aim | None) -> str:
    """The list of the rows behind a number."""
    if aim is None:
        return ""
    if aim.rows.entity == TASK:
        span = [("from", aim.span.since.isoformat() if aim.span.since > date.min else ""), ("to", aim.span.until.isoformat())] if aim.span else []
        return url("/task/") + "?" + urlencode([("box", "todo"), *((k, v) for k, v in span if v)])
    return list_url(aim.rows.entity, aim.rows.list) + "?" + urlencode(arguments(aim))


def _span_words(span: Span | None) -> str:
    if span is None:
        return ""
    return span.since.isoformat() if span.since == span.until else f"{span.since.isoformat()} – {span.until.isoformat()}"


def _bucket_words(day: date, unit: str) -> str:
    return day.strftime({"day": DAY, "week": DAY, "month": MONTH, "year": "%Y"}[unit])


def _chart(made: Figures, marks: Sequence[Mark], series: Sequence[Series]) -> str:
    """What the browser draws; it is told numbers for lengths and words for people."""
    kind = made.widget.type
    if kind == "trend":
        drawn: dict[str, Any] = {"kind": made.widget.chart, "labels": [m.label for m in series[0].marks] if series else [], "series": [
            {"name": s.name, "colour": s.colour, "values": [m.value for m in s.marks], "said": [m.said.exact for m in s.marks],
             "href": [m.href for m in s.marks]} for s in series]}
    elif kind in ("pie", "bar"):
        drawn = {"kind": kind + ("s" if kind == "bar" else ""), "items": [
            {"name": m.label, "value": m.value, "said": m.said.exact, "share": m.share, "href": m.href,
             "colour": "grey" if m.rest else m.colour} for m in marks]}
    else:
        return ""
    return json.dumps({**drawn, "unit": _unit(made), "locale": locale()}, ensure_ascii=False)


def aim_words(pinned: Current, aim: Aim) -> str:
    """What the number behind an aim is called: widget, series, group and days."""
    series = say(aim.rows.label) if aim.rows.name else ""
    return " · ".join(filter(None, (say(aim.widget.label) or _t(f"board.type.{aim.widget.type}"), series, *_group_words(pinned, aim), _span_words(aim.span))))


def _group_words(pinned: Current, aim: Aim) -> list[str]:
    if aim.but:
        return [_t("board.rest")]
    return [words_of(pinned, aim, locale()) or _t("board.none")] if aim.at else []


# -- rows


def _table(pinned: Current, made: Figures) -> tuple[tuple[Any, ...], tuple[tuple[str, tuple[Cell, ...]], ...]]:
    if made.page is None or made.aim is None:
        return (), ()
    entity = pinned.catalog.entities[made.aim.rows.entity]
    view = pinned.catalog.lists.get(f"{entity.address}/{made.aim.rows.list}")
    columns = heads(pinned, entity, made.page.paths[:8], view)
    cells = [cell_for(pinned, head.resolved) for head in columns]
    rows = tuple((record_url(entity.address, row.id) if "read" in row.actions else "", tuple(cell(row) for cell in cells)) for row in made.page.rows)
    return tuple(columns), rows
