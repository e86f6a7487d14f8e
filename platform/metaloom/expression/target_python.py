"""Typed tree to a Python function. The source is built from our own tree; nothing of the author's text enters it
except through constants bound by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from . import exact
from .check import DECIMAL_DIGITS, Checked, Typed
from .types import Env

Evaluate = Callable[[Mapping[str, Any], Env], Any]

_HELPERS: dict[str, Any] = {
    "ADD": exact.add, "SUB": exact.sub, "MUL": exact.mul, "DIV": exact.div, "MOD": exact.mod, "NEG": exact.negative,
    "ROUND": exact.round_half_up, "FLOOR": exact.floor, "CEIL": exact.ceil, "INT": exact.in_int_range,
    "DEC": exact.in_decimal_range, "LOWER": exact.lower, "UPPER": exact.upper, "TRIM": exact.trim,
    "ADD_DAYS": exact.add_days, "ADD_MONTHS": exact.add_months, "AGE": exact.age_years, "ID": exact.record_id,
    "IS_MOBILE": exact.is_mobile, "IS_ID_CARD": exact.is_id_card,
    "ID_CARD_BIRTHDAY": exact.id_card_birthday, "ID_CARD_IS_MALE": exact.id_card_is_male,
    "ABS": exact.magnitude, "len": len, "Decimal": Decimal,
}

_STRICT = {
    "eq": "{0} == {1}", "ne": "{0} != {1}", "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}",
    "in": "{0} in {1}", "not": "not {0}", "div": "DIV({0}, {1})", "mod": "MOD({0}, {1})", "to_decimal": "Decimal({0})",
    "abs": "ABS({0})", "floor": "FLOOR({0})", "ceil": "CEIL({0})", "length": "len({0})", "lower": "LOWER({0})",
    "upper": "UPPER({0})", "trim": "TRIM({0})", "contains": "{1} in {0}", "starts_with": "{0}.startswith({1})",
    "ends_with": "{0}.endswith({1})", "days_between": "({1} - {0}).days", "add_days": "ADD_DAYS({0}, {1})",
    "add_months": "ADD_MONTHS({0}, {1})", "year": "{0}.year", "month": "{0}.month", "day": "{0}.day",
    "age_years": "AGE({0}, {1})", "is_mobile": "IS_MOBILE({0})", "is_id_card": "IS_ID_CARD({0})",
    "id_card_birthday": "ID_CARD_BIRTHDAY({0})", "id_card_is_male": "ID_CARD_IS_MALE({0})",
}
_ARITHMETIC = {"add": ("{0} + {1}", "ADD({0}, {1})"), "sub": ("{0} - {1}", "SUB({0}, {1})"),
               "mul": ("{0} * {1}", "MUL({0}, {1})"), "neg": ("-{0}", "NEG({0})")}
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "in"})


def to_python(checked: Checked) -> Evaluate:
    """A function (record, env) → value.

    The record maps every name of `checked.paths`: links to a nested mapping or None (a bare link may be its id),
    children to a list of mappings or None. A missing name raises KeyError. Numbers are int and Decimal.
    """
    made = checked.made.get("python")
    if made is None:
        made = checked.made["python"] = _Writer().function(checked.node)
    result: Evaluate = made
    return result


class _Writer:
    """Writes one statement per part of the tree, each into a local name of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"__builtins__": {}, **_HELPERS}
        self.count = 0
        self.record = "r"
        self.depth = 1
        self.solid: set[str] = set()

    def function(self, root: Typed) -> Evaluate:
        result = self._in_range(root, self.emit(root))
        source = "def rule(r, e):\n" + "\n".join(self.lines) + f"\n    return {result}\n"
        exec(compile(source, "<expression>", "exec"), self.names)  # noqa: S102 - source is ours, see the module docstring
        made: Evaluate = self.names["rule"]
        return made

    def _in_range(self, root: Typed, value: str) -> str:
        if not root.type.is_number or root.op in ("field", "const"):
            return value
        return self._assign(self._strict("DEC({0})" if root.type.kind == "decimal" else "INT({0})", [value]))

    # -- writing ---------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def _fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def _assign(self, text: str, solid: bool = False) -> str:
        name = self._fresh()
        self._line(f"{name} = {text}")
        if solid:
            self.solid.add(name)
        return name

    def _constant(self, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return str(value)
        self.count += 1
        name = f"K{self.count}"
        self.names[name] = value
        self.solid.add(name)
        return name

    def _strict(self, template: str, args: list[str]) -> str:
        """The template, or None when an argument is null."""
        loose = [arg for arg in dict.fromkeys(args) if arg not in self.solid and arg not in ("True", "False")]
        value = template.format(*args)
        return f"None if {' or '.join(arg + ' is None' for arg in loose)} else {value}" if loose else value

    # -- parts -----------------------------------------------------------------------------------

    def emit(self, node: Typed) -> str:
        """Write what computes `node`; the local name that holds its value."""
        special = getattr(self, "_emit_" + node.op, None)
        if special is not None:
            name: str = special(node)
            return name
        if node.op in _ARITHMETIC:
            template = _ARITHMETIC[node.op][node.type.kind == "decimal"]
        else:
            template = _STRICT[node.op]
        args = [self.emit(self._uncast(node, arg)) for arg in node.args]
        return self._assign(self._strict(template, args))

    def _uncast(self, node: Typed, arg: Typed) -> Typed:
        """Python compares and adds int and Decimal exactly; no cast is needed there."""
        return arg.args[0] if arg.op == "to_decimal" and (node.op in _COMPARISONS or node.op in _ARITHMETIC) else arg

    def _emit_const(self, node: Typed) -> str:
        return self._constant(node.value)

    def _emit_list(self, node: Typed) -> str:
        return self._constant(frozenset(arg.value for arg in node.args))

    def _emit_field(self, node: Typed) -> str:
        path = node.value
        value = self._assign(f"{self.record}[{path[0]!r}]")
        for name in path[1:]:
            self._line(f"if {value} is not None: {value} = {value}[{name!r}]")
        if node.type.kind == "record":
            return self._assign(f"ID({value})")
        return value

    def _emit_env(self, node: Typed) -> str:
        name, argument = node.value
        if name == "has_role":
            return self._assign(f"{self._constant(argument)} in e.roles")
        if name == "user":
            return self._assign(f"e.user[{argument!r}]")
        return self._assign(f"e.{name}")

    def _emit_is_null(self, node: Typed) -> str:
        return self._assign(f"{self.emit(node.args[0])} is None", solid=True)

    def _emit_and(self, node: Typed) -> str:
        return self._kleene(node, stop="False")

    def _emit_or(self, node: Typed) -> str:
        return self._kleene(node, stop="True")

    def _kleene(self, node: Typed, stop: str) -> str:
        """`and` stops at False, `or` at True; null stays null unless a later operand stops."""
        go_on = "True" if stop == "False" else "False"
        result = self._assign(self.emit(node.args[0]))
        for arg in node.args[1:]:
            self._line(f"if {result} is not {stop}:")
            self.depth += 1
            value = self.emit(arg)
            self._line(f"{result} = {value} if {result} is {go_on} or {value} is {stop} else None")
            self.depth -= 1
        return result

    def _emit_if(self, node: Typed) -> str:
        test, yes, no = node.args
        condition, result = self.emit(test), self._fresh()
        for head, branch in ((f"if {condition}:", yes), ("else:", no)):
            self._line(head)
            self.depth += 1
            self._line(f"{result} = {self.emit(branch)}")
            self.depth -= 1
        return result

    def _emit_coalesce(self, node: Typed) -> str:
        result = self._assign(self.emit(node.args[0]))
        for arg in node.args[1:]:
            self._line(f"if {result} is None:")
            self.depth += 1
            self._line(f"{result} = {self.emit(arg)}")
            self.depth -= 1
        return result

    def _emit_min(self, node: Typed) -> str:
        result = self._assign(self.emit(node.args[0]))
        for arg in node.args[1:]:
            self._keep_extreme(node.op, result, self.emit(arg))
        return result

    _emit_max = _emit_min

    def _keep_extreme(self, which: str, result: str, value: str) -> None:
        sign = "<" if which == "min" else ">"
        self._line(f"if {value} is not None and ({result} is None or {value} {sign} {result}): {result} = {value}")

    def _emit_round(self, node: Typed) -> str:
        return self._assign(self._strict(f"ROUND({{0}}, {int(node.value)})", [self.emit(node.args[0])]))

    def _emit_concat(self, node: Typed) -> str:
        args = [self.emit(arg) for arg in node.args]
        return self._assign(self._strict(" + ".join(f"{{{i}}}" for i in range(len(args))), args))

    def _emit_plugin(self, node: Typed) -> str:
        args = [self.emit(arg) for arg in node.args]
        call = self._constant(node.value.python) + "(" + ", ".join(f"{{{i}}}" for i in range(len(args))) + ")"
        return self._assign(self._strict(call, args))

    def _emit_total(self, node: Typed) -> str:
        name, path = node.value
        start = {"sum": "0", "count": "0", "any": "False", "all": "True"}.get(name, "None")
        result, rows = self._assign(start), self._rows(path)
        outer, row = self.record, self._fresh()
        self._line(f"for {row} in {rows} or ():")
        self.depth, self.record = self.depth + 1, row
        self._add_row(node, name, result)
        self.depth, self.record = self.depth - 1, outer
        if name == "sum" and node.type.kind == "decimal":
            self._line(f"{result} = Decimal({result})")
        return result

    def _rows(self, path: tuple[str, ...]) -> str:
        rows = self._assign(f"{self.record}[{path[0]!r}]")
        for name in path[1:]:
            self._line(f"if {rows} is not None: {rows} = {rows}[{name!r}]")
        return rows

    def _add_row(self, node: Typed, name: str, result: str) -> None:
        if not node.args:
            self._line(f"{result} += 1")
            return
        value = self.emit(node.args[0])
        if name == "sum":
            plus = f"ADD({result}, {value})" if node.type.kind == "decimal" else f"{result} + {value}"
            self._line(f"if {value} is not None: {result} = {plus}")
        elif name in ("min", "max"):
            self._keep_extreme(name, result, value)
        elif name == "all":
            self._line(f"if {value} is not True: {result} = False")
        else:
            self._line(f"if {value} is True: {result} = {result + ' + 1' if name == 'count' else 'True'}")


assert DECIMAL_DIGITS == 26, "exact.DECIMAL_LIMIT is ten to this power"
