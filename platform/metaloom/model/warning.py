"""WarningRule: a condition of a record that raises an alert, and who is told (platform_features W01)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text

LEVELS = ("info", "yellow", "orange", "red")      # by rising severity; the severity of a level is its place here


@dataclass(frozen=True)
class Absence:
    """The cause holds only while no row of ``entity`` points here by ``field``, meets ``where`` (its own names) and is dated
    ``at`` on or after ``since`` (an expression of the record)."""

    entity: str
    field: str
    where: str = ""
    at: str = ""
    since: str = ""


@dataclass(frozen=True)
class LevelRule:
    level: str
    when: str


@dataclass(frozen=True)
class Receiver:
    """Exactly one of: ``field``, a path to a person; ``role``, its holders whose rights cover the record.

    ``level``: only alerts of that level or above, and told again when one rises to it ('' = every one, once). ``template`` and
    ``channels``: how they are told; '' and () = the rule's own words, in the application.
    """

    field: str = ""
    role: str = ""
    level: str = ""
    template: str = ""
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertForm:
    """A new record of ``entity`` that an alert offers to begin. ``values``: its fields, as expressions of the warned record.
    ``open``: while a record with the same links fulfils this condition, it is opened instead."""

    name: str
    label: Text
    entity: str
    icon: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    open: str = ""


@dataclass(frozen=True)
class AlertEscalation:
    """``after_days`` days after it was raised, unhandled: told ``to``, and at least ``level`` ('' = as it is)."""

    after_days: int
    to: tuple[Receiver, ...] = ()
    level: str = ""


@dataclass(frozen=True)
class Again:
    """When a handled or ignored alert is raised anew although its cause never went. ``after_days`` 0 = not by time."""

    after_days: int = 0
    on_rise: bool = False


@dataclass(frozen=True)
class WarningRule:
    """``address`` is ``<entity>/<name>``. Expressions speak of the record; ``due`` is a date, ``cause`` tells one cause of a record
    from the next (default: due). ``levels``: the first that holds, else info. ``values``: fields of platform.alert that packs added.
    ``measures``: codes of platform.alert_measure offered when it is handled, () = all. ``on`` ⊆ (save, job). ``actions`` of the record,
    new records (``forms``) and names of ``values`` that are links (``links``) are what an alert offers besides its own actions."""

    address: str
    entity: str
    name: str
    label: Text
    when: str
    subject: Text
    help: Text | None = None
    enabled: bool = True
    missing: Absence | None = None
    due: str = ""
    cause: str = ""
    levels: tuple[LevelRule, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    receivers: tuple[Receiver, ...] = ()
    measures: tuple[str, ...] = ()
    note_required: bool = False
    actions: tuple[str, ...] = ()
    forms: Mapping[str, AlertForm] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    on: tuple[str, ...] = ("save", "job")
    escalate: tuple[AlertEscalation, ...] = ()
    again: Again = Again()
    position: Position = NOWHERE

    @property
    def told_apart_by(self) -> str:
        """The expression of the cause; '' where a record has one cause at most."""
        return self.cause or self.due
