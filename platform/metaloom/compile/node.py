"""What a file says, with the place of every value: the tree between YAML text and the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from metaloom.base.position import NOWHERE, Position

Scalar = str | int | bool | Decimal | None


@dataclass(frozen=True, slots=True)
class Node:
    """A map, a list or a scalar. ``key`` is where its name stands (for list items: the item itself).

    Trees are shared between compilations: whoever changes one copies the containers on the way first (``merge``).
    """

    value: Any  # dict[str, Node] | list[Node] | Scalar
    position: Position = NOWHERE
    key: Position = NOWHERE
    layer: str = ""
    quoted: bool = False  # text in quotes: its first character stands one column further

    @property
    def is_map(self) -> bool:
        return type(self.value) is dict

    @property
    def is_list(self) -> bool:
        return type(self.value) is list

    def get(self, name: str) -> Node | None:
        """The child called ``name``; None where there is none or this is no map."""
        return self.value.get(name) if type(self.value) is dict else None

    def items(self) -> Iterator[tuple[str, Node]]:
        return iter(self.value.items())

    def plain(self) -> Any:
        """The same without positions: dict, list and scalars."""
        if type(self.value) is dict:
            return {k: v.plain() for k, v in self.value.items()}
        if type(self.value) is list:
            return [v.plain() for v in self.value]
        return self.value


def at(node: Node, path: Sequence[str]) -> Node | None:
    """The node at ``path``; a list of names is entered by the name itself, any other list by index."""
    for segment in path:
        found = child(node, segment)
        if found is None:
            return None
        node = found
    return node


def child(node: Node, segment: str) -> Node | None:
    """One step down: a key of a map, a name in a list of names, an index (from 0) in a list of maps."""
    if node.is_map:
        return node.get(segment)
    index = index_in(node, segment)
    return None if index is None else node.value[index]


def index_in(node: Node, segment: str) -> int | None:
    """The index of the item ``segment`` addresses in a list; None where nothing matches."""
    if not node.is_list:
        return None
    for index, item in enumerate(node.value):
        if item.value == segment:
            return index
    maps = node.value and all(item.is_map for item in node.value)
    if maps and segment.isascii() and segment.isdigit() and int(segment) < len(node.value):
        return int(segment)
    return None
