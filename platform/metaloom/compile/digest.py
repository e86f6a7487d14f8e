"""One number for what the metadata says, whatever files say it."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

from metaloom.compile.merge import Effective
from metaloom.compile.node import Node
from metaloom.compile.schema import Shape, shape_of

# Order between these names means nothing.
_SORTED = frozenset({"roles", "choices", "menu", "quick_links", "number_series", "accounts", "messages", "webhooks", "tests", "jobs",
                     "dashboards"})


def digest(effective: Effective) -> str:
    """SHA-256 over the canonical effective document: file names, layers, comments and the order of attributes do not count;
    the order of fields, columns, states, steps and items does."""
    whole = {
        "tenant": _canonical(shape_of("tenant"), effective.tenant) if effective.tenant else None,
        "packs": {name: _kinds(folder.kinds) for name, folder in sorted(effective.packs.items())},
        "modules": {"/".join(key): _canonical(shape_of("module"), node) for key, node in sorted(effective.modules.items())},
        "entities": {a: [f.module, _kinds(f.kinds)] for a, f in sorted(effective.entities.items())},
    }
    return sha256(json.dumps(whole, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _kinds(kinds: dict[str, Node]) -> dict[str, Any]:
    return {kind: _canonical(shape_of(kind), node, kind in _SORTED) for kind, node in kinds.items() if kind != "overlay"}


def _canonical(shape: Shape | None, node: Node, sort: bool = False) -> Any:
    """JSON in which named maps keep their order as lists of pairs and attribute maps are sorted."""
    if node.is_list:
        inner = _branch(shape, node).items if shape else None
        return [_canonical(inner, item) for item in node.value]
    if not node.is_map:
        return f"{node.value}" if isinstance(node.value, Decimal) else node.value
    shape = _branch(shape, node) if shape else Shape({})
    pairs = [(name, _canonical(shape.properties.get(name, shape.others), value)) for name, value in node.items()]
    return dict(pairs) if shape.closed or sort else [[name, value] for name, value in pairs]


def _branch(shape: Shape, node: Node) -> Shape:
    if not shape.branches:
        return shape
    wanted = "array" if node.is_list else "object"
    fitting = [b for b in shape.branches if not b.types or wanted in b.types]
    told = [b for b in fitting if b.required and node.is_map and b.required[0] in node.value]
    return (told or fitting or [shape])[0]
