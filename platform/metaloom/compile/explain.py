"""Where a value comes from: the answer behind ``metaloom explain``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.base.position import NOWHERE, Position
from metaloom.compile.codes import finding
from metaloom.compile.compiler import effective_document
from metaloom.compile.layout import ENTITY_KINDS, PACK_KINDS
from metaloom.compile.merge import Applied, Effective, _path
from metaloom.compile.node import Node, child
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.source import Source

SHORT = {"field": ("entity", "fields"), "rule": ("entity", "rules"), "action": ("actions",), "chain": ("approval",), "process": ("processes",),
         "print": ("prints",), "transition": ("lifecycle", "transitions"),
         "state": ("lifecycle", "states")}


@dataclass(frozen=True)
class Explanation:
    """``value`` is plain data; ``layer`` and ``position`` say who wrote it last; ``history`` lists overlay operations on it,
    on something that holds it, or on something inside it, in the order in which they were applied."""

    address: str
    path: tuple[str, ...]
    value: Any
    layer: str
    position: Position
    history: tuple[Applied, ...]


def explain(sources: Iterable[Source], address_path: str) -> Explanation:
    """The effective value at ``sales.customer/entity/fields/name/label/zh`` (the kind ``entity`` may be left out; ``field``,
    ``action``, ``print``, ``process``, ``rule``, ``state``, ``transition`` are short forms), ``sales/choices/gender`` or ``tenant/settings``.

    Raises MetadataRefused when the sources cannot be merged or nothing stands there. Values that the engine fills in where
    metadata is silent (generated lists and forms, defaults) are no metadata and are not found here.
    """
    findings: list[Diagnostic] = []
    effective = effective_document(sources, findings.append)
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        raise MetadataRefused(errors)
    address, *rest = _path(address_path.strip("/"))
    root, path = _root(effective, address, tuple(rest), address_path)
    node = _walk(root, path, address_path)
    history = tuple(a for a in effective.history if a.address == address and _touches(a.path, path))
    return Explanation(address, path, node.plain(), node.layer, node.key if path else node.position, history)


def _root(effective: Effective, address: str, rest: tuple[str, ...], asked: str) -> tuple[Node, tuple[str, ...]]:
    if address == "tenant" and effective.tenant is not None:
        return effective.tenant, rest
    folder = effective.entities.get(address) or effective.packs.get(address)
    if folder is None:
        known = [*effective.entities, *effective.packs, "tenant"]
        raise MetadataRefused([finding("ML-OVERLAY-001", NOWHERE, path=asked, hint=_did_you_mean(address, known) or "begin with <pack>.<entity> or <pack>")])
    kinds = dict(folder.kinds)
    modules = {m: n for (pack, m), n in effective.modules.items() if pack == address}
    if not folder.entity and modules:
        kinds["module"] = Node(modules, folder.position, folder.position, folder.layer)
    if rest and rest[0] in SHORT:
        rest = (*SHORT[rest[0]], *rest[1:])
    elif rest and folder.entity and rest[0] not in (*ENTITY_KINDS, *PACK_KINDS):
        rest = ("entity", *rest)
    return Node(kinds, folder.position, folder.position, folder.layer), rest


def _walk(node: Node, path: tuple[str, ...], asked: str) -> Node:
    for segment in path:
        inner = child(node, segment)
        if inner is None:
            known = list(node.value) if node.is_map else [str(i.value) for i in node.value if not i.is_map] if node.is_list else []
            raise MetadataRefused([finding("ML-OVERLAY-001", node.position, path=asked,
                                           hint=_did_you_mean(segment, known) or f"there is: {', '.join(known[:20]) or 'nothing below'}")])
        node = inner
    return node


def _touches(op: tuple[str, ...], path: tuple[str, ...]) -> bool:
    shared = min(len(op), len(path))
    return op[:shared] == path[:shared]
