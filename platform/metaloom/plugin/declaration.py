"""What `plugin.yaml` declares: read strictly, checked against its schema, as frozen values.

An input or output field is a :class:`metaloom.model.Field`, written as in an action; addresses of choices and entities
are written in full, because a plugin stands in no pack.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.compile.load import load
from metaloom.compile.node import Node, at
from metaloom.compile.source import MAX_BYTES, Source
from metaloom.model import Field, FieldType

FILE = "plugin.yaml"
_TEXTS = frozenset({"label", "help", "unit", "pattern_message"})
_DECIMALS = frozenset({"min", "max"})
Report = Callable[[Diagnostic], None]


@dataclass(frozen=True)
class Preset:
    """A button of a dialog that fills it. ``take``: input field to output field of the look; ``values``: to a fixed value."""

    name: str
    label: Text
    take: Mapping[str, str]
    values: Mapping[str, str]


@dataclass(frozen=True)
class Look:
    """What the dialog of a command shows before anybody decides: ``handler(work, record, {})`` reads, ``output`` is what it returns."""

    handler: str
    output: Mapping[str, Field]
    presets: tuple[Preset, ...] = ()


@dataclass(frozen=True)
class CommandDeclaration:
    """One command of a plugin. ``address`` is ``<plugin>.<name>``; ``on`` an entity's address or '' for none.

    ``internal`` commands are run by the engine only (results of ``work.send``, ``run:`` steps of actions) and never offered.
    ``hears``: the topic of signed notices that this command is given.
    ``transitions`` names those it fires, ``<entity>/<name>``, so that the compiler does not call them unused. ``fires``: the one of its own record
    that it fires whenever it is done: while that is not possible, neither is the command. ``locks_first``: a link of the record whose target is
    locked before the record, where others lock it so.
    """

    address: str
    plugin: str
    name: str
    label: Text
    handler: str
    on: str = ""
    permission: str = ""
    allowed_states: tuple[str, ...] = ()
    transitions: tuple[str, ...] = ()
    fires: str = ""
    when: str = ""
    message: Text | None = None
    maker_is_not: str = ""
    locks_first: str = ""
    money: bool = False
    internal: bool = False
    hears: str = ""
    asks_reason: bool = False
    confirm: Text | None = None
    done: Text | None = None
    icon: str = ""
    style: str = ""
    bulk: bool = False
    help: Text | None = None
    input: Mapping[str, Field] = field(default_factory=dict)
    output: Mapping[str, Field] = field(default_factory=dict)
    look: Look | None = None
    position: Position = NOWHERE


@dataclass(frozen=True)
class InvariantDeclaration:
    """One invariant of a plugin, about the entity ``on``. ``code``: its number in a specification, or ''. ``closing``: '' where no closing of
    a month asks it, also, only."""

    plugin: str
    name: str
    on: str
    label: Text
    handler: str
    code: str = ""
    closing: str = ""


@dataclass(frozen=True)
class MassDeclaration:
    """What a plugin does to very many records of the entity ``on``: the fields it reads, those it may change, the rows it may add
    (entity → fields)."""

    address: str
    plugin: str
    name: str
    label: Text
    handler: str
    on: str
    read: tuple[str, ...]
    change: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    add: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    figures: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    """A whole `plugin.yaml`. ``provides``: door -> provider name -> ``module:Class``."""

    name: str
    version: str
    engine: str
    label: Text
    provides: Mapping[str, Mapping[str, str]]
    commands: Mapping[str, CommandDeclaration]
    invariants: Mapping[str, InvariantDeclaration]
    settings: Mapping[str, Any]
    secrets: tuple[str, ...]
    position: Position
    mass: Mapping[str, MassDeclaration] = field(default_factory=dict)


def read_declaration(path: Path, report: Report) -> Declaration | None:
    """The declaration of one file, or None when anything about it was reported."""
    found: list[Diagnostic] = []
    document = load(Source("plugin", path.name, _text(path), str(path.parent)), found.append)
    if document is not None:
        found.extend(_schema_findings(document))
    for diagnostic in found:
        report(diagnostic)
    if document is None or found:
        return None
    return _declaration(document)


def _text(path: Path) -> str:
    return path.read_bytes()[:MAX_BYTES + 1].decode("utf-8", "surrogateescape")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((Path(__file__).parent / "plugin.schema.json").read_text(encoding="utf-8"))
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "number", lambda _, value: isinstance(value, (int, Decimal)) and not isinstance(value, bool))
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)(schema)


def _schema_findings(document: Node) -> list[Diagnostic]:
    plain = document.plain()
    findings = []
    for error in _validator().iter_errors(plain):
        path = [str(step) for step in error.absolute_path]
        node = at(document, path) or document
        findings.append(Diagnostic("ML-PLUG-001", f"{'/'.join(path) or FILE}: {error.message}", node.position,
                                   "see platform/metaloom/plugin/plugin.schema.json and docs/plugins.md"))
    findings.extend((*_preset_findings(document), *_firing_findings(document), *_hearing_findings(document)) if not findings else ())
    settings = plain.get("settings") if isinstance(plain, dict) else None
    if isinstance(settings, dict):
        try:
            jsonschema.Draft202012Validator.check_schema(settings)
        except jsonschema.SchemaError as error:
            node = document.get("settings") or document
            findings.append(Diagnostic("ML-PLUG-002", f"settings is no JSON Schema: {error.message}", node.position))
    return findings


def _preset_findings(document: Node) -> Iterator[Diagnostic]:
    """Presets that fill what the command does not ask, or take what its look does not return."""
    for name, said in document.plain().get("commands", {}).items():
        look, asked = said.get("look") or {}, said.get("input", {})
        for preset, filled in look.get("presets", {}).items():
            wrong = [one for one in (*filled["take"], *filled.get("values", {})) if one not in asked]
            wrong += [one for one in filled["take"].values() if one not in look["output"]]
            if wrong:
                node = at(document, ["commands", name, "look", "presets", preset]) or document
                yield Diagnostic("ML-PLUG-001", f"commands/{name}/look/presets/{preset}: no such field: {', '.join(wrong)}", node.position,
                                 "take and values name input fields; take takes output fields of the look")


def _firing_findings(document: Node) -> Iterator[Diagnostic]:
    """What a command fires on its own record is among its transitions."""
    for name, said in document.plain().get("commands", {}).items():
        if said.get("fires") and f"{said.get('on', 'none')}/{said['fires']}" not in said.get("transitions", ()):
            node = at(document, ["commands", name, "fires"]) or document
            yield Diagnostic("ML-PLUG-001", f"commands/{name}/fires: {said['fires']} is no transition that it declares of its record", node.position,
                             "write it under transitions, as <on>/<name>")


def _hearing_findings(document: Node) -> Iterator[Diagnostic]:
    """Who hears notices is nobody's button and stands on no record: a notice names none."""
    for name, said in document.plain().get("commands", {}).items():
        if said.get("hears") and (not said.get("internal") or said.get("on", "none") != "none"):
            node = at(document, ["commands", name, "hears"]) or document
            yield Diagnostic("ML-PLUG-001", f"commands/{name}/hears: only an internal command with on: none hears notices", node.position,
                             "add internal: true and leave out on")


