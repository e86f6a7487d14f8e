"""Sentences with slots: ``{amount}`` must be something the sentence can know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter

from metaloom.compile.checks.look import say
from metaloom.compile.context import Context
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import entity_scope
from metaloom.model import Catalog

_SENTENCES = frozenset({"message", "confirm", "done", "pattern_message", "empty", "subject"})
_OWN: Mapping[str, set[str]] = {"actions": set(), "approval": {"case", "output"}, "processes": {"run"}}
_SLOT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,4}", re.ASCII)


def messages_speak_of_known_names(catalog: Catalog, context: Context) -> None:
    """Braces are paired and hold a plain path whose first name is a field, an input or a let."""
    for address, folder in context.effective.entities.items():
        known = entity_scope(catalog, address).names() | {"record", "input", "user", "field", "value"}
        for kind in ("entity", "lifecycle", "actions", "approval", "processes", "list", "lists", "form", "warnings"):
            if kind in folder.kinds:
                names = known | set(_lets(folder.kinds[kind])) | _OWN[kind] if kind in _OWN else known
                for sentence in _sentences(folder.kinds[kind]):
                    _check(context, sentence, names, address)


def _sentences(node: Node) -> Iterator[Node]:
    """Both languages of every sentence below ``node``."""
    if node.is_list:
        for item in node.value:
            yield from _sentences(item)
    elif node.is_map:
        for name, inner in node.items():
            if name in _SENTENCES and inner.is_map and inner.value.keys() == {"zh", "en"}:
                yield from inner.value.values()
            else:
                yield from _sentences(inner)


def _lets(node: Node) -> Iterator[str]:
    if node.is_list:
        for item in node.value:
            yield from _lets(item)
    elif node.is_map:
        for name, inner in node.items():
            if name in ("let", "as") and isinstance(inner.value, str):
                yield inner.value
            elif name == "input" and inner.is_map:
                yield from inner.value
            else:
                yield from _lets(inner)


def _check(context: Context, node: Node, known: set[str], address: str) -> None:
    try:
        slots = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(str(node.value)) if name is not None]
    except ValueError:
        say(context, "ML-TEXT-001", node.position, address)
        return
    for name, form, conversion in slots:
        if form or conversion or not _SLOT.fullmatch(name):
            say(context, "ML-TEXT-001", node.position, address)
        elif name.partition(".")[0] not in known:
            say(context, "ML-TEXT-002", node.position, address, name=name, hint=_did_you_mean(name, known))
