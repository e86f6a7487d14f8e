"""Parts of catalogs that are equal are one object: tenants differ in little, and each catalog stays as long as somebody works under it."""

from __future__ import annotations

from typing import TypeVar

from metaloom.compile.node import Node

T = TypeVar("T")
_KEPT_MAX = 20_000
_made: dict[tuple[int, type], tuple[Node, object]] = {}


def shared(node: Node, made: T) -> T:
    """What was made of this very node last, where ``made`` is equal to it: the same text read once, looked up among names that mean the same.

    Equal is not enough (0.1 and 0.10 are), so what stands in other files is never taken. Only for what nobody changes.
    """
    key = (id(node), type(made))
    found = _made.get(key)
    if found is not None and found[0] is node and found[1] == made:
        return found[1]
    if len(_made) >= _KEPT_MAX:
        _made.clear()
    _made[key] = (node, made)          # holds the node: its id is nobody else's meanwhile
    return made
