"""Lifecycle: the states of a record and the only ways between them (decision 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class State:
    """``editable``: the form may still change the record; ``final``: no transition leaves it (checked)."""

    name: str
    label: Text
    colour: str = "grey"
    editable: bool = False
    final: bool = False


@dataclass(frozen=True)
class Transition:
    """``action`` names the action that people use to fire it ('' = fired by other actions' steps or plugins only)."""

    name: str
    from_states: tuple[str, ...]
    to_state: str
    label: Text
    when: str = ""
    message: Text | None = None      # said when ``when`` is not true
    position: Position = NOWHERE


@dataclass(frozen=True)
class Lifecycle:
    entity: str
    field: str
    initial: str
    states: Mapping[str, State]
    transitions: Mapping[str, Transition]
    position: Position = NOWHERE
