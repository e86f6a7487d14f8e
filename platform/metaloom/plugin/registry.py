"""Finds plugins, loads them all or nothing each, and gives out their providers and commands.

Plugins come from the folders of the package ``metaloom_plugins`` and from the entry-point group ``metaloom.plugins`` of
other distributions; the engine never names one. What cannot be loaded is off, with a diagnostic that says why; the rest
stays up. Order is by plugin name, so that of two claims on one provider name the same one wins everywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema

from metaloom.base.diagnostic import Diagnostic
from metaloom.compile.manifest import DoorShape, PluginCommand, PluginManifest, PluginMass
from metaloom.plugin.command import Handler
from metaloom.plugin.declaration import (
    FILE,
    CommandDeclaration,
    Declaration,
    InvariantDeclaration,
    MassDeclaration,
    read_declaration,
)
from metaloom.plugin.doors import DOORS, methods_of
from metaloom.plugin.environment import Environment
from metaloom.plugin.invariant import Invariant
from metaloom.plugin.mass import Mass
from metaloom.plugin.tools import Tool

DOORS_VERSION = "1.4"  # raised when a door changes; `engine:` in plugin.yaml speaks of it
log = logging.getLogger("metaloom.plugin")
PACKAGE = "metaloom_plugins"
GROUP = "metaloom.plugins"


@dataclass(frozen=True)
class Place:
    """Where a plugin may be: its folder and the Python package that the folder is."""

    folder: Path
    package: str


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: its declaration with the classes and functions it names."""

    declaration: Declaration
    package: str
    providers: Mapping[tuple[str, str], type]
    handlers: Mapping[str, Handler]
    invariants: Mapping[str, Invariant]
    looks: Mapping[str, Handler] = field(default_factory=dict)
    masses: Mapping[str, Mass] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.declaration.name


