"""Strict YAML: text in, a tree of values with positions out, or findings.

The parser's events are read one by one, so that an alias, a tag or a bomb is refused at its first token, before anything is
expanded. Only plain data passes: maps with unique text keys, lists, text, integers of at most 18 digits, exact decimals,
true and false, null. Dates and times stay text until a field type reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import yaml

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import Position
from metaloom.compile.codes import finding
from metaloom.compile.node import Node, Scalar
from metaloom.compile.source import MAX_BYTES, Source

MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_DIGITS = 18

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_NUMBERISH = re.compile(
    r"[-+]?(?:0[0-9_]+|0[xob][0-9a-f_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+\.|[0-9]*\.?[0-9]+e[-+]?[0-9]+|[0-9]+\.[0-9]*e[-+]?[0-9]+"
    r"|\.[0-9]+|\.inf|\.nan|nan|infinity)",
    re.ASCII | re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def load(source: Source, report: Callable[[Diagnostic], None]) -> Node | None:
    """The document of one file, or None when anything in it was reported. The same text is parsed once per process."""
    refusal = _refuse_text(source.file, source.text)
    if refusal is not None:
        report(refusal)
        return None
    node, problems = _load(source.layer, source.file, source.text)
    for problem in problems:
        report(problem)
    return None if problems else node


@lru_cache(maxsize=1_000)
def _load(layer: str, file: str, text: str) -> tuple[Node | None, tuple[Diagnostic, ...]]:
    reader = _Reader(layer, file, text)
    try:
        node = reader.document()
    except _Refused as stop:
        return None, (*reader.problems, stop.diagnostic)
    except yaml.YAMLError as error:
        return None, (*reader.problems, _syntax(file, error))
    return node, tuple(reader.problems)


def _refuse_text(file: str, text: str) -> Diagnostic | None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return finding("ML-LOAD-001", Position(file), limit=MAX_BYTES)
    if text.startswith(("\ufeff", "\udcff\udcfe", "\udcfe\udcff")):
        return finding("ML-LOAD-002", Position(file), found="a byte order mark")
    if bad := _SURROGATE.search(text):
        return finding("ML-LOAD-002", _place(file, text, bad.start()), found="bytes that are no UTF-8")
    if bad := _CONTROL.search(text):
        return finding("ML-LOAD-002", _place(file, text, bad.start()), found=f"the control character U+{ord(bad.group()):04X}")
    return None


def _place(file: str, text: str, index: int) -> Position:
    return Position(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _syntax(file: str, error: yaml.YAMLError) -> Diagnostic:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
    return finding("ML-LOAD-003", where, detail=getattr(error, "problem", None) or str(error).splitlines()[0])


class _Refused(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


class _Reader:
    """Builds nodes from parser events. Duplicate keys and odd scalars are collected; what could explode stops at once."""

    def __init__(self, layer: str, file: str, text: str) -> None:
        self.layer, self.file = layer, file
        self.parser: Any = yaml.CSafeLoader(text)
        self.count = 0
        self.problems: list[Diagnostic] = []

    def document(self) -> Node:
        self.parser.get_event()  # stream start
        first = self.parser.get_event()
        if isinstance(first, yaml.StreamEndEvent):
            return Node({}, Position(self.file), Position(self.file), self.layer)
        if getattr(first, "version", None) or getattr(first, "tags", None):
            self._stop("ML-LOAD-005", first, found="a directive (%)")
        event = self.parser.get_event()
        root = self._node(event, 1, None)
        self.parser.get_event()  # document end
        after = self.parser.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop("ML-LOAD-008", after)
        if root.value is None:
            return Node({}, root.position, root.key, self.layer)
        if not root.is_map:
            self.problems.append(finding("ML-LOAD-009", root.position))
        return root

    def _node(self, event: Any, depth: int, key: Position | None) -> Node:
        self._guard(event, depth)
        where = self._position(event)
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event, where), where, key or where, self.layer, event.style in ("'", '"'))
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._map(depth), where, key or where, self.layer)
        return Node(self._list(depth), where, key or where, self.layer)

    def _guard(self, event: Any, depth: int) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            self._stop("ML-LOAD-007", event, limit=MAX_NODES)
        if isinstance(event, yaml.AliasEvent):
            self._stop("ML-LOAD-004", event, found=f"*{event.anchor}")
        if event.anchor is not None:
            self._stop("ML-LOAD-004", event, found=f"&{event.anchor}")
        if event.tag is not None:
            self._stop("ML-LOAD-005", event, found=f"the tag {_short(event.tag)}")
        if depth > MAX_DEPTH:
            self._stop("ML-LOAD-006", event, limit=MAX_DEPTH)

    def _map(self, depth: int) -> dict[str, Node]:
        out: dict[str, Node] = {}
        while True:
            event = self.parser.get_event()
            if isinstance(event, yaml.MappingEndEvent):
                return out
            name, where = self._key(event, depth)
            value = self._node(self.parser.get_event(), depth + 1, where)
            if name in out:
                first = out[name].key
                self.problems.append(finding("ML-LOAD-010", where, key=_short(name), line=first.line))
            else:
                out[name] = value

    def _key(self, event: Any, depth: int) -> tuple[str, Position]:
        self._guard(event, depth)
        if not isinstance(event, yaml.ScalarEvent):
            self._stop("ML-LOAD-011", event)
        if event.value == "<<":
            self._stop("ML-LOAD-004", event, found="<<")
        return event.value, self._position(event)

    def _list(self, depth: int) -> list[Node]:
        out: list[Node] = []
        while True:
            event = self.parser.get_event()
            if isinstance(event, yaml.SequenceEndEvent):
                return out
            out.append(self._node(event, depth + 1, None))

    def _scalar(self, event: Any, where: Position) -> Scalar:
        text: str = event.value
        if event.style is not None and event.style != "":
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        first = text[0]
        if first not in "-+.0123456789nNiI":
            return text
        if _INTEGER.fullmatch(text):
            return self._digits(text, where, int)
        if _DECIMAL.fullmatch(text):
            return self._digits(text, where, Decimal)
        if _NUMBERISH.fullmatch(text):
            self.problems.append(finding("ML-LOAD-012", where, found=_short(text)))
        return text

    def _digits(self, text: str, where: Position, make: Callable[[str], Scalar]) -> Scalar:
        if sum(c.isdigit() for c in text) > MAX_DIGITS:
            self.problems.append(finding("ML-LOAD-013", where, found=_short(text), limit=MAX_DIGITS))
            return None
        return make(text)

    def _position(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self.file, mark.line + 1, mark.column + 1)

    def _stop(self, code: str, event: Any, **slots: object) -> None:
        raise _Refused(finding(code, self._position(event), address="", hint="", **slots))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
