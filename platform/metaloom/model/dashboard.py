"""Dashboard and Widget: what people see first, and the numbers, charts and lists that stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text

PERIODS = ("today", "this_week", "this_month", "this_quarter", "this_year", "last_7_days", "last_30_days", "last_90_days",
           "last_12_months", "next_7_days", "next_30_days", "all")
BUCKETS = ("day", "week", "month", "year")
CHARTS = frozenset({"trend", "bar", "pie"})      # drawn on a canvas; the rest is markup
COUNTED = frozenset({"number", "trend", "bar", "pie", "funnel", "ranking", "alerts"})


@dataclass(frozen=True)
class Measure:
    """What is reckoned of rows: ``count``, or sum | avg | min | max of the field at ``path``."""

    how: str = "count"
    path: str = ""

    def __str__(self) -> str:
        return f"{self.how}({self.path})" if self.path else self.how


@dataclass(frozen=True)
class Rows:
    """The rows behind a number: those of a list (with the fixed filter of it and of its ``tab``) for which every one of
    ``filters`` holds; ``date``: the field a period speaks of. ``name`` and ``label``: of one among several series."""

    entity: str
    list: str = "main"
    tab: str = ""
    filters: tuple[str, ...] = ()
    measure: Measure = Measure()
    date: str = ""
    name: str = ""
    label: Text | None = None
    colour: str = ""


@dataclass(frozen=True)
class Widget:
    """One thing on a dashboard. ``rows``: nothing for todo, links, counts and recent; several for a trend or funnel of series.

    ``part``: a number that is a share: the measure where this holds too, of the measure. ``better``: up | down, the good direction
    of a comparison. ``switch``: the person may choose another period. ``width``: columns of a grid of twelve.
    """

    address: str
    name: str
    type: str
    label: Text | None
    rows: tuple[Rows, ...] = ()
    help: Text | None = None
    icon: str = ""
    width: int = 4
    group: str = ""
    period: str = ""
    switch: bool = False
    bucket: str = ""
    chart: str = ""
    compare: str = ""
    better: str = ""
    part: str = ""
    unit: Text | None = None
    sort: str = "most"
    limit: int = 10
    columns: tuple[str, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True)
class Dashboard:
    """The widgets that holders of ``roles`` see; one without roles is for those who have no other."""

    address: str
    name: str
    label: Text
    roles: tuple[str, ...] = ()
    order: int = 100
    widgets: Mapping[str, Widget] = field(default_factory=dict)
    position: Position = NOWHERE