class Registry:
    """The plugins of this process. ``diagnostics`` says what is off and why."""

    def __init__(self, plugins: Iterable[Plugin] = (), diagnostics: Iterable[Diagnostic] = ()) -> None:
        self.plugins: Mapping[str, Plugin] = {plugin.name: plugin for plugin in plugins}
        self.diagnostics = tuple(diagnostics)
        self._owners = {key: plugin for plugin in self.plugins.values() for key in plugin.providers}
        self._made: dict[tuple[str, str, str, str, str], Any] = {}
        self._tools: tuple[tuple[str, Tool], ...] | None = None
        self._on: dict[str, tuple[CommandDeclaration, ...]] = {}

    def anew(self) -> Registry:
        """The same plugins with providers of their own: for work by another clock, which its providers keep."""
        return Registry(self.plugins.values(), self.diagnostics)

    def command(self, address: str) -> CommandDeclaration | None:
        """The declaration of ``plugin.command``."""
        plugin, _, name = address.partition(".")
        owner = self.plugins.get(plugin)
        return owner.declaration.commands.get(name) if owner else None

    def commands(self) -> tuple[CommandDeclaration, ...]:
        return tuple(c for plugin in self.plugins.values() for c in plugin.declaration.commands.values())

    def commands_on(self, entity: str) -> tuple[CommandDeclaration, ...]:
        """The commands that people may be offered on records of ``entity``."""
        found = self._on.get(entity)
        if found is None:
            found = self._on[entity] = tuple(c for c in self.commands() if c.on == entity and not c.internal)
        return found

    def hearing(self, topic: str) -> tuple[CommandDeclaration, ...]:
        """The commands that hear signed notices of a topic, in the order of their plugins."""
        return tuple(c for c in self.commands() if c.hears and c.hears == topic)

    def manifest(self) -> PluginManifest:
        """What the compiler must know: every command with its fields. Complete: a ``run:`` of anything else is an error."""
        return PluginManifest({
            c.address: PluginCommand(c.address, c.on, c.input, c.output, c.permission, frozenset(c.transitions), c.locks_first, c.position)
            for c in self.commands()
        }, complete=True, pages=frozenset(f"tool/{group}/{tool.name}" for group, tool in self.tools() if tool.page),
            doors={door.name: DoorShape(frozenset(self.provider_names(door.name)), door.methods, door.reply, door.definite)
                   for door in DOORS.values() if door.perform is not None},
            mass={said.address: PluginMass(said.address, said.on) for plugin in self.plugins.values() for said in plugin.declaration.mass.values()},
            readers=frozenset(self.provider_names("signed_notice")),
            invariants=frozenset(f"{said.plugin}.{said.name}" for said, _ in self.invariants()))

    def tools(self) -> tuple[tuple[str, Tool], ...]:
        """(group, tool) of every provider of tools, in their order. A provider that breaks its promise has none; `run` tells why."""
        if self._tools is None:
            found: list[tuple[str, Tool]] = []
            for group in self.provider_names("tools"):
                try:
                    found.extend((group, tool) for tool in self.provider("tools", group).tools())
                except Exception:  # a plugin that fails here must not take the platform with it
                    log.exception("the tools of %s are off", group)
            self._tools = tuple(found)
        return self._tools

    def mass(self, address: str) -> tuple[MassDeclaration, Mass] | None:
        """What ``plugin.name`` does to very many records: its declaration and its function."""
        plugin, _, name = address.partition(".")
        owner = self.plugins.get(plugin)
        return (owner.declaration.mass[name], owner.masses[name]) if owner is not None and name in owner.masses else None

    def handler(self, address: str) -> Handler:
        """The function behind a command; KeyError when there is none."""
        plugin, _, name = address.partition(".")
        return self.plugins[plugin].handlers[name]

    def look(self, address: str) -> Handler:
        """The function behind what the dialog of a command shows first; KeyError when there is none."""
        plugin, _, name = address.partition(".")
        return self.plugins[plugin].looks[name]

    def invariants(self) -> tuple[tuple[InvariantDeclaration, Invariant], ...]:
        """What every plugin says must hold at any time, with the function that looks."""
        return tuple((said, look) for said, look in self._invariants() if said.closing != "only")

    def closing(self) -> tuple[tuple[InvariantDeclaration, Invariant], ...]:
        """What must hold of a company before a month of its books is closed."""
        return tuple((said, look) for said, look in self._invariants() if said.closing)

    def _invariants(self) -> Iterator[tuple[InvariantDeclaration, Invariant]]:
        return ((said, plugin.invariants[name]) for plugin in self.plugins.values() for name, said in plugin.declaration.invariants.items())

    def provider_names(self, door: str) -> tuple[str, ...]:
        return tuple(sorted(name for at_door, name in self._owners if at_door == door))

    def provider(self, door: str, name: str = "", environment: Environment | None = None) -> Any:
        """The provider ``name`` of ``door`` behind the engine's checks; without a name the only one there is.

        One object per client and settings. LookupError when no (loaded) plugin has it or the choice is open.
        """
        name = name or self._only(door)
        owner = self._owners.get((door, name))
        if owner is None:
            known = ", ".join(self.provider_names(door)) or "none"
            raise LookupError(f"no plugin provides {door}/{name}; there are: {known}")
        given = environment or Environment()
        own = self._own_environment(owner, given)
        key = (door, name, given.tenant, str(own.folder or ""), repr(sorted(own.settings.items(), key=lambda item: item[0])))
        if key not in self._made:
            self._made[key] = DOORS[door].checked(owner.providers[door, name](own), f"{owner.name}/{name}")
        return self._made[key]

    def _only(self, door: str) -> str:
        names = self.provider_names(door)
        if len(names) != 1:
            raise LookupError(f"{len(names)} providers of {door}: say which ({', '.join(names)})")
        return names[0]

    def _own_environment(self, owner: Plugin, given: Environment) -> Environment:
        """What this plugin may see of ``given``, whose ``settings`` hold {plugin name: settings}."""
        folder = given.folder / owner.name if given.folder else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return replace(given, settings=self.settings(owner.name, given.settings.get(owner.name)),
                       secret=_named_secrets(owner, given.secret), folder=folder)

    def settings(self, plugin: str, given: object = None) -> Mapping[str, object]:
        """``given`` checked against the plugin's schema, with its defaults. ValueError names the setting at fault."""
        schema = self.plugins[plugin].declaration.settings
        values = dict(given) if isinstance(given, Mapping) else {}
        for key, rule in schema.get("properties", {}).items():
            if "default" in rule:
                values.setdefault(key, rule["default"])
        for error in jsonschema.Draft202012Validator(schema or True).iter_errors(values):
            raise ValueError(f"{plugin}/settings/{'/'.join(map(str, error.absolute_path))}: {error.message}")
        return values


def _named_secrets(owner: Plugin, secret: Callable[[str], str]) -> Callable[[str], str]:
    def own(name: str) -> str:
        if name not in owner.declaration.secrets:
            raise KeyError(f"{owner.name} declares no secret {name}")
        return secret(f"{owner.name}.{name}")
    return own


def load(places: Sequence[Place] | None = None) -> Registry:
    """All plugins at ``places`` (default: the shipped ones and those of other distributions)."""
    diagnostics: list[Diagnostic] = []
    plugins: dict[str, Plugin] = {}
    taken: dict[tuple[str, str], str] = {}
    for place in sorted(find_places() if places is None else places, key=lambda p: (p.folder.name, p.package)):
        plugin = _load_one(place, diagnostics.append)
        if plugin is not None and _no_clash(plugin, plugins, taken, diagnostics.append):
            plugins[plugin.name] = plugin
            taken.update(dict.fromkeys(plugin.providers, plugin.name))
    return Registry(plugins.values(), diagnostics)


