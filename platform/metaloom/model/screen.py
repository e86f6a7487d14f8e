"""What people see: lists, forms, menus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text

# Ways to look at a list, the spans of its calendar, the shapes of its chart: the words of its address.
VIEWS = ("table", "board", "calendar", "chart")
SPANS = ("month", "week", "day")
SHAPES = {False: ("bars", "pie"), True: ("bar", "line")}        # of groups, of days


@dataclass(frozen=True)
class Column:
    """``path`` is a field or a path along links (``customer.name``)."""

    path: str
    label: Text | None = None
    width: int | None = None
    hidden: bool = False           # offered in the column picker, not shown at first


@dataclass(frozen=True)
class Tab:
    name: str
    label: Text
    filter: str = ""


@dataclass(frozen=True)
class BoardView:
    """A list as columns of cards. ``by``: the entity's state or a choice; ``only``: the values with a column, () = all.

    ``fields``: paths on a card, () = the first columns of the list; ``sums``: added up per column; ``cards``: shown before more.
    """

    by: str
    only: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    cards: int = 20


@dataclass(frozen=True)
class CalendarView:
    """A list by days. ``date``: path of the day or instant on which a record stands; ``until``: the last day, '' for one day."""

    date: str
    until: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListView:
    """A list of one entity. ``main`` is the entity's own; others are menu nodes with a fixed ``filter``."""

    address: str
    entity: str
    name: str
    label: Text | None
    columns: Mapping[str, Column]
    search: tuple[str, ...] = ()       # field paths always visible
    more: tuple[str, ...] = ()         # under 展开
    filter: str = ""
    sort: tuple[str, ...] = ()         # "-created_at"
    totals: tuple[str, ...] = ()
    tabs: Mapping[str, Tab] = field(default_factory=dict)
    actions: tuple[str, ...] = ()      # row actions in order; () = all that the person may do
    page_size: int = 20
    empty: Text | None = None
    board: BoardView | None = None
    calendar: CalendarView | None = None
    also: tuple[str, ...] = ()         # further conditions that hold besides ``filter`` (the rows behind a number of a dashboard)
    position: Position = NOWHERE


@dataclass(frozen=True)
class Section:
    name: str
    label: Text
    fields: tuple[str, ...]
    columns: int = 2
    visible_when: str = ""
    help: Text | None = None


@dataclass(frozen=True)
class Form:
    entity: str
    sections: Mapping[str, Section]
    position: Position = NOWHERE


@dataclass(frozen=True)
class MenuItem:
    """Exactly one of ``list`` (entity address or ``<entity>/<list name>``), ``page`` (an engine page: ``workbench``, …) or ``url``."""

    name: str
    label: Text
    icon: str = ""
    list: str = ""
    page: str = ""
    order: int = 100


@dataclass(frozen=True)
class Menu:
    address: str
    label: Text
    icon: str = ""
    order: int = 100
    items: Mapping[str, MenuItem] = field(default_factory=dict)
    position: Position = NOWHERE


@dataclass(frozen=True)
class QuickLink:
    """A tile of the workbench: ``create`` an entity, or open a ``list``; shown to those who may."""

    address: str
    label: Text
    icon: str = ""
    create: str = ""
    list: str = ""
    roles: tuple[str, ...] = ()
    order: int = 100
    position: Position = NOWHERE
