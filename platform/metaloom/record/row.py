"""What the reader gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metaloom.model import FieldLevel, ListView


@dataclass(frozen=True, slots=True)
class Row:
    """One record as its reader may see it. ``values`` holds Python values by path, masked already; a hidden path is absent.

    ``titles``: the words for linked rows, by the path of the link (absent where they may not be seen).
    ``struck``: link paths whose target is archived. ``children``: rows of child fields (``get`` only).
    """

    entity: str
    id: int
    row_version: int
    title: str
    values: Mapping[str, Any]
    levels: Mapping[str, FieldLevel]
    titles: Mapping[str, str]
    actions: frozenset[str]
    archived: bool = False
    struck: frozenset[str] = frozenset()
    children: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def __getitem__(self, path: str) -> Any:
        return self.values.get(path)


@dataclass(frozen=True, slots=True)
class Page:
    """``paths``: the columns that the reader may see at all. ``narrowed``: a filter or sort column is not readable in all
    rows of the scope, so the rows where it is not were left out (decision 13)."""

    rows: tuple[Row, ...]
    paths: tuple[str, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    has_more: bool = False
    narrowed: bool = False

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Count:
    """``exact`` False: the true number is larger (counting stopped) or an estimate of the database."""

    number: int
    exact: bool
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One hit of a link lookup."""

    id: int
    title: str
    subtitle: str = ""

    def __iter__(self) -> Any:
        return iter((self.id, self.title, self.subtitle))


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a history entry, as the reader may see it."""

    field: str
    before: Any
    after: Any
    level: FieldLevel


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of a record: when, who, how, and from what to what. ``actor_name``: the login; ``actor_title``: the person's name now."""

    id: int
    at: Any
    actor_id: int | None
    actor_name: str
    channel: str
    command: str
    reason: str
    changes: tuple[Change, ...]
    revision_number: int | None = None
    actor_title: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The row set that a list, its count, totals and export speak of: one value, so that they cannot differ."""

    entity: str
    view: ListView | None = None
    filters: tuple[Any, ...] = ()
    q: str | None = None
    tab: str | None = None
    archived: bool = False
    action: str = "list"
    where: tuple[Callable[[Any], Any], ...] = ()