def _declaration(document: Node) -> Declaration:
    plain = document.plain()
    name = plain["name"]
    commands = document.get("commands")
    return Declaration(
        name=name,
        version=plain["version"],
        engine=plain["engine"],
        label=_label(plain.get("label")) or Text(name, name),
        provides=plain.get("provides", {}),
        commands={key: _command(name, key, node) for key, node in (commands.items() if commands else ())},
        invariants={key: _invariant(name, key, said) for key, said in plain.get("invariants", {}).items()},
        settings=plain.get("settings", {}),
        secrets=tuple(plain.get("secrets", ())),
        position=document.position,
        mass={key: _mass(name, key, said) for key, said in plain.get("mass", {}).items()},
    )


def _mass(plugin: str, name: str, said: Mapping[str, Any]) -> MassDeclaration:
    return MassDeclaration(
        f"{plugin}.{name}", plugin, name, Text(said["label"]["zh"], said["label"]["en"]), said["handler"], said["on"], tuple(said["read"]),
        {entity: tuple(fields) for entity, fields in said.get("change", {}).items()}, {entity: tuple(fields) for entity, fields in said.get("add", {}).items()},
        {figure: Text(label["zh"], label["en"]) for figure, label in said.get("figures", {}).items()})


def _invariant(plugin: str, name: str, said: Mapping[str, Any]) -> InvariantDeclaration:
    label = Text(said["label"]["zh"], said["label"]["en"])
    return InvariantDeclaration(plugin, name, said["on"], label, said["handler"], said.get("code", ""), said.get("closing", ""))


def _command(plugin: str, name: str, node: Node) -> CommandDeclaration:
    plain = dict(node.plain())
    address = f"{plugin}.{name}"
    on = plain.pop("on", "none")
    for key in ("label", "help", "message", "confirm", "done"):
        plain[key] = _label(plain.get(key))
    for key in ("allowed_states", "transitions"):
        plain[key] = tuple(plain.get(key, ()))
    plain["permission"] = plain.get("permission") or name
    for key in ("input", "output"):
        fields = node.get(key)
        plain[key] = {n: _field(f"{address}/{key}/{n}", n, child) for n, child in (fields.items() if fields else ())}
    plain["look"] = _look(address, node.get("look"))
    return CommandDeclaration(address=address, plugin=plugin, name=name, on="" if on == "none" else on, position=node.key, **plain)


def _look(address: str, node: Node | None) -> Look | None:
    if node is None:
        return None
    plain, output = node.plain(), node.get("output")
    presets = tuple(Preset(name, Text(said["label"]["zh"], said["label"]["en"]), said["take"], said.get("values", {}))
                    for name, said in plain.get("presets", {}).items())
    fields = {name: _field(f"{address}/look/{name}", name, child) for name, child in (output.items() if output else ())}
    return Look(plain["handler"], fields, presets)


def _field(address: str, name: str, node: Node) -> Field:
    values: dict[str, Any] = {"name": name, "address": address, "position": node.key}
    for key, value in node.plain().items():
        if key == "type":
            values[key] = FieldType(value)
        elif key in _TEXTS:
            values[key] = _label(value)
        elif key in _DECIMALS:
            values[key] = Decimal(value)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return Field(**values)


def _label(value: Mapping[str, str] | None) -> Text | None:
    return None if value is None else Text(value["zh"], value["en"])
