"""Format upgraders (M08): a pack written for an older format is rewritten in memory, one format at a time, before it is checked.

To raise the format: add ``UPGRADERS[n]``, which turns format n into n + 1, and keep every older one. Positions stay those of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from metaloom.compile.node import Node

CURRENT_FORMAT = 1


def upgraded(kind: str, node: Node, format: int) -> Node:
    """``node`` of ``kind``, written in ``format``, as the current format says it."""
    for step in range(format, CURRENT_FORMAT):
        node = UPGRADERS[step](kind, node)
    return node


def _from_0(kind: str, node: Node) -> Node:
    """Format 0 called a label ``caption``."""
    if kind == "pack":
        entries = dict(node.value) if node.is_map else {}
        if "format" in entries:
            entries["format"] = replace(entries["format"], value=1)
        node = replace(node, value=entries)
    return _renamed(node, "caption", "label")


def _renamed(node: Node, old: str, new: str) -> Node:
    """Every map key ``old`` as ``new`` where it holds words; a field that happens to be called so holds a type and is left alone."""
    if node.is_list:
        return replace(node, value=[_renamed(item, old, new) for item in node.value])
    if not node.is_map:
        return node
    return replace(node, value={
        (new if name == old and _words(value) and new not in node.value else name): _renamed(value, old, new)
        for name, value in node.items()
    })


def _words(node: Node) -> bool:
    return node.is_map and set(node.value) <= {"zh", "en"}


UPGRADERS: dict[int, Callable[[str, Node], Node]] = {0: _from_0}