@cache
def installed() -> Registry:
    """The plugins of this process, loaded once: plugins change with a restart, metadata does not need one."""
    return load()


def find_places() -> tuple[Place, ...]:
    """Folders with a `plugin.yaml` in the package ``metaloom_plugins``, and the packages of the entry-point group."""
    root = importlib.import_module(PACKAGE)
    folders = sorted(f for base in root.__path__ for f in Path(base).iterdir() if (f / FILE).is_file())
    shipped = tuple(Place(folder, f"{PACKAGE}.{folder.name}") for folder in folders)
    return shipped + tuple(_entry_point_places())


def _entry_point_places() -> Iterable[Place]:
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        spec = importlib.util.find_spec(point.value)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield Place(Path(folder), point.value)


def _load_one(place: Place, report: Callable[[Diagnostic], None]) -> Plugin | None:
    declaration = read_declaration(place.folder / FILE, report)
    if declaration is None:
        return None
    if declaration.name != place.folder.name:
        report(_off(declaration, f"is called {declaration.name} but stands in the folder {place.folder.name}"))
        return None
    if not fits(declaration.engine, DOORS_VERSION):
        report(_off(declaration, f"wants doors {declaration.engine}; these are {DOORS_VERSION}"))
        return None
    try:
        return _import_all(declaration, place.package)
    except (Exception, SystemExit) as error:  # a plugin that cannot be imported must not take the platform with it
        last = traceback.extract_tb(error.__traceback__)[-1]
        report(_off(declaration, f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"))
        return None


def _off(declaration: Declaration, why: str) -> Diagnostic:
    return Diagnostic("ML-PLUG-003", f"plugin {declaration.name} is off: it {why}" if why.startswith(("is ", "wants "))
                      else f"plugin {declaration.name} is off: {why}", declaration.position,
                      "mend it or remove its folder; everything else is running", address=declaration.name)


def _import_all(declaration: Declaration, package: str) -> Plugin:
    providers: dict[tuple[str, str], type] = {}
    for door, named in declaration.provides.items():
        for name, path in named.items():
            providers[door, name] = _provider_class(door, _object(package, path), path)
    handlers = {name: _function(package, command.handler) for name, command in declaration.commands.items()}
    invariants = {name: _function(package, said.handler) for name, said in declaration.invariants.items()}
    looks = {name: _function(package, command.look.handler) for name, command in declaration.commands.items() if command.look is not None}
    masses = {name: _function(package, said.handler) for name, said in declaration.mass.items()}
    return Plugin(declaration, package, providers, handlers, invariants, looks, masses)


def _function(package: str, path: str) -> Callable[..., Any]:
    found = _object(package, path)
    if not callable(found):
        raise TypeError(f"{path} is no function")
    called: Callable[..., Any] = found
    return called


def _object(package: str, path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"{package}.{module}"), name)


def _provider_class(door: str, found: Any, path: str) -> type:
    if not isinstance(found, type):
        raise TypeError(f"{path} is no class")
    missing = [m for m in methods_of(DOORS[door].protocol) if not callable(getattr(found, m, None))]
    if missing:
        raise TypeError(f"{path} lacks {', '.join(missing)} of the door {door}")
    return found


def _no_clash(plugin: Plugin, plugins: Mapping[str, Plugin], taken: Mapping[tuple[str, str], str],
              report: Callable[[Diagnostic], None]) -> bool:
    if plugin.name in plugins:
        report(Diagnostic("ML-PLUG-004", f"two plugins are called {plugin.name}; the one of "
                          f"{plugins[plugin.name].package} is used, {plugin.package} is off", plugin.declaration.position,
                          "rename one of them", address=plugin.name))
        return False
    for door, name in sorted(plugin.providers):
        if (door, name) in taken:
            report(Diagnostic("ML-PLUG-005", f"plugin {plugin.name} is off: {door}/{name} is provided by "
                              f"{taken[door, name]} already", plugin.declaration.position,
                              "give the provider a name of its own", address=plugin.name))
            return False
    return True


def fits(wanted: str, version: str) -> bool:
    """Whether ``version`` satisfies a list such as ``>=1.0,<2``."""
    have = _numbers(version)
    for condition in wanted.split(","):
        match = re.fullmatch(r"(>=|<=|==|<|>)([0-9.]+)", condition.strip())
        if match is None:
            return False
        order, want = match[1], _numbers(match[2])
        width = max(len(have), len(want))
        left, right = _padded(have, width), _padded(want, width)
        kept = {">=": left >= right, "<=": left <= right, "==": left == right, "<": left < right, ">": left > right}[order]
        if not kept:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))


EMPTY = Registry()

__all__ = ["EMPTY", "DOORS_VERSION", "Place", "Plugin", "Registry", "find_places", "fits", "installed", "load"]
