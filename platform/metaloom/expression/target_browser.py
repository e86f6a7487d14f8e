"""Typed tree to JSON, which `templates/static/js/expression.js` evaluates in the browser."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from .check import Checked, Typed

VERSION = 1


def to_browser(checked: Checked) -> dict[str, Any]:
    """A JSON value: `{"v": 1, "paths": […], "node": …}`. Numbers are decimal text, dates ISO text."""
    made: dict[str, Any] | None = checked.made.get("browser")
    if made is None:
        made = checked.made["browser"] = {
            "v": VERSION, "paths": sorted(list(path) for path in checked.paths), "node": _node(checked.node)}
    return made


def _node(node: Typed) -> dict[str, Any]:
    out: dict[str, Any] = {"op": node.op, "type": node.type.kind}
    if node.op == "const":
        return out | {"value": browser_value(node.value)}
    if node.type.kind == "multi" and node.type.of is not None:
        out["of"] = node.type.of.kind
    if node.value is not None:
        out["value"] = _plain(node.value)
    if node.args:
        out["args"] = [_node(arg) for arg in node.args]
    return out


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def browser_value(value: Any) -> Any:
    """A value of a record or an environment as the browser takes it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, Decimal)):
        return format(Decimal(value), "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (set, frozenset, list, tuple)):
        return [browser_value(item) for item in value]
    return {key: browser_value(item) for key, item in value.items()}
