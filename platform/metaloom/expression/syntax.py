"""Text to syntax tree: punctuation is normalised, `ast` parses, a closed list of node classes is let through."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import ExpressionError, Position

MAX_LENGTH = 2_000
MAX_NODES = 400
MAX_DEPTH = 32
MAX_TEXT = 500
MAX_INT = 10**18
MAX_WHOLE_DIGITS, MAX_PLACES = 26, 12


@dataclass(frozen=True, slots=True)
class Node:
    """One part of the syntax tree. `kind` is an operator name, `literal`, `name`, `call` or `list`."""

    kind: str
    at: Position
    args: tuple[Node, ...] = ()
    value: Any = None


def parse(text: str, *, source: Position | None = None) -> Node:
    """The syntax tree of `text`. `source` is where the text begins in its file; positions count from there.

    Raises ExpressionError. Nothing of the text is ever evaluated.
    """
    _check_size(text, source)
    normal = _normalise(text, source)
    if not normal.text.strip():
        raise ExpressionError("empty", normal.position(0))
    return _Converter(normal).convert(_parse_python(normal), 1)


def _check_size(text: str, source: Position | None) -> None:
    if len(text) > MAX_LENGTH:
        raise ExpressionError("too_long", source or Position(), "shorter", found=len(text), limit=MAX_LENGTH)


# -- punctuation ---------------------------------------------------------------------------------

_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_PUNCTUATION = _FULL_WIDTH | {
    "。": ".", "，": ",", "、": ",", "【": "[", "】": "]", "　": " ", "\u00a0": " ", "\n": " ", "\r": " ", "\t": " ",
    "≥": ">=", "≤": "<=", "≠": "!=", "×": "*", "÷": "/", "−": "-",
}
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "＂": "＂", "＇": "＇", "「": "」"}
_REFUSED = {"\\": "no_backslash", "#": None, ";": None, "`": None, "@": None, "$": None, "?": None, "^": None, "~": None,
            "{": None, "}": None, "”": None, "’": None, "」": None}


@dataclass(frozen=True, slots=True)
class _Normal:
    """One line of ASCII punctuation, and for each of its characters the index in the original."""

    text: str
    origin: tuple[int, ...]
    original: str
    source: Position

    def position(self, index: int) -> Position:
        """Where the author wrote what stands at `index` of the normalised text."""
        at = self.origin[min(max(index, 0), len(self.origin) - 1)]
        before = self.original[:at]
        line = before.count("\n")
        column = at - (before.rfind("\n") + 1)
        return Position(self.source.line + line, column + (self.source.column if line == 0 else 1))

    def byte_index(self, offset: int) -> int:
        """Index of the character that begins at `offset` of the UTF-8 bytes (what `ast` counts)."""
        return len(self.text.encode()[:offset].decode(errors="ignore"))


def _normalise(text: str, source: Position | None) -> _Normal:
    """Replace full-width punctuation outside quotes; quotes of every kind become plain ones."""
    out: list[str] = []
    origin: list[int] = []
    place = _Normal("", tuple(range(len(text) + 1)), text, source or Position())

    def put(piece: str, at: int) -> None:
        out.append(piece)
        origin.extend([at] * len(piece))

    index = 0
    while index < len(text):
        char = text[index]
        if char in _QUOTES:
            index = _copy_text(text, index, put, place)
            continue
        mapped = _PUNCTUATION.get(char, char)
        if mapped in _REFUSED or (mapped < " " or "\ud800" <= mapped <= "\udfff" or mapped == "\x7f"):
            raise ExpressionError("character", place.position(index), _REFUSED.get(mapped), found=repr(char))
        if out or mapped != " ":
            put(mapped, index)
        index += 1
    return _Normal("".join(out), tuple(origin) + (len(text),), text, source or Position())


def _copy_text(text: str, start: int, put: Callable[[str, int], None], place: _Normal) -> int:
    """Copy one quoted text as it is; the index after its closing quote."""
    end = text.find(_QUOTES[text[start]], start + 1)
    if end < 0:
        raise ExpressionError("unclosed_text", place.position(start))
    body = text[start + 1:end]
    for offset, char in enumerate(body):
        if char < " " or char == "\\" or "\ud800" <= char <= "\udfff" or char == "\x7f":
            raise ExpressionError("character", place.position(start + 1 + offset), _REFUSED.get(char), found=repr(char))
    quote = "'" if '"' in body else '"'
    if quote in body:
        at = place.position(start + 1 + body.index(quote))
        raise ExpressionError("character", at, found=quote)
    put(quote, start)
    for offset, char in enumerate(body):
        put(char, start + 1 + offset)
    put(quote, end)
    return end + 1


# -- Python's parser -----------------------------------------------------------------------------

def _parse_python(normal: _Normal) -> ast.expr:
    try:
        return ast.parse(normal.text.rstrip(), mode="eval").body
    except SyntaxError as error:
        hint = _syntax_hint(normal.text)
        detail = (error.msg or "invalid syntax").split("(")[0].strip()
        raise ExpressionError("syntax", normal.position((error.offset or 1) - 1), hint, detail=detail) from None
    except (RecursionError, MemoryError):
        raise ExpressionError("too_deep", normal.position(0), "shorter", limit=MAX_DEPTH) from None
    except ValueError as error:
        raise ExpressionError("syntax", normal.position(0), detail=str(error)) from None


def _syntax_hint(text: str) -> str | None:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    for mark, hint in (("&&", "use_and"), ("||", "use_or"), ("<>", "use_not")):
        if mark in bare:
            return hint
    if re.search(r"!(?!=)", bare):
        return "use_not"
    return "use_equals" if re.search(r"(?<![=<>!])=(?!=)", bare) else None


# -- the closed list -----------------------------------------------------------------------------

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Mod: "mod"}
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
            ast.In: "in", ast.NotIn: "not_in"}
_SYMBOLS = {"Pow": "**", "FloorDiv": "//", "LShift": "<<", "RShift": ">>", "BitAnd": "&", "BitOr": "|", "BitXor": "^",
            "MatMult": "@", "UAdd": "unary +", "Invert": "~", "Lambda": "lambda", "JoinedStr": "f'…'", "NamedExpr": ":=",
            "Subscript": "[…]", "Dict": "{…}", "Set": "{…}", "Starred": "*", "Tuple": "(a, b)"}
_WORDS = {"null": None, "true": True, "false": False}


class _Converter:
    """Python's tree to ours. A node class without a method here is refused."""

    def __init__(self, normal: _Normal) -> None:
        self.normal = normal
        self.count = 0

    def convert(self, node: ast.expr, depth: int) -> Node:
        at = self._at(node)
        self.count += 1
        if depth > MAX_DEPTH:
            raise ExpressionError("too_deep", at, "shorter", limit=MAX_DEPTH)
        if self.count > MAX_NODES:
            raise ExpressionError("too_many_nodes", at, "shorter", limit=MAX_NODES)
        method = _METHODS.get(type(node))
        if method is None:
            raise self._refused(node, type(node).__name__)
        result: Node = method(self, node, at, depth + 1)
        return result

    def constant(self, node: ast.Constant, at: Position, depth: int) -> Node:
        segment = self._segment(node)
        if node.value is None or isinstance(node.value, bool):
            word = {None: "null", True: "true", False: "false"}[node.value]
            raise ExpressionError("literal", at, "did_you_mean", found=segment, guess=word)
        if isinstance(node.value, str):
            return Node("literal", at, value=self._text(node.value, segment, at))
        return Node("literal", at, value=_number(segment, at))

    def name(self, node: ast.Name, at: Position, depth: int) -> Node:
        if node.id in _WORDS:
            return Node("literal", at, value=_WORDS[node.id])
        return Node("name", at, value=(node.id,))

    def attribute(self, node: ast.Attribute, at: Position, depth: int) -> Node:
        names: list[str] = []
        current: ast.expr = node
        while isinstance(current, ast.Attribute):
            names.append(current.attr)
            current = current.value
        if not isinstance(current, ast.Name) or current.id in _WORDS:
            raise self._refused(node, "x.y")
        return Node("name", at, value=(current.id, *reversed(names)))

    def call(self, node: ast.Call, at: Position, depth: int) -> Node:
        if not isinstance(node.func, ast.Name):
            raise self._refused(node, "x.y()")
        if node.keywords:
            raise self._refused(node, "name=…")
        return Node("call", at, tuple(self.convert(arg, depth) for arg in node.args), node.func.id)

    def unary(self, node: ast.UnaryOp, at: Position, depth: int) -> Node:
        kind = {ast.Not: "not", ast.USub: "neg"}.get(type(node.op))
        if kind is None:
            raise self._refused(node, type(node.op).__name__)
        operand = self.convert(node.operand, depth)
        if kind == "neg" and operand.kind == "literal" and operand.value is not None and not operand.value:
            raise ExpressionError("literal", at, "plain_number", found="-0")
        return Node(kind, at, (operand,))

    def binary(self, node: ast.BinOp, at: Position, depth: int) -> Node:
        kind = _BINARY.get(type(node.op))
        if kind is None:
            raise self._refused(node, type(node.op).__name__)
        return Node(kind, at, (self.convert(node.left, depth), self.convert(node.right, depth)))

    def logic(self, node: ast.BoolOp, at: Position, depth: int) -> Node:
        kind = "and" if isinstance(node.op, ast.And) else "or"
        return Node(kind, at, tuple(self.convert(value, depth) for value in node.values))

    def compare(self, node: ast.Compare, at: Position, depth: int) -> Node:
        if any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return self._is_null(node, at, depth)
        operands = [self.convert(value, depth) for value in (node.left, *node.comparators)]
        pairs = tuple(Node(_COMPARE[type(op)], at, (operands[i], operands[i + 1])) for i, op in enumerate(node.ops))
        return pairs[0] if len(pairs) == 1 else Node("and", at, pairs)

    def _is_null(self, node: ast.Compare, at: Position, depth: int) -> Node:
        if len(node.ops) > 1:
            raise ExpressionError("mixed_is", at, "parentheses")
        right = node.comparators[0]
        if not (isinstance(right, ast.Name) and right.id == "null"):
            raise ExpressionError("is_only_null", self._at(right), "use_is_null")
        kind = "is_null" if isinstance(node.ops[0], ast.Is) else "not_null"
        return Node(kind, at, (self.convert(node.left, depth),))

    def conditional(self, node: ast.IfExp, at: Position, depth: int) -> Node:
        return Node("if", at, tuple(self.convert(part, depth) for part in (node.test, node.body, node.orelse)))

    def sequence(self, node: ast.List, at: Position, depth: int) -> Node:
        return Node("list", at, tuple(self.convert(item, depth) for item in node.elts))

    def _text(self, value: str, segment: str, at: Position) -> str:
        if segment[0] not in "'\"" or segment[0] in segment[1:-1]:
            raise ExpressionError("literal", at, "missing_comma", found=segment[:40])
        if len(value) > MAX_TEXT:
            raise ExpressionError("text_too_long", at, limit=MAX_TEXT)
        return value

    def _at(self, node: ast.expr) -> Position:
        return self.normal.position(self.normal.byte_index(node.col_offset))

    def _segment(self, node: ast.expr) -> str:
        end = node.end_col_offset if node.end_col_offset is not None else node.col_offset
        return self.normal.text.encode()[node.col_offset:end].decode()

    def _refused(self, node: ast.expr, name: str) -> ExpressionError:
        return ExpressionError("not_allowed", self._at(node), found=_SYMBOLS.get(name, name))


_METHODS: dict[type, Callable[..., Node]] = {
    ast.Constant: _Converter.constant, ast.Name: _Converter.name, ast.Attribute: _Converter.attribute,
    ast.Call: _Converter.call, ast.UnaryOp: _Converter.unary, ast.BinOp: _Converter.binary, ast.BoolOp: _Converter.logic,
    ast.Compare: _Converter.compare, ast.IfExp: _Converter.conditional, ast.List: _Converter.sequence,
    ast.Tuple: _Converter.sequence,
}


def _number(segment: str, at: Position) -> int | Decimal:
    """An exact number from plain ASCII digits; no exponent, underscore or other base."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?", segment)
    if match is None:
        raise ExpressionError("literal", at, "plain_number", found=segment[:40])
    whole, places = match.groups()
    if places is None:
        if len(whole) > 19 or int(whole) > MAX_INT:
            raise ExpressionError("literal_too_large", at, found=segment[:40])
        return int(whole)
    if len(whole.lstrip("0")) > MAX_WHOLE_DIGITS or len(places) > MAX_PLACES:
        raise ExpressionError("literal_too_large", at, found=segment[:40])
    return Decimal(segment)
