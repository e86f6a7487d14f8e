"""Trial: a test written in metadata (given, when, then); it is run in an empty tenant of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class Person:
    """``company``, ``unit``: names that hold inside the test. ``within`` limits the roles: '' | company | unit."""

    login: str
    roles: tuple[str, ...] = ()
    company: str = ""
    unit: str = ""
    within: str = ""


@dataclass(frozen=True)
class Move:
    """Something done. ``verb``: create | change | do | archive | restore | delete | find | days | hours | start | decide | approval | evaluate |
    answers | process.

    ``target`` is an entity (create, and do without a record) or '' ; ``on`` the record by its name in the test; ``name`` the
    action (chain, decision, move), or the name that a new record gets. ``by`` '' is the engine itself. Values are plain; ``$x``
    names a record or person. ``more`` has what only one verb knows, as written.
    """

    verb: str
    on: str = ""
    target: str = ""
    name: str = ""
    by: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    days: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)
    position: Position = NOWHERE


@dataclass(frozen=True)
class Expectation:
    """Something that must hold. ``verb``: refused | record | rows | said | waits | alert | runs; ``asked`` has the other keys as written."""

    verb: str
    subject: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    position: Position = NOWHERE


@dataclass(frozen=True)
class Trial:
    """``records`` says for every named record of the test which entity it belongs to."""

    address: str
    label: Text
    day: date
    people: Mapping[str, Person] = field(default_factory=dict)
    given: tuple[Move, ...] = ()
    when: tuple[Move, ...] = ()
    then: tuple[Expectation, ...] = ()
    records: Mapping[str, str] = field(default_factory=dict)
    position: Position = NOWHERE
