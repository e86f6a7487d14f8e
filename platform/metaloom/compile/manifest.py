"""What the compiler must know of plugins: which commands there are, what they take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.model import Field


@dataclass(frozen=True)
class PluginCommand:
    """One command of a ``plugin.yaml``. ``on`` is an entity address, or '' for a command without a record.

    ``transitions`` names transitions ``<entity>/<name>`` that the command fires, so that they do not count as never fired. ``locks_first``:
    the link of the record whose target is locked before it, or ''. ``position``: where its plugin declares it.
    """

    name: str
    on: str = ""
    input: Mapping[str, Field] = field(default_factory=dict)
    output: Mapping[str, Field] = field(default_factory=dict)
    permission: str = ""
    transitions: frozenset[str] = frozenset()
    locks_first: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True)
class PluginMass:
    """What a plugin does to very many records of the entity ``on`` at once."""

    name: str
    on: str


@dataclass(frozen=True)
class DoorShape:
    """A door that reaches outside. ``methods``: method → (keys it needs, keys it may have); ``reply``: what every answer has.

    ``definite``: the outcomes that are an answer; with any other one the question is still open.
    """

    providers: frozenset[str] = frozenset()
    methods: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    reply: Mapping[str, Field] = field(default_factory=dict)
    definite: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PluginManifest:
    """Commands by ``plugin.command``; ``pages`` that plugins bring and a menu may name (``tool/<group>/<tool>``). ``complete`` is False
    where plugins are not loaded: then ``run:`` and pages are not held against it. ``readers``: who reads calls
    that come in and carry a signature of their own."""

    commands: Mapping[str, PluginCommand] = field(default_factory=dict)
    complete: bool = True
    doors: Mapping[str, DoorShape] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()
    mass: Mapping[str, PluginMass] = field(default_factory=dict)
    readers: frozenset[str] = frozenset()
    invariants: frozenset[str] = frozenset()


EMPTY = PluginManifest(complete=False)
