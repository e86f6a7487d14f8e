"""Choices: a closed list of codes with words and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class Choice:
    code: str
    label: Text
    colour: str = ""            # tag colour: grey blue green orange red purple cyan yellow
    hidden: bool = False        # still shown on old rows, no longer offered
    help: Text | None = None    # said beneath a field while this one is chosen


@dataclass(frozen=True)
class Choices:
    address: str
    label: Text
    items: Mapping[str, Choice]
    position: Position = NOWHERE
