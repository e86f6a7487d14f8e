"""The person's dashboards and what their widgets say, as data."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer
from metaloom.api.body import refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import page_out
from metaloom.api.speech import locale, say
from metaloom.base.messages import message
from metaloom.command.dashboard import Aim, Figures, Line, Point, dashboards_of, figures, periods_of, shown, widget_of
from metaloom.model import Widget
from metaloom.report import Span

ON_SCREEN_ONLY = frozenset({"links", "counts", "recent"})


def boards() -> Response:
    """GET /dashboards: the person's dashboards, the workbench first, with the widgets that hold data."""
    no_other_parameters()
    here = pinned()
    return answer({"items": [
        {"name": board.address, "label": say(board.label),
         "widgets": [_about(widget) for widget in board.widgets.values() if widget.type not in ON_SCREEN_ONLY and shown(here, widget)]}
        for board in dashboards_of(here)]})


def _about(widget: Widget) -> dict[str, Any]:
    return {"name": widget.name, "type": widget.type, "label": say(widget.label) if widget.label else None, "period": widget.period or None,
            "periods": list(periods_of(widget))}


def widget(board: str, name: str) -> Response:
    """GET /dashboards/<board>/<name>?period=…: what the widget says now. Amounts are text; a group's key is the stored value."""
    asked = no_other_parameters(("period",)).get("period", "")
    here = pinned()
    found = widget_of(here, board, name)
    if asked and asked not in (*periods_of(found), found.period):
        raise refused("period", message("field.choice"))
    return answer(_out(figures(here, found, asked, locale())))


def _out(made: Figures) -> dict[str, Any]:
    one = made.widget
    body: dict[str, Any] = {
        "name": one.name, "type": one.type, "label": say(one.label) if one.label else None, "period": made.period or None, **_days(made.span),
        "value": made.value, "narrowed": made.narrowed}
    if one.part:
        body |= {"part": made.part, "share": made.share}
    if made.compared_span is not None:
        body["compared"] = {"value": made.compared, **_days(made.compared_span)}
    if made.lines:
        body |= {"bucket": made.bucket, "series": [_line(line) for line in made.lines]}
    elif made.points:
        body["groups"] = [_point(point) for point in made.points]
    if made.page is not None:
        body["rows"] = page_out(made.page)["items"]
    return body


def _days(span: Span | None) -> dict[str, Any]:
    return {"since": span.since if span is not None else None, "until": span.until if span is not None else None}


def _line(line: Line) -> dict[str, Any]:
    return {"name": line.name or None, "label": say(line.label) if line.label else None,
            "points": [{"at": point.code, "value": point.value} for point in line.points]}


def _point(point: Point) -> dict[str, Any]:
    aim: Aim = point.aim
    label = say(aim.rows.label) if aim.rows.name and aim.rows.label is not None else point.words
    return {"key": point.code, "label": label or None, "value": point.value, "rest": point.rest}
