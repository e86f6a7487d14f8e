"""Syntax tree to typed tree: every name resolved, every type agreed, every cost bounded, before anything runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn

from .errors import ExpressionError, Position, guess
from .functions import AGGREGATES, FUNCTIONS, Function
from .syntax import Node, parse
from .types import (
    ALL_TARGETS,
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    INT,
    MULTI,
    NULL,
    TEXT,
    TIME,
    PluginFunction,
    Scope,
    Type,
    record,
)

MAX_PATH = 5
MAX_COST = 3_000
MAX_DIGITS = 600
INT_DIGITS, DECIMAL_DIGITS = 19, 26

_SYMBOL = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "neg": "-", "eq": "==", "ne": "!=", "lt": "<",
           "le": "<=", "gt": ">", "ge": ">=", "in": "in", "not_in": "not in"}
_ORDERED = ("int", "decimal", "text", "date", "datetime", "time")


@dataclass(frozen=True, slots=True)
class Typed:
    """One part of the typed tree, which all targets read.

    op       what it does: `const`, `field`, `env`, `list`, an operator or function name, `to_decimal`, or
             `total` (over child rows; `value` = (function, path of the children), args = what is totalled)
    value    of a const: the Python value; of a field: its path; of env: (name, argument)
    digits   for numbers: the most whole digits the value can have
    """

    op: str
    type: Type
    args: tuple[Typed, ...] = ()
    value: Any = None
    at: Position = Position()
    digits: int = 0


@dataclass(frozen=True, eq=False)
class Checked:
    """A checked expression. `paths` names every field it reads, relative to its scope (env names are not among them)."""

    text: str
    node: Typed
    type: Type
    paths: frozenset[tuple[str, ...]]
    cost: int
    targets: frozenset[str]
    at: Position = Position()
    made: dict[str, Any] = field(default_factory=dict, repr=False)


def compile(text: str, scope: Scope, expect: Type | None = None, targets: frozenset[str] | set[str] = ALL_TARGETS, *,
            source: Position | None = None) -> Checked:
    """Parse and check `text`; the same text in the same scope is checked once. Raises ExpressionError."""
    key = (text, expect, frozenset(targets), source)
    found = scope.compiled.get(key)
    if found is None:
        found = check(parse(text, source=source), scope, expect=expect, targets=targets, text=text)
        scope.compiled[key] = found
    result: Checked = found
    return result


def check(node: Node, scope: Scope, *, expect: Type | None = None, targets: frozenset[str] | set[str] = ALL_TARGETS,
          text: str = "") -> Checked:
    """Check a syntax tree against a scope; `expect` is the type wanted (an int is widened to a decimal).

    Raises ExpressionError for the first fault.
    """
    checker = _Checker(scope, frozenset(targets))
    typed = checker.visit(node)
    typed = _as_expected(typed, expect)
    cost = _cost(typed)
    if cost > MAX_COST:
        raise ExpressionError("too_costly", node.at, "shorter", found=cost, limit=MAX_COST)
    return Checked(text, typed, typed.type, frozenset(checker.paths), cost, frozenset(targets), node.at)


def _as_expected(typed: Typed, expect: Type | None) -> Typed:
    if expect is None or typed.type.kind == "null":
        return typed if expect is None else replace(typed, type=expect)
    if expect.kind == "decimal" and typed.type.kind == "int":
        return _to_decimal(typed)
    fits = typed.type.kind == expect.kind or (typed.type.is_text and expect.is_text)
    if not fits or (expect.kind == "record" and None not in (expect.target, typed.type.target) and expect.target != typed.type.target):
        raise ExpressionError("result", typed.at, found=typed.type, expected=expect)
    return typed


_COSTS = {"is_id_card": 20, "total": 50, "list": 0}


def _cost(node: Typed) -> int:
    """Work of one evaluation in units of one comparison; child rows are taken as twenty."""
    inner = sum(_cost(arg) for arg in node.args)
    if node.op == "total":
        return 50 + 20 * inner
    if node.op == "field":
        return 1 + 4 * (len(node.value) - 1)
    if node.op == "plugin":
        return int(node.value.cost) + inner
    return _COSTS.get(node.op, 1) + inner


class _Checker:
    def __init__(self, scope: Scope, targets: frozenset[str], prefix: tuple[str, ...] = (), inside_total: bool = False) -> None:
        self.scope, self.targets, self.prefix, self.inside_total = scope, targets, prefix, inside_total
        self.paths: set[tuple[str, ...]] = set()

    def visit(self, node: Node) -> Typed:
        typed = _BY_KIND[node.kind](self, node)
        if typed.digits > MAX_DIGITS:
            raise ExpressionError("too_many_digits", node.at, "shorter", limit=MAX_DIGITS)
        return typed

    # -- leaves ----------------------------------------------------------------------------------

    def _literal(self, node: Node) -> Typed:
        return const(node.value, node.at)

    def _list(self, node: Node) -> NoReturn:
        raise ExpressionError("list_place", node.at)

    def _name(self, node: Node) -> Typed:
        path: tuple[str, ...] = node.value
        if path[0] == "user" and len(path) > 1 and self.scope.user and "user" not in self.scope.links:
            return self._user_attribute(node, path)
        if len(path) > MAX_PATH:
            raise ExpressionError("path_too_long", node.at, limit=MAX_PATH)
        scope, real = self._follow(node, path[:-1])
        name = _find(path[-1], scope.fields)
        if name is None:
            raise self._no_field(node, path[-1], scope)
        full = (*real, name)
        self.paths.add(self.prefix + full)
        return _with_digits(Typed("field", scope.fields[name], value=full, at=node.at))

    def _user_attribute(self, node: Node, path: tuple[str, ...]) -> Typed:
        known = self.scope.user.get(path[1])
        if known is None or len(path) > 2:
            raise ExpressionError("unknown_name", node.at, name=".".join(path),
                                  **guess(".".join(path), ["user." + name for name in self.scope.user]))
        return _with_digits(Typed("env", known, value=("user", path[1]), at=node.at))

    def _follow(self, node: Node, names: tuple[str, ...]) -> tuple[Scope, tuple[str, ...]]:
        """The scope behind a chain of links, and the chain as the scope spells it."""
        scope, real = self.scope, list[str]()
        for name in names:
            found = _find(name, scope.links)
            if found is None:
                if _find(name, scope.children):
                    raise ExpressionError("children_alone", node.at, "use_total", name=name)
                if _find(name, scope.fields):
                    raise ExpressionError("not_a_link", node.at, name=name)
                raise self._no_field(node, name, scope)
            real.append(found)
            scope = scope.links[found]()
        return scope, tuple(real)

    def _no_field(self, node: Node, name: str, scope: Scope) -> ExpressionError:
        if _find(name, scope.children):
            return ExpressionError("children_alone", node.at, "use_total", name=name)
        near = guess(name, scope.names() | {"null", "true", "false"})
        if not near and name in FUNCTIONS:
            near = {"hint": "did_you_mean", "guess": name + "()"}
        return ExpressionError("unknown_name", node.at, name=name, **(near or {"hint": "quote_text"}))

    # -- operators -------------------------------------------------------------------------------

    def _logic(self, node: Node) -> Typed:
        return Typed(node.kind, BOOL, tuple(self._condition(arg) for arg in node.args), at=node.at)

    def _condition(self, node: Node) -> Typed:
        typed = self.visit(node)
        if typed.type.kind != "bool":
            raise ExpressionError("condition", node.at, found=typed.type)
        return typed

    def _if(self, node: Node) -> Typed:
        test = self._condition(node.args[0])
        branches = _unify(node, [self.visit(arg) for arg in node.args[1:]])
        return _numeric("if", branches[0].type, (test, *branches), node.at, max(b.digits for b in branches))

    def _is_null(self, node: Node) -> Typed:
        return Typed("is_null", BOOL, (self.visit(node.args[0]),), at=node.at)

    def _not_null(self, node: Node) -> Typed:
        return Typed("not", BOOL, (self._is_null(node),), at=node.at)

    def _neg(self, node: Node) -> Typed:
        operand = self.visit(node.args[0])
        if not operand.type.is_number:
            raise ExpressionError("operand", node.at, op="-", found=operand.type)
        if operand.op == "const":
            return replace(operand, value=-operand.value, at=node.at)
        return _numeric("neg", operand.type, (operand,), node.at, operand.digits)

    def _arithmetic(self, node: Node) -> Typed:
        left, right = (self.visit(arg) for arg in node.args)
        if node.kind == "add" and left.type.is_text and right.type.is_text:
            return Typed("concat", TEXT, (left, right), at=node.at)
        if not (left.type.is_number and right.type.is_number):
            self._refuse_operands(node, left, right)
        if node.kind == "div" or left.type != right.type:
            left, right = _to_decimal(left), _to_decimal(right)
        digits = {"add": max(left.digits, right.digits) + 1, "sub": max(left.digits, right.digits) + 1,
                  "mul": left.digits + right.digits, "div": left.digits + 12, "mod": left.digits}[node.kind]
        return _numeric(node.kind, left.type, (left, right), node.at, digits)

    def _comparison(self, node: Node) -> Typed:
        left, right = (self.visit(arg) for arg in node.args)
        if "null" in (left.type.kind, right.type.kind):
            raise ExpressionError("null_comparison", node.at, "use_is_null")
        if left.type.is_number and right.type.is_number and left.type != right.type:
            left, right = _to_decimal(left), _to_decimal(right)
        if not _comparable(left.type, right.type):
            self._refuse_operands(node, left, right)
        if node.kind not in ("eq", "ne"):
            self._check_order(node, left, right)
        _check_choice(left, right)
        _check_choice(right, left)
        return Typed(node.kind, BOOL, (left, right), at=node.at)

    def _check_order(self, node: Node, left: Typed, right: Typed) -> None:
        for side in (left, right):
            if side.type.kind == "choice":
                raise ExpressionError("operand", node.at, "choices_have_no_order", op=_SYMBOL[node.kind], found=side.type)
            if side.type.kind not in _ORDERED:
                raise ExpressionError("operand", node.at, op=_SYMBOL[node.kind], found=side.type)

    def _refuse_operands(self, node: Node, left: Typed, right: Typed) -> NoReturn:
        if "null" in (left.type.kind, right.type.kind):
            raise ExpressionError("null_operand", node.at)
        kinds = {left.type.kind, right.type.kind}
        hint = None
        if node.kind == "sub" and kinds == {"date"}:
            hint = "use_days_between"
        elif node.kind in ("add", "sub") and kinds == {"date", "int"}:
            hint = "use_add_days"
        elif kinds & {"date", "datetime", "time"} and "text" in kinds:
            hint = "use_date"
        raise ExpressionError("operands", node.at, hint, op=_SYMBOL[node.kind], left=left.type, right=right.type)

    def _membership(self, node: Node) -> Typed:
        item = self.visit(node.args[0])
        if item.type.kind == "null":
            raise ExpressionError("null_comparison", node.at, "use_is_null")
        right = node.args[1]
        group = self._literals(right, item) if right.kind == "list" else self._set(node, right, item)
        if right.kind == "list" and item.type.kind == "int" and group.type.of == DECIMAL:
            item = _to_decimal(item)
        inside = Typed("in", BOOL, (item, group), at=node.at)
        return inside if node.kind == "in" else Typed("not", BOOL, (inside,), at=node.at)

    def _literals(self, node: Node, item: Typed) -> Typed:
        values = [self.visit(arg) for arg in node.args]
        if not values or any(value.op != "const" or value.type.kind == "null" for value in values):
            raise ExpressionError("list_literals", node.at)
        if item.type.is_number and any(value.type.kind == "decimal" for value in values) or item.type.kind == "decimal":
            values = [_to_decimal(value) if value.type.is_number else value for value in values]
        for value in values:
            wide = DECIMAL if item.type.kind == "int" and value.type.kind == "decimal" else item.type
            if not _comparable(wide, value.type):
                raise ExpressionError("operands", value.at, op="in", left=item.type, right=value.type)
            _check_choice(item, value)
        return Typed("list", Type("multi", of=values[0].type), tuple(values), at=node.at)

    def _set(self, node: Node, right: Node, item: Typed) -> Typed:
        group = self.visit(right)
        element = group.type.of or TEXT
        if group.type.kind != "multi" or not _comparable(element, item.type):
            raise ExpressionError("operands", node.at, op=_SYMBOL[node.kind], left=item.type, right=group.type)
        if group.type.choices is not None:
            _check_choice(replace(group, type=Type("choice", choices=group.type.choices)), item)
        return group

    # -- functions -------------------------------------------------------------------------------

    def _call(self, node: Node) -> Typed:
        function = FUNCTIONS.get(node.value)
        if function is None:
            return self._plugin(node)
        self._check_targets(node, function)
        if node.value in AGGREGATES or (node.value in ("min", "max") and len(node.args) <= 2 and self._begins_with_children(node)):
            return self._total(node, function)
        self._check_count(node, function)
        if function.special:
            typed: Typed = getattr(self, "_call_" + function.name)(node)
            return typed
        return self._plain_call(node, function)

    def _check_targets(self, node: Node, function: Function | PluginFunction) -> None:
        missing = self.targets - function.targets
        if missing:
            raise ExpressionError("target", node.at, name=function.name, missing=", ".join(sorted(missing)))

    def _check_count(self, node: Node, function: Function) -> None:
        fewest = 1 if function.variadic else function.fewest - (function.name == "round")
        most = None if function.variadic else len(function.params)
        if len(node.args) < fewest or (most is not None and len(node.args) > most):
            expected = f"{fewest}+" if most is None else str(most) if most == fewest else f"{fewest}–{most}"
            raise ExpressionError("argument_count", node.at, name=function.name, expected=expected, found=len(node.args))

    def _plain_call(self, node: Node, function: Function) -> Typed:
        groups = function.params * len(node.args) if function.variadic else function.params
        args = tuple(self._argument(node, number, group) for number, group in enumerate(groups))
        kind = function.result or args[0].type
        digits = {"length": 9, "days_between": 7, "year": 4, "month": 2, "day": 2, "age_years": 5}.get(function.name)
        if digits is None:
            digits = max((arg.digits for arg in args), default=0) + (function.name in ("floor", "ceil"))
        return _numeric(function.name, kind, args, node.at, digits)

    def _argument(self, node: Node, number: int, group: str) -> Typed:
        typed = self.visit(node.args[number])
        fits = {"number": typed.type.is_number, "text": typed.type.is_text,
                "field": typed.op == "field" and typed.type.is_text}.get(group, typed.type.kind == group)
        if not fits:
            hint = "use_date" if group == "date" and typed.type.is_text else None
            raise ExpressionError("argument", node.args[number].at, hint, number=number + 1, name=node.value, expected=group,
                                  found=typed.type)
        return typed

    def _plugin(self, node: Node) -> Typed:
        function = self.scope.functions.get(node.value)
        if function is None:
            raise ExpressionError("unknown_function", node.at, name=node.value,
                                  **guess(node.value, [*FUNCTIONS, *self.scope.functions]))
        self._check_targets(node, function)
        if len(node.args) != len(function.params):
            raise ExpressionError("argument_count", node.at, name=function.name, expected=len(function.params), found=len(node.args))
        args = []
        for number, (arg, wanted) in enumerate(zip(node.args, function.params, strict=True)):
            typed = self.visit(arg)
            if wanted.kind == "decimal" and typed.type.kind == "int":
                typed = _to_decimal(typed)
            if not (typed.type.kind == wanted.kind or (wanted.is_text and typed.type.is_text)):
                raise ExpressionError("argument", arg.at, number=number + 1, name=function.name, expected=wanted, found=typed.type)
            args.append(typed)
        return _with_digits(Typed("plugin", function.result, tuple(args), function, node.at))

    def _call_round(self, node: Node) -> Typed:
        operand = self._argument(node, 0, "number")
        places = self.visit(node.args[1]) if len(node.args) > 1 else const(0, node.at)
        if places.op != "const" or places.type.kind != "int" or not 0 <= places.value <= 12:
            raise ExpressionError("argument", places.at, number=2, name="round", expected="0…12", found=places.type)
        return _numeric("round", DECIMAL, (_to_decimal(operand),), node.at, operand.digits + 1, places.value)

    def _extreme(self, node: Node) -> Typed:
        args = _unify(node, [self.visit(arg) for arg in node.args], allow_null=False)
        kind = args[0].type
        if not (kind.is_number or kind.kind in ("date", "datetime", "time")):
            raise ExpressionError("argument", node.at, number=1, name=node.value, expected="number, date, datetime or time", found=kind)
        return _numeric(node.value, kind, tuple(args), node.at, max(arg.digits for arg in args))

    _call_min = _call_max = _extreme

    def _call_coalesce(self, node: Node) -> Typed:
        args = _unify(node, [self.visit(arg) for arg in node.args])
        return _numeric("coalesce", args[0].type, tuple(args), node.at, max(arg.digits for arg in args))

    def _moment(self, node: Node) -> Typed:
        arg = node.args[0]
        try:
            return const(_MOMENTS[node.value](arg.value), node.at)
        except (ValueError, TypeError, OverflowError):
            raise ExpressionError("literal", arg.at, found=repr(arg.value) if arg.kind == "literal" else arg.kind) from None

    _call_date = _call_datetime = _call_time = _moment

    def _call_business_date(self, node: Node) -> Typed:
        return Typed("env", DATE, value=("business_date", None), at=node.at)

    def _call_now(self, node: Node) -> Typed:
        return Typed("env", DATETIME, value=("now", None), at=node.at)

    def _call_user_id(self, node: Node) -> Typed:
        return Typed("env", self.scope.user.get("id", record()), value=("user_id", None), at=node.at)

    def _call_has_role(self, node: Node) -> Typed:
        arg = node.args[0]
        if arg.kind != "literal" or not isinstance(arg.value, str):
            raise ExpressionError("argument", arg.at, number=1, name="has_role", expected="'…'", found=arg.kind)
        return Typed("env", BOOL, value=("has_role", arg.value), at=node.at)

    # -- totals over child rows ------------------------------------------------------------------

    def _begins_with_children(self, node: Node) -> bool:
        return bool(node.args) and node.args[0].kind == "name" and self._children(node.args[0]) is not None

    def _children(self, node: Node) -> tuple[tuple[str, ...], Scope, tuple[str, ...]] | None:
        """(path of the children, their scope, what follows) when a name leads into child rows."""
        scope, real = self.scope, list[str]()
        for index, name in enumerate(node.value):
            child = _find(name, scope.children)
            if child is not None:
                return (*real, child), scope.children[child](), node.value[index + 1:]
            link = _find(name, scope.links)
            if link is None:
                return None
            real.append(link)
            scope = scope.links[link]()
        return None

    def _total(self, node: Node, function: Function) -> Typed:
        if not 1 <= len(node.args) <= 2:
            raise ExpressionError("argument_count", node.at, name=function.name, expected="1–2", found=len(node.args))
        if node.args[0].kind != "name" or (found := self._children(node.args[0])) is None:
            if node.args[0].kind == "name" and len(node.args[0].value) == 1:
                self._suggest_children(node.args[0])
            raise ExpressionError("children_wanted", node.args[0].at, "use_total", name=function.name)
        if self.inside_total:
            raise ExpressionError("nested_aggregate", node.at)
        path, scope, rest = found
        if len(path) > MAX_PATH:
            raise ExpressionError("path_too_long", node.at, limit=MAX_PATH)
        inner = self._totalled(node, path, scope, rest)
        return self._typed_total(node, path, inner)

    def _suggest_children(self, name: Node) -> None:
        if not _find(name.value[0], self.scope.fields):
            raise ExpressionError("unknown_name", name.at, name=name.value[0], **guess(name.value[0], self.scope.children))

    def _totalled(self, node: Node, path: tuple[str, ...], scope: Scope, rest: tuple[str, ...]) -> Typed | None:
        inner_checker = _Checker(scope, self.targets, self.prefix + path, inside_total=True)
        if rest and len(node.args) == 1:
            inner = inner_checker.visit(Node("name", node.args[0].at, value=rest))
        elif not rest and len(node.args) == 2:
            inner = inner_checker.visit(node.args[1])
        elif not rest and node.value == "count":
            self.paths.add(self.prefix + path)
            return None
        else:
            raise ExpressionError("argument_count", node.at, name=node.value, expected=FUNCTIONS[node.value].signature,
                                  found=len(node.args))
        self.paths |= inner_checker.paths or {self.prefix + path}
        return inner

    def _typed_total(self, node: Node, path: tuple[str, ...], inner: Typed | None) -> Typed:
        name = node.value
        if inner is None:
            return Typed("total", INT, (), (name, path), node.at, 12)
        wanted = {"sum": inner.type.is_number, "min": inner.type.is_number or inner.type.kind in ("date", "datetime", "time")}
        wanted["max"] = wanted["min"]
        if not wanted.get(name, inner.type.kind == "bool"):
            expected = "number" if name == "sum" else "number, date, datetime or time" if name in wanted else "bool"
            raise ExpressionError("argument", inner.at, number=len(node.args), name=name, expected=expected, found=inner.type)
        kind = {"count": INT, "any": BOOL, "all": BOOL}.get(name, inner.type)
        digits = 12 if name == "count" else inner.digits + (12 if name == "sum" else 0)
        return _numeric("total", kind, (inner,), node.at, digits, (name, path))


_BY_KIND: dict[str, Callable[[_Checker, Node], Typed]] = {
    "literal": _Checker._literal, "name": _Checker._name, "list": _Checker._list, "call": _Checker._call,
    "if": _Checker._if, "is_null": _Checker._is_null, "not_null": _Checker._not_null, "neg": _Checker._neg,
    **dict.fromkeys(("and", "or", "not"), _Checker._logic),
    **dict.fromkeys(("add", "sub", "mul", "div", "mod"), _Checker._arithmetic),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _Checker._comparison),
    **dict.fromkeys(("in", "not_in"), _Checker._membership),
}


def const(value: Any, at: Position = Position()) -> Typed:
    """A typed constant; its type follows from the Python value."""
    if isinstance(value, bool):
        return Typed("const", BOOL, value=value, at=at)
    if isinstance(value, int):
        return Typed("const", INT, value=value, at=at, digits=len(str(abs(value))))
    if isinstance(value, Decimal):
        return Typed("const", DECIMAL, value=value, at=at, digits=max(value.adjusted() + 1, 1))
    kind = {str: TEXT, datetime: DATETIME, date: DATE, time: TIME, type(None): NULL}[type(value)]
    return Typed("const", kind, value=value, at=at)


def _parse_date(text: str) -> date:
    if len(text) != 10 or not text.isascii():
        raise ValueError(text)
    return date.fromisoformat(text)


def _parse_datetime(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None or len(text) < 17 or not text.isascii():
        raise ValueError("an instant needs its offset")
    return value.astimezone(UTC)


def _parse_time(text: str) -> time:
    value = time.fromisoformat(text)
    if value.tzinfo is not None or text[2:3] != ":" or value.microsecond or not text.isascii():
        raise ValueError(text)
    return value


_MOMENTS = {"date": _parse_date, "datetime": _parse_datetime, "time": _parse_time}


def _numeric(op: str, kind: Type, args: tuple[Typed, ...], at: Position, digits: int, value: Any = None) -> Typed:
    return Typed(op, kind, args, value, at, digits if kind.is_number else 0)


def _with_digits(typed: Typed) -> Typed:
    return replace(typed, digits={"int": INT_DIGITS, "decimal": DECIMAL_DIGITS}.get(typed.type.kind, 0))


def _to_decimal(typed: Typed) -> Typed:
    if typed.type.kind != "int":
        return typed
    if typed.op == "const":
        return replace(typed, type=DECIMAL, value=Decimal(typed.value))
    return Typed("to_decimal", DECIMAL, (typed,), at=typed.at, digits=typed.digits)


def _comparable(a: Type, b: Type) -> bool:
    if a.kind == "record" and b.kind == "record":
        return a.target is None or b.target is None or a.target == b.target
    if "multi" in (a.kind, b.kind):
        return False
    return a.kind == b.kind or (a.is_text and b.is_text) or (a.is_number and b.is_number)


def _check_choice(side: Typed, other: Typed) -> None:
    known = side.type.choices
    if known is not None and other.op == "const" and other.value not in known:
        raise ExpressionError("unknown_choice", other.at, found=repr(other.value), **guess(str(other.value), known))


def _unify(node: Node, parts: list[Typed], allow_null: bool = True) -> list[Typed]:
    """The parts with one common type; nulls take the type of the others."""
    real = [part for part in parts if part.type.kind != "null"]
    if not real or (len(real) < len(parts) and not allow_null):
        raise ExpressionError("null_operand", node.at)
    common = real[0].type
    for part in real[1:]:
        if not _comparable(common, part.type) and not (common == part.type == MULTI):
            raise ExpressionError("branches", node.at, found=", ".join(str(p.type) for p in parts))
        common = _wider(common, part.type)
    if common.kind == "decimal":
        parts = [_to_decimal(part) for part in parts]
    return [replace(part, type=common) if part.type.kind in ("null", "choice", "text") else part for part in parts]


def _wider(a: Type, b: Type) -> Type:
    if a.is_number and b.is_number:
        return DECIMAL if "decimal" in (a.kind, b.kind) else INT
    if a.is_text and a != b:
        return TEXT
    if a.kind == "record":
        return a if a.target is not None else b
    return a


def _find(name: str, mapping: Any) -> str | None:
    """`name` as the mapping spells it; Python's parser hands names over in NFKC form."""
    if name in mapping:
        return name
    return next((key for key in mapping if unicodedata.normalize("NFKC", key) == name), None)
