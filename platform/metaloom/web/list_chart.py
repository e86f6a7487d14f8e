"""A list as a chart: the rows of the whole filter counted or added up by one of the list's columns, each figure a link to its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import render_template

from metaloom.command.dashboard import today_of
from metaloom.model import FieldType, Measure
from metaloom.model.dashboard import BUCKETS
from metaloom.model.entity import LINK_TYPES
from metaloom.model.screen import SHAPES
from metaloom.record import Bucket, Path, Summary, Summing, choice_of
from metaloom.report import Span, filled
from metaloom.report.figures import in_order
from metaloom.report.period import end_of
from metaloom.web.cells import path_label, resolve
from metaloom.web.chart import Drawing, Mark, Said, Series, measured, sayer, unit_words
from metaloom.web.current import Current, locale
from metaloom.web.listing import FROM, PREFIX, TO, ListState, chart_paths, in_clear
from metaloom.web.words import t as _t

GROUPS = 20
DATES = frozenset({FieldType.DATE, FieldType.DATETIME})
YEARS_BACK, YEARS_ON = 15, 5
OWN = ("by", "of", "as", "unit", "cursor")


@dataclass(frozen=True)
class Question:
    """What the address asks of the chart. ``of``: the path that is added up, '' for counting; ``unit``: of days, '' for other groups."""

    by: Path
    of: Path | None
    shape: str
    unit: str


def chart_zone(pinned: Current, state: ListState) -> str:
    """The chart in the place of the table."""
    paths = {text: path for text in chart_paths(pinned, state.entity, state.view) if (path := resolve(pinned, state.entity, text)) is not None}
    sums = {text: path for text in state.view.totals if (path := resolve(pinned, state.entity, text)) is not None and in_clear(pinned, path)}
    asked = _question(state, paths, sums)
    made = _reckoned(pinned, state, asked)
    picks = [("by", _t("chart.by"), [(text, path_label(pinned, state.entity, path)) for text, path in paths.items()], asked.by.text)]
    if sums:
        whole = [("", _t("chart.count")), *((text, _t("chart.sum", what=path_label(pinned, state.entity, path))) for text, path in sums.items())]
        picks.append(("of", _t("chart.of"), whole, asked.of.text if asked.of is not None else ""))
    if asked.unit:
        picks.append(("unit", _t("chart.unit"), [(unit, _t(f"chart.unit.{unit}")) for unit in BUCKETS], asked.unit))
    shapes = [(shape, state.place + state.query(view="chart", **{"as": shape}), shape == asked.shape) for shape in SHAPES[bool(asked.unit)]]
    hidden = [(key, value) for key, value in state.args.items(multi=True) if value and key not in (*(name for name, *_ in picks), "cursor", "view")]
    return render_template("list/chart.html", state=state, f=_drawing(pinned, state, asked, made), picks=picks, shapes=shapes, hidden=hidden,
                           cut=bool(asked.unit) and made.groups_found > len(made.groups), title=path_label(pinned, state.entity, asked.by))


def _question(state: ListState, paths: dict[str, Path], sums: dict[str, Path]) -> Question:
    """What is unknown, or not for this person, falls back to the first that there is."""
    by = paths.get(state.args.get("by", "")) or next(iter(paths.values()))
    dated = by.field.type in DATES
    shape, unit = state.args.get("as", ""), state.args.get("unit", "")
    return Question(by, sums.get(state.args.get("of", "")), shape if shape in SHAPES[dated] else SHAPES[dated][0],
                    (unit if unit in BUCKETS else "month") if dated else "")


def _reckoned(pinned: Current, state: ListState, asked: Question) -> Summary:
    measure = Measure("sum", asked.of.text) if asked.of is not None else Measure()
    today = today_of(pinned)
    if asked.unit:
        bucket = Bucket(asked.by.text, asked.unit, today - timedelta(days=365 * YEARS_BACK), today + timedelta(days=365 * YEARS_ON))
        summing = Summing(measure, bucket=bucket, locale=locale())
    else:
        summing = Summing(measure, asked.by.text, limit=200 if _codes(pinned, asked.by) else GROUPS, locale=locale())
    return pinned.reader.summary(state.entity.address, summing, **state.asked())


def _codes(pinned: Current, path: Path) -> list[Any]:
    """Choices or states in the order of the metadata; nothing for other fields."""
    if path.field.type is FieldType.STATE:
        lifecycle = pinned.catalog.lifecycles.get(path.entity)
        return list(lifecycle.states) if lifecycle is not None else []
    choices = pinned.catalog.choices.get(path.field.choices)
    return list(choices.items) if choices is not None else []


def _drawing(pinned: Current, state: ListState, asked: Question, made: Summary) -> Drawing:
    field = asked.of.field if asked.of is not None else None
    speak, unit = sayer(pinned, field), unit_words(field)
    marks = _dated(state, asked, made, speak) if asked.unit else _grouped(pinned, state, asked, made, speak)
    label = path_label(pinned, state.entity, asked.of) if asked.of is not None else _t("chart.count")
    series: tuple[Series, ...] = (Series(label, "blue", tuple(marks)),) if asked.unit else ()
    if asked.unit:
        drawn: dict[str, Any] = {"kind": asked.shape, "labels": [m.label for m in marks], "series": [
            {"name": label, "colour": "blue", "values": [m.value for m in marks], "said": [m.said.exact for m in marks], "href": [m.href for m in marks]}]}
    else:
        marks = list(measured(marks))
        drawn = {"kind": asked.shape, "items": [{"name": m.label, "value": m.value, "said": m.said.exact, "share": m.share, "href": m.href,
                                                 "colour": "grey" if m.rest else m.colour} for m in marks]}
    empty = not any(m.value for m in marks)
    whole = speak(made.value if made.value is not None else 0)
    return Drawing(title=f"{path_label(pinned, state.entity, asked.by)} · {label}", period="", span="", value=whole, href="",
                   unit=unit, marks=() if asked.unit else tuple(marks), series=series, change=None, facts=(), narrowed=made.narrowed, empty=empty,
                   chart="" if empty else json.dumps({**drawn, "unit": unit, "locale": locale()}, ensure_ascii=False))


def _grouped(pinned: Current, state: ListState, asked: Question, made: Summary, speak: Any) -> list[Mark]:
    codes = _codes(pinned, asked.by)
    groups = in_order(made.groups, codes, lambda one: one.key) if codes else list(made.groups)
    kept = groups[:GROUPS]
    found = [_mark(one.words if one.key is not None else _t("board.none"), one.value, speak, _rows(state, {PREFIX + asked.by.text: _text(one.key)}),
                   _colour(pinned, asked.by, one.key)) for one in kept]
    if made.groups_found > len(kept):
        rest = made.value - sum((one.value for one in kept), type(made.value)(0))
        found.append(replace(_mark(_t("board.rest"), rest, speak, "", "grey"), rest=True))
    return found


def _dated(state: ListState, asked: Question, made: Summary, speak: Any) -> list[Mark]:
    """A point for each day, week, month or year from the first to the last, the empty ones included where they are not too many."""
    known = {one.key: one.value for one in made.groups if one.key is not None}
    if not known:
        return []
    first, last = min(known), max(known)
    nothing = next(iter(known.values())) * 0
    points: Iterable[tuple[date, Any]] = filled(Span(first, last), asked.unit, known, nothing)
    points = list(points)
    if len(points) > 400:
        points = sorted(known.items())
    name = PREFIX + asked.by.text
    return [_mark(_bucket(day, asked.unit), value, speak,
                  _rows(state, {name: None, name + FROM: day.isoformat(), name + TO: end_of(day, asked.unit).isoformat()}), "blue") for day, value in points]


def _bucket(day: date, unit: str) -> str:
    return day.strftime({"day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[unit])


def _mark(label: str, value: Any, speak: Any, href: str, colour: str) -> Mark:
    said: Said = speak(value)
    return Mark(label, said, href, colour, float(value) if value is not None else None)


def _rows(state: ListState, filters: dict[str, str | None]) -> str:
    """The table of just these rows; '' where they cannot be asked for."""
    if "" in filters.values():
        return ""
    return state.place + state.query(view="table", **dict.fromkeys(OWN), **filters)


def _text(key: Any) -> str:
    return "" if key is None else ("true" if key else "false") if isinstance(key, bool) else str(key)


def _colour(pinned: Current, path: Path, key: Any) -> str:
    if path.field.type in LINK_TYPES or not isinstance(key, str):
        return ""
    found = choice_of(pinned.catalog, path.field, key, path.entity)
    return found.colour if found is not None else ""
