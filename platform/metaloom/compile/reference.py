"""The tables of docs/metadata.md, made from the schemas and the codes, so that they cannot say anything else.

    python -m metaloom.compile.reference docs/metadata.md      # rewrites the blocks between <!-- table: … --> and <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaloom.compile.codes import CODES
from metaloom.compile.layout import where_kind_belongs
from metaloom.compile.merge import EXTENSIBLE, PRESENTATION
from metaloom.compile.schema import documents, kinds
from metaloom.compile.scope import IMPLICIT, IMPLICIT_LINKS, OWNER_LINKS, USER_NAMES

BLOCK = re.compile(r"<!-- table: ([^>]+?) -->\n.*?<!-- end -->", re.DOTALL)
SHARED = ("field", "step", "chain_step", "chain_branch", "process_step", "process_value", "who",
          "grant", "list_view", "rule", "unique_rule", "state", "overlay_op")


def rewritten(text: str) -> str:
    """``text`` with every marked block made anew."""
    return BLOCK.sub(lambda found: f"<!-- table: {found[1]} -->\n{table(found[1])}<!-- end -->", text)


def table(name: str) -> str:
    """The block called ``name``: ``kinds``, ``codes``, ``names``, ``locked``, ``kind <kind>`` or ``part <part>``."""
    if name in _TABLES:
        return _TABLES[name]()
    what, _, which = name.partition(" ")
    schema = documents()[f"{which}.json"] if what == "kind" else documents()["common.json"]["$defs"][which]
    return f"{schema['description']}\n\n" + _keys(schema)


def wanted() -> tuple[str, ...]:
    """Every block that the documentation must have."""
    return (*_TABLES, *(f"kind {k}" for k in kinds() if k not in ("list", "overlay")), *(f"part {p}" for p in SHARED))


def _keys(schema: Mapping[str, Any]) -> str:
    lines = ["| key | value | meaning |", "|---|---|---|"]
    for path, inner in _paths(schema, ""):
        lines.append(f"| {path} | {_value(inner)} | {_cell(inner.get('description') or _target(inner).get('description', ''))} |")
    return "\n".join(lines) + "\n"


def _paths(schema: Mapping[str, Any], prefix: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Every key below ``schema`` with its path; shared parts have a table of their own."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        path = f"{prefix}`{name}`{' *' if name in required else ''}"
        found.append((path, inner))
        found += _paths(_open(inner), f"{path} → ")
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        path = f"{prefix}*name*"
        found.append((path, others))
        found += _paths(_open(others), f"{path} → ")
    for branch in schema.get("oneOf", ()):
        found += _paths(branch, prefix)
    if isinstance(schema.get("items"), dict):
        found += _paths(_open(schema["items"]), f"{prefix}item → ")
    return list(dict(found).items())


def _open(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands directly below a key: nothing where it refers to a shared part."""
    return {} if "$ref" in schema else schema


def _target(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    return documents()["common.json"]["$defs"].get(reference.rpartition("/")[2], {}) if reference else schema


def _value(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].replace("_", " ")
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(_value(branch) for branch in schema["oneOf"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_value(schema.get('items', {}))}"
    if kind == "object":
        return "map"
    limits = [f"{schema[k]}" for k in ("minimum", "maximum") if k in schema]
    return f"{kind} {'–'.join(limits)}".strip() if isinstance(kind, str) else " or ".join(kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kinds() -> str:
    lines = ["| kind | where | what |", "|---|---|---|"]
    for kind in kinds():
        lines.append(f"| `{kind}` | `{where_kind_belongs(kind)}` | {_cell(_target(documents()[f'{kind}.json']).get('description', ''))} |")
    return "\n".join(lines) + "\n"


def _codes() -> str:
    lines = ["| code | says | cure |", "|---|---|---|"]
    for code, entry in sorted(CODES.items()):
        lines.append(f"| `{code}`{' (warning)' if entry.severity == 'warning' else ''} | {_cell(entry.message)} | {_cell(entry.hint)} |")
    return "\n".join(lines) + "\n"


def _names() -> str:
    rows = [(f"`{n}`", str(t), "every record") for n, t in (("id", "record"), *IMPLICIT.items())]
    rows += [(f"`{n}`", f"link to {t}", "every record") for n, t in IMPLICIT_LINKS.items()]
    rows += [(f"`{n}`", f"link to {t}", f"`owned_by` names {part}") for n, (part, t) in OWNER_LINKS.items()]
    rows += [(f"`user.{n}`", str(t), "everywhere") for n, t in USER_NAMES.items()]
    return "\n".join(["| name | type | where |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]) + "\n"


def _locked() -> str:
    maps = ", ".join(f"`{'/'.join(path)}`" for path in EXTENSIBLE)
    words = ", ".join(f"`{word}`" for word in sorted(PRESENTATION))
    items = "`menu/<name>/items`, `choices/<name>/items` and `dashboards/<name>/widgets`"
    return (f"* names may be added to {maps} and to {items};\n* words and looks may be changed: {words};\n"
            "* `list`, `lists` and `form` may be changed freely;\n* every other operation is refused (`ML-OVERLAY-005`).\n")


_TABLES = {"kinds": _kinds, "names": _names, "locked": _locked, "codes": _codes}


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(rewritten(file.read_text("utf-8")), encoding="utf-8")
