"""The JSON Schemas of the kinds, and a checker that answers with file, line, column and cure.

The files under ``schemas/`` are the truth, for editors as for this checker; a test holds its verdicts to those of the
``jsonschema`` library. It is written here because a finding needs the position of the value and the nearest known key, and
because a pack of a thousand fields must pass in well under a second. A keyword it does not know stops the import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from metaloom.base.diagnostic import Diagnostic
from metaloom.compile.codes import finding
from metaloom.compile.node import Node

SCHEMAS = Path(__file__).with_name("schemas")
Report = Callable[[Diagnostic], None]

_WORDS = {"object": "a map", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
          "boolean": "true or false"}
_KNOWN_KEYWORDS = frozenset(
    "$schema $id $ref $defs title description type properties required additionalProperties propertyNames minProperties maxProperties "
    "items minItems maxItems uniqueItems oneOf enum pattern minLength maxLength minimum maximum".split())


@dataclass(slots=True)
class Shape:
    """One schema, made ready: references resolved lazily, patterns compiled."""

    source: Mapping[str, Any]
    types: frozenset[str] = frozenset()
    properties: dict[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Shape | None = None          # schema of keys not listed
    closed: bool = False
    names: Shape | None = None
    items: Shape | None = None
    branches: tuple[Shape, ...] = ()
    pattern: re.Pattern[str] | None = None
    enum: tuple[Any, ...] = ()


@lru_cache(maxsize=1)
def documents() -> Mapping[str, Mapping[str, Any]]:
    """Every schema by file name."""
    return {p.name: json.loads(p.read_text("utf-8")) for p in sorted(SCHEMAS.glob("*.json")) if p.name != "file.schema.json"}


def kinds() -> tuple[str, ...]:
    """The kinds that have a schema."""
    return tuple(sorted(name.removesuffix(".json") for name in documents() if name != "common.json"))


@cache
def shape_of(kind: str) -> Shape:
    """The ready schema of a kind."""
    return _shape(documents()[f"{kind}.json"], {})


def definition(name: str) -> Shape:
    """The ready schema of a shared part (``field``, ``grant``, …)."""
    return _shape(documents()["common.json"]["$defs"][name], {})


_REFS: dict[str, Shape] = {}


def _shape(schema: Mapping[str, Any], _: object) -> Shape:
    unknown = schema.keys() - _KNOWN_KEYWORDS
    assert not unknown, f"the checker does not know the schema keywords {sorted(unknown)}"
    if "$ref" in schema:
        return _resolve(schema["$ref"])
    shape = Shape(schema)
    _fill(shape, schema)
    return shape


def _resolve(reference: str) -> Shape:
    """A shared part; entered in the table before its parts are read because steps hold steps."""
    if reference not in _REFS:
        name = reference.rpartition("/")[2]
        schema = documents()["common.json"]["$defs"][name]
        shape = _REFS[reference] = Shape(schema)
        if "$ref" in schema:
            target = _resolve(schema["$ref"])
            _REFS[reference] = target
            return target
        _fill(shape, schema)
    return _REFS[reference]


def _fill(shape: Shape, schema: Mapping[str, Any]) -> None:
    kind = schema.get("type", ())
    shape.types = frozenset([kind] if isinstance(kind, str) else kind)
    shape.properties = {k: _shape(v, None) for k, v in schema.get("properties", {}).items()}
    shape.required = tuple(schema.get("required", ()))
    others = schema.get("additionalProperties", True)
    shape.closed = others is False
    shape.others = _shape(others, None) if isinstance(others, dict) else None
    shape.names = _shape(schema["propertyNames"], None) if "propertyNames" in schema else None
    shape.items = _shape(schema["items"], None) if "items" in schema else None
    shape.branches = tuple(_shape(b, None) for b in schema.get("oneOf", ()))
    shape.pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    shape.enum = tuple(schema.get("enum", ()))


def validate(shape: Shape, node: Node, report: Report, address: str) -> None:
    """Report everything in ``node`` that ``shape`` does not allow."""
    if shape.branches:
        branch = _branch(shape, node, report, address)
        if branch is None:
            return
        shape = branch
    value = node.value
    kind = type(value)
    if shape.types and not _fits(kind, value, shape.types):
        report(finding("ML-SCHEMA-001", node.position, address=address, expected=_expected(shape.types), found=_found(value)))
        return
    if kind is dict:
        _check_map(shape, node, report, address)
    elif kind is list:
        _check_list(shape, node, report, address)
    else:
        _check_scalar(shape, node, report, address)


def _fits(kind: type, value: Any, types: frozenset[str]) -> bool:
    if kind is str:
        return "string" in types
    if kind is dict:
        return "object" in types
    if kind is list:
        return "array" in types
    if kind is bool:
        return "boolean" in types
    if kind is int:
        return "integer" in types or "number" in types
    if kind is Decimal:
        return "number" in types or ("integer" in types and value == value.to_integral_value())
    return False


def _branch(shape: Shape, node: Node, report: Report, address: str) -> Shape | None:
    """Which alternative an author meant: the one of the same type, told by its leading key where several are maps."""
    fitting = [b for b in shape.branches if not b.types or _fits(type(node.value), node.value, b.types)]
    if not fitting:
        expected = " or ".join(dict.fromkeys(_expected(b.types) for b in shape.branches))
        report(finding("ML-SCHEMA-001", node.position, address=address, expected=expected, found=_found(node.value)))
        return None
    if len(fitting) == 1:
        return fitting[0]
    told = [b for b in fitting if b.required and b.required[0] in node.value]
    if len(told) > 1:  # ``update`` has a key ``set`` as well: the one that knows all keys is meant
        told = [b for b in told if node.value.keys() <= b.properties.keys()]
    if len(told) == 1:
        return told[0]
    open_map = [b for b in fitting if not b.required]
    if not told and open_map:
        return open_map[0]
    choices = ", ".join(b.required[0] for b in fitting if b.required)
    wrong = next((k for k in node.value if not any(k in b.properties for b in fitting)), "")
    where = node.value[wrong].key if wrong else node.position
    report(finding("ML-SCHEMA-006", where, address=address, hint=_did_you_mean(wrong, [b.required[0] for b in fitting if b.required]),
                   choices=choices, found=", ".join(list(node.value)[:5]) or "nothing"))
    return None


def _check_map(shape: Shape, node: Node, report: Report, address: str) -> None:
    entries: dict[str, Node] = node.value
    for name in shape.required:
        if name not in entries:
            report(finding("ML-SCHEMA-002", node.key if node.key.line else node.position, address=address, key=name))
    source = shape.source
    if len(entries) > source.get("maxProperties", len(entries)):
        report(finding("ML-QUOTA-001", node.position, address=address, found=len(entries), limit=source["maxProperties"]))
        return
    if len(entries) < source.get("minProperties", 0):
        report(finding("ML-SCHEMA-007", node.position, address=address))
    for name, child in entries.items():
        known = shape.properties.get(name)
        if known is None:
            if shape.closed:
                report(finding("ML-SCHEMA-003", child.key, address=address, key=_short(name), hint=_unknown_key_hint(name, child, shape)))
                continue
            if shape.names is not None and not _name_ok(shape.names, name, child, report, address):
                continue
            known = shape.others
        if known is not None:
            validate(known, child, report, f"{address}/{name}")


def _unknown_key_hint(name: str, child: Node, shape: Shape) -> str:
    if child.value is None and {"zh", "en"} <= shape.properties.keys():
        return "put text that holds a comma in quotes"
    return _did_you_mean(name, shape.properties)


def _name_ok(names: Shape, name: str, child: Node, report: Report, address: str) -> bool:
    if names.pattern is not None and not names.pattern.fullmatch(name):
        report(finding("ML-NAME-001", child.key, address=address, name=_short(name), hint=str(names.source.get("description", ""))))
        return False
    return True


def _check_list(shape: Shape, node: Node, report: Report, address: str) -> None:
    items: list[Node] = node.value
    source = shape.source
    if len(items) > source.get("maxItems", len(items)):
        report(finding("ML-QUOTA-001", node.position, address=address, found=len(items), limit=source["maxItems"]))
        return
    if len(items) < source.get("minItems", 0):
        report(finding("ML-SCHEMA-007", node.position, address=address))
    seen: set[Any] = set()
    for index, item in enumerate(items):
        if source.get("uniqueItems"):
            if item.value.__hash__ and item.value in seen:
                report(finding("ML-SCHEMA-008", item.position, address=address, found=_found(item.value)))
            elif item.value.__hash__:
                seen.add(item.value)
        if shape.items is not None:
            validate(shape.items, item, report, f"{address}/{index}")


def _check_scalar(shape: Shape, node: Node, report: Report, address: str) -> None:
    value, source = node.value, shape.source
    if shape.enum and value not in shape.enum:
        report(finding("ML-SCHEMA-004", node.position, address=address, found=_found(value), expected=", ".join(map(str, shape.enum)),
                       hint=_did_you_mean(str(value), [str(c) for c in shape.enum])))
    elif isinstance(value, str):
        if len(value) > source.get("maxLength", len(value)):
            report(finding("ML-QUOTA-002", node.position, address=address, found=len(value), limit=source["maxLength"]))
        elif len(value) < source.get("minLength", 0):
            report(finding("ML-SCHEMA-007", node.position, address=address))
        elif shape.pattern is not None and not shape.pattern.fullmatch(value):
            report(finding("ML-SCHEMA-005", node.position, address=address, found=_found(value), hint=str(source.get("description", ""))))
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        low, high = source.get("minimum"), source.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            report(finding("ML-SCHEMA-009", node.position, address=address, found=value, low="" if low is None else low, high="" if high is None else high))


def _expected(types: frozenset[str]) -> str:
    return " or ".join(_WORDS[t] for t in ("object", "array", "string", "integer", "number", "boolean") if t in types)


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return _short(str(value)) if not isinstance(value, str) else f"“{_short(value)}”"


def _did_you_mean(name: str, known: Any) -> str:
    near = get_close_matches(name[:60], list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def knows(kind: str, path: tuple[str, ...]) -> Shape | None:
    """The schema of what may stand at ``path`` (without the kind itself); None where nothing may."""
    shapes = [shape_of(kind)]
    for segment in path:
        shapes = [s for shape in shapes for s in _below(shape, segment)]
        if not shapes:
            return None
    return shapes[0]


def _below(shape: Shape, segment: str) -> list[Shape]:
    found = []
    for s in shape.branches or (shape,):
        if segment in s.properties:
            found.append(s.properties[segment])
        elif s.others is not None:
            found.append(s.others)
        elif s.items is not None:
            found.append(s.items)
    return found


def bundle() -> dict[str, Any]:
    """One self-contained schema of a metadata file, for editors: every kind as an optional top-level key."""
    definitions: dict[str, Any] = {}
    for name, document in documents().items():
        if name == "common.json":
            definitions.update(_local(document["$defs"]))
    properties = {
        name.removesuffix(".json"): _local({k: v for k, v in document.items() if k not in ("$schema", "$id")})
        for name, document in documents().items() if name != "common.json"
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "file.schema.json",
            "title": "metaloom metadata file", "type": "object", "properties": properties, "additionalProperties": False,
            "$defs": definitions}


def _local(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: (v.replace("common.json#", "#") if k == "$ref" else _local(v)) for k, v in value.items()}
    if isinstance(value, list):
        return [_local(v) for v in value]
    return value
