"""One file, read and held against the schemas: the step between text and merging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import Position
from metaloom.compile.codes import finding
from metaloom.compile.layout import NAME, Place, place_of, where_kind_belongs
from metaloom.compile.load import load
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean, kinds, shape_of, validate
from metaloom.compile.source import MAX_BYTES, Source
from metaloom.compile.upgrade import CURRENT_FORMAT, upgraded


@dataclass(frozen=True, slots=True)
class Document:
    """One metadata file after reading: its kinds, still with every position."""

    source: Source
    place: Place
    kinds: dict[str, Node]


def read(source: Source, format: int, report: Callable[[Diagnostic], None]) -> Document | None:
    """The document of a file written in ``format``; None when it could not be read at all. Findings go to ``report``."""
    document, problems = _read(source, format) if len(source.text) <= MAX_BYTES else _read.__wrapped__(source, format)
    for problem in problems:
        report(problem)
    return document


@lru_cache(maxsize=1_000)
def _read(source: Source, format: int) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    problems: list[Diagnostic] = []
    place = _place(source, problems)
    root = load(source, problems.append)
    if root is None or place is None:
        return None, tuple(problems)
    found: dict[str, Node] = {}
    for kind, node in root.items():
        node = upgraded(kind, node, format)
        if _belongs(kind, node, place, problems):
            before = len(problems)
            validate(shape_of(kind), node, problems.append, kind)
            if len(problems) == before:
                found[kind] = node
    return Document(source, place, found), tuple(problems)


def _place(source: Source, problems: list[Diagnostic]) -> Place | None:
    place = place_of(source.path)
    if place is None:
        problems.append(finding("ML-PATH-001", Position(source.file), path=source.path))
        return None
    for name in (place.pack, place.module, place.entity):
        if name and not NAME.fullmatch(name):
            problems.append(finding("ML-PATH-006", Position(source.file), name=name[:60]))
            return None
    return place


def _belongs(kind: str, node: Node, place: Place, problems: list[Diagnostic]) -> bool:
    known = kinds()
    if kind not in known:
        problems.append(finding("ML-PATH-003", node.key, kind=kind[:60], hint=_did_you_mean(kind, [k for k in known if k in place.kinds])))
    elif kind not in place.kinds:
        problems.append(finding("ML-PATH-002", node.key, kind=kind, place=str(place), wanted=where_kind_belongs(kind)))
    else:
        return True
    return False


def declared_format(source: Source) -> int:
    """The format a ``pack.yaml`` declares; the current one where it is missing or wrong (reading it then says so)."""
    root = load(source, lambda _: None)
    pack = root.get("pack") if root else None
    format = pack.get("format") if pack else None
    value = format.value if format else None
    return value if type(value) is int and value >= 0 else CURRENT_FORMAT
