"""Format upgraders (M08): a pack written for an older format is rewritten in memory, one format at a time, before it is checked.

To raise the format: add ``UPGRADERS[n]``, which turns format n into n + 1, and keep every older one. Positions stay those of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from metaloom.compile.node import Node

CURRENT_FORMAT = 2


def upgraded(kind: str, node: Node, format: int) -> Node:
    """``node`` of ``kind``, written in ``format``, as the current format says it."""
    for step in range(format, CURRENT_FORMAT):
        node = UPGRADERS[step](kind, node)
    return node


def _from_0(kind: str, node: Node) -> Node:
    """Format 0 called a label ``caption``."""
    return _renamed(_of_format(kind, node, 1), "caption", "label")


def _from_1(kind: str, node: Node) -> Node:
    """Format 1 named the door before the provider that reads a webhook's signature: ``signed_by: <door>/<provider>``."""
    if kind == "webhooks" and node.is_map:
        node = replace(node, value={name: _without_door(hook) for name, hook in node.value.items()})
    return _of_format(kind, node, 2)


def _without_door(hook: Node) -> Node:
    into = hook.get("in")
    signer = into.get("signed_by") if into is not None else None
    if into is None or signer is None or not isinstance(signer.value, str):
        return hook
    signer = replace(signer, value=signer.value.rpartition("/")[2])
    return replace(hook, value={**hook.value, "in": replace(into, value={**into.value, "signed_by": signer})})


def _of_format(kind: str, node: Node, format: int) -> Node:
    """A pack's own file that says the format it is in now."""
    if kind != "pack" or not node.is_map or "format" not in node.value:
        return node
    return replace(node, value={**node.value, "format": replace(node.value["format"], value=format)})


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


UPGRADERS: dict[int, Callable[[str, Node], Node]] = {0: _from_0, 1: _from_1}
