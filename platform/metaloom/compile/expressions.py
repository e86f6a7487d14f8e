"""Holds every expression of the metadata against its scope, when all entities are known."""

from __future__ import annotations

from collections.abc import Callable

from metaloom import expression as ex
from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import Position
from metaloom.compile.codes import finding, finding_said
from metaloom.compile.context import Context, expression
from metaloom.compile.node import Node
from metaloom.model import Catalog

SERVER = frozenset({ex.PYTHON})
FORM = frozenset({ex.PYTHON, ex.BROWSER})
QUERY = frozenset({ex.SQL})
EVERYWHERE = frozenset({ex.PYTHON, ex.SQL})

ScopeOf = Callable[[Catalog], ex.Scope]
TypeOf = Callable[[Catalog], ex.Type | None]


def want(context: Context, node: Node | None, address: str, scope: ScopeOf, *, type: TypeOf | ex.Type | None = ex.BOOL,
         targets: frozenset[str] = SERVER) -> str:
    """The text of the expression at ``node``, which will be checked against ``scope`` and ``type`` when the catalog stands."""
    text = expression(node)
    if node is not None:
        def check(catalog: Catalog) -> None:
            expected = type(catalog) if callable(type) else type
            hold(catalog, node, address, scope(catalog), expected, targets, context.report)
        context.later.append(check)
    return text


def hold(catalog: Catalog, node: Node, address: str, scope: ex.Scope, expected: ex.Type | None, targets: frozenset[str],
         report: Callable[[Diagnostic], None]) -> ex.Checked | None:
    """Check one expression now; reads through encrypted fields are refused where a database must answer."""
    try:
        checked = ex.compile(expression(node), scope, expected, targets)
    except ex.ExpressionError as error:
        code = code_of(error)
        report(finding_said(code, _inside(node, error), error.localized("zh"), address=address, detail=error.message, hint=error.hint or ""))
        return None
    if ex.SQL in targets and (path := _encrypted(catalog, checked, scope)):
        report(finding("ML-EXPR-004", node.position, address=address, path=".".join(path)))
    return checked


def code_of(error: ex.ExpressionError) -> str:
    """The diagnostic that an error of the expression language is told as."""
    return _CODES.get(error.code.removeprefix("expression."), "ML-EXPR-001")


_CODES = {"unknown_name": "ML-EXPR-002", "unknown_function": "ML-EXPR-002", "result": "ML-EXPR-003", "operands": "ML-EXPR-003",
          "operand": "ML-EXPR-003", "condition": "ML-EXPR-003", "unknown_choice": "ML-EXPR-005", "target": "ML-EXPR-006"}


def _inside(node: Node, error: ex.ExpressionError) -> Position:
    """Where in the file the fault stands: inside the text where it is one line, else where the text begins."""
    at = node.position
    if error.line != 1 or not isinstance(node.value, str) or "\n" in node.value:
        return at
    return Position(at.file, at.line, at.column + error.column - 1 + (1 if node.quoted else 0))


def _encrypted(catalog: Catalog, checked: ex.Checked, scope: ex.Scope) -> tuple[str, ...] | None:
    """A path of the expression that ends in an encrypted field: its column holds cipher text, no condition can read it."""
    for path in checked.paths:
        entity = _entity_at(catalog, scope, path[:-1])
        field = catalog.entities[entity].fields.get(path[-1]) if entity in catalog.entities else None
        if field is not None and field.encrypted:
            return path
    return None


def _entity_at(catalog: Catalog, scope: ex.Scope, path: tuple[str, ...]) -> str:
    for name in path:
        make = scope.links.get(name) or scope.children.get(name)
        if make is None:
            return ""
        scope = make()
    own = scope.fields.get("id")
    return own.target or "" if own is not None else ""
