"""The tools door: questions that a plugin answers by arithmetic alone, as a command group, as REST routes, as pages.

A provider's name is the name of its group: the provider ``desk`` with the tool ``size`` is ``metaloom desk size`` at a terminal,
``POST /<tenant>/api/v1/desk/size`` over HTTP (in the OpenAPI document too), and ``/<tenant>/tool/desk/size`` where it has a page.
JSON in, JSON out, both described by JSON Schema. A tool reads no record and has no effect, and no money moves: it may be asked at will.

Schemas may carry words for the page: ``x-label`` {zh, en} at a property, ``x-words`` {choice: {zh, en}} at an enumeration, ``x-form``
(a section of the page, by its name in ``Tool.sections``) at what the page asks for, ``x-format`` money | rate | number at amounts, fractions
and other decimals, ``x-capitals`` at an amount that is echoed in Chinese capitals, ``x-today`` at a date that is today unless chosen, and
``x-when`` {key beside it: [choices]} at a property that is only asked for under these choices. A list of objects is a grid whose rows people
add and remove; where ``allOf`` … ``if`` … ``then`` of its items gives rows of different kinds, a row shows the fields of its own kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jsonschema

from metaloom.base.text import Text
from metaloom.plugin.faults import Promise

SECTIONS = (("main", Text("基本条件", "Main")), ("terms", Text("更多条件", "Terms")), ("more", Text("其他", "More")))
LIST_MAX = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_ADDRESS = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """One tool of a group.

    ``rights``: (entity, action) pairs; whoever holds one of them may ask, nobody else, and a tenant without those entities has no such
    tool. ``presets``: ready requests for the page, by a label. ``page``: whether people get a page too. ``sections`` of its form, (name, label)
    in the order in which people look for them; the first is always open.
    """

    name: str
    label: Text
    help: Text
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    rights: tuple[tuple[str, str], ...]
    page: bool = False
    presets: tuple[tuple[Text, Mapping[str, Any]], ...] = ()
    sections: tuple[tuple[str, Text], ...] = SECTIONS


@runtime_checkable
class Tools(Protocol):
    """A provider of tools. Both methods are pure: repeatable, without effect, no money moves."""

    def tools(self) -> tuple[Tool, ...]:
        """What there is, always the same. Called when routes and words are made and when a page is drawn."""

    def run(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of the tool ``name``. Called with whatever was sent, before anything looked at it; the provider refuses all that its
        ``input`` schema refuses, and what contradicts itself, with a ``ValueError`` (``Invalid`` names the key for a screen). After: JSON
        values alone, as ``output`` says."""


class CheckedTools:
    """A provider behind the engine's checks: :class:`PluginFault` where a schema is no schema or an answer is not as declared."""

    def __init__(self, provider: Tools, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)
        self._known: dict[str, Tool] | None = None

    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools().values())

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, if there is one."""
        return self._tools().get(name)

    def run(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._provider.run(name, request)
        self._promise.is_a(f"{name}: answer", answer, dict)
        try:
            plain = json.loads(json.dumps(answer, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise self._promise.broken(f"{name}: the answer is no JSON: {error}") from error
        wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(self._tools()[name].output).iter_errors(plain))
        self._promise.that(wrong is None, f"{name}: the answer is not as declared: {getattr(wrong, 'json_path', '')} {getattr(wrong, 'message', '')}")
        return answer

    def _tools(self) -> dict[str, Tool]:
        if self._known is None:
            found = self._provider.tools()
            self._promise.is_a("tools", found, tuple)
            for tool in found:
                self._check(tool)
            self._promise.that(bool(found) and len({tool.name for tool in found}) == len(found), "tools: none, or two of one name")
            self._known = {tool.name: tool for tool in found}
        return self._known

    def _check(self, tool: Tool) -> None:
        self._promise.is_a("tool", tool, Tool)
        self._promise.that(bool(_NAME.fullmatch(tool.name)), f"tool {tool.name!r}: not a name")
        self._promise.that(bool(tool.rights) and all(_ADDRESS.fullmatch(entity) for entity, _ in tool.rights), f"{tool.name}: needs rights, by address")
        for key, schema in (("input", tool.input), ("output", tool.output)):
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                raise self._promise.broken(f"{tool.name}: {key} is no JSON Schema: {error.message}") from error
            self._promise.that(schema.get("type") == "object", f"{tool.name}: {key} must describe an object")
        sections = {name for name, _ in tool.sections}
        for properties in _properties(tool.input):
            for name, one in ((name, one) for name, one in properties.items() if isinstance(one, Mapping)):
                at = f"{tool.name}: {name}"
                self._promise.that(one.get("x-form") is None or one["x-form"] in sections, f"{at}: x-form is one of {', '.join(sorted(sections))}")
                for by, values in one.get("x-when", {}).items():
                    known = properties.get(by, {}).get("enum", ())
                    self._promise.that(bool(values) and set(values) <= set(known), f"{at}: x-when names choices of a key beside it")


def _properties(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every ``properties`` in a schema."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("properties"), Mapping):
            yield schema["properties"]
        for one in schema.values():
            yield from _properties(one)
    elif isinstance(schema, (list, tuple)):
        for one in schema:
            yield from _properties(one)
