"""The form of a tool's page, made of its JSON Schema: which fields it asks for, and the request that was filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.datastructures import MultiDict

from metaloom.base.text import Text
from metaloom.plugin.tools import SECTIONS, Tool
from metaloom.web.current import say
from metaloom.web.form_model import FormField, FormRow, FormSection

ROWS_MAX = 50
Schema = Mapping[str, Any]


def form_of(tool: Tool, sent: MultiDict[str, str], problems: Mapping[str, list[str]], titles: Mapping[str, str]) -> list[FormSection]:
    """The sections of the page, with what was sent and what is wrong with it. ``problems``: by key of the request."""
    made: dict[str, list[FormField]] = {name: [] for name in SECTIONS}
    for key, schema in _asked(tool.input, tool.input.get("properties", {}), ""):
        made[schema["x-form"]].append(_field(tool, key, schema, sent, problems))
    return [FormSection(name, titles[name], "", 3, tuple(fields)) for name, fields in made.items() if fields]


def request_of(tool: Tool, sent: MultiDict[str, str]) -> dict[str, Any]:
    """What was filled in, as the tool wants it; empty fields are left out. What is no number stays as it is, the tool refuses it."""
    request: dict[str, Any] = {}
    for key, schema in _asked(tool.input, tool.input.get("properties", {}), ""):
        value = _grid_rows(tool, key, schema, sent) if _is_grid(schema) else _value(schema, sent.get(key, ""))
        if value not in (None, []):
            _put(request, key, value)
    return request


def sent_of(tool: Tool, request: Mapping[str, Any], today: str) -> MultiDict[str, str]:
    """A ready request (a preset) as the form sends it, defaults filled in."""
    sent: MultiDict[str, str] = MultiDict()
    for key, schema in _asked(tool.input, tool.input.get("properties", {}), ""):
        found: Any = request
        for step in key.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        found = schema.get("default") if found is None else found
        if found is None and schema.get("x-today"):
            found = today
        if found is not None and not _is_grid(schema):
            sent[key] = _percent(str(found)) if schema.get("x-format") == "rate" else str(found).lower() if isinstance(found, bool) else str(found)
    return sent


def resolved(root: Schema, schema: Schema) -> Schema:
    """The schema with its reference looked up; what stands beside the reference wins."""
    reference = schema.get("$ref", "")
    if not reference.startswith("#/"):
        return schema
    found: Any = root
    for step in reference[2:].split("/"):
        found = found[step]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}


def words(schema: Schema) -> str:
    """A property's label in the reader's language."""
    label = schema.get("x-label", {})
    return say(Text(label.get("zh", ""), label.get("en", "")))


def choice(schema: Schema, value: str) -> str:
    """A choice in the reader's language, as it is where it has no words."""
    named = schema.get("x-words", {}).get(value)
    return say(Text(named["zh"], named["en"])) if named else value


def _asked(root: Schema, properties: Mapping[str, Schema], before: str) -> Iterator[tuple[str, Schema]]:
    """(key, schema) of everything the page asks for; of an object its own properties, as ``outer.inner``."""
    for name, raw in properties.items():
        schema = resolved(root, raw)
        if "x-form" not in schema:
            continue
        if schema.get("type") == "object":
            yield from _asked(root, schema["properties"], f"{before}{name}.")
        else:
            yield f"{before}{name}", schema


def _is_grid(schema: Schema) -> bool:
    return bool(schema.get("type") == "array")


def _field(tool: Tool, key: str, schema: Schema, sent: MultiDict[str, str], problems: Mapping[str, list[str]]) -> FormField:
    required = key in tool.input.get("required", ())
    said = tuple(text for wrong, texts in problems.items() for text in texts if wrong == key or (_is_grid(schema) and wrong.startswith(f"{key}[")))
    made = FormField(key, key, words(schema), "text", value=sent.get(key, ""), required=required, starred=required, problems=said)
    if _is_grid(schema):
        columns = resolved(tool.input, schema["items"])["properties"]
        blank = FormRow("__i__", None, None, tuple(_cell(tool, f"{key}.__i__.{name}", one, "") for name, one in columns.items()))
        rows = tuple(FormRow(str(at), None, None, tuple(_cell(tool, f"{key}.{at}.{name}", one, sent.get(f"{key}.{at}.{name}", ""))
                                                        for name, one in columns.items())) for at in _row_numbers(key, sent))
        return replace(made, widget="child", blank=blank, rows=rows)
    return _styled(made, schema)


def _cell(tool: Tool, html: str, raw: Schema, value: str) -> FormField:
    schema = resolved(tool.input, raw)
    return _styled(FormField(html.rsplit(".", 1)[-1], html, words(schema), "text", value=value), schema)


def _styled(made: FormField, schema: Schema) -> FormField:
    kind = schema.get("x-format", "")
    if "enum" in schema:
        return replace(made, widget="choice", options=tuple((str(one), choice(schema, str(one))) for one in schema["enum"]))
    if schema.get("type") == "boolean":
        return replace(made, widget="choice", options=(("true", say(Text("是", "yes"))), ("false", say(Text("否", "no")))))
    if schema.get("format") == "date":
        return replace(made, widget="date")
    if kind == "money":
        return replace(made, widget="money", capitals=bool(schema.get("x-capitals")))
    if kind == "rate":
        return replace(made, widget="rate", unit="%")
    return replace(made, widget="number") if schema.get("type") == "integer" or kind == "number" else made


def _row_numbers(key: str, sent: MultiDict[str, str]) -> list[int]:
    found = {name[len(key) + 1:].split(".", 1)[0] for name in sent if name.startswith(f"{key}.")}
    return sorted(int(one) for one in found if one.isascii() and one.isdigit() and len(one) < 4)[:ROWS_MAX]


def _grid_rows(tool: Tool, key: str, schema: Schema, sent: MultiDict[str, str]) -> list[dict[str, Any]]:
    """The rows of a grid; a row in which nothing was entered does not count."""
    columns = {name: resolved(tool.input, one) for name, one in resolved(tool.input, schema["items"])["properties"].items()}
    rows = []
    for at in _row_numbers(key, sent):
        values = {name: _value(one, sent.get(f"{key}.{at}.{name}", "")) for name, one in columns.items()}
        row = {name: value for name, value in values.items() if value is not None}
        if row:
            rows.append(row)
    return rows


def _value(schema: Schema, text: str) -> Any:
    """The text of a field as the schema wants it; None for nothing."""
    text = text.strip()
    if not text:
        return None
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema.get("type") == "integer":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    if schema.get("x-format") == "rate":
        return _fraction(text)
    return text.replace(",", "") if schema.get("x-format") in ("money", "number") else text


def _fraction(text: str) -> str:
    """12 per cent is 0.12."""
    try:
        return format(Decimal(text).scaleb(-2), "f") if len(text) < 30 else text
    except (InvalidOperation, ValueError):
        return text


def _percent(text: str) -> str:
    return format(Decimal(text).scaleb(2).normalize(), "f")


def _put(request: dict[str, Any], key: str, value: Any) -> None:
    *outer, name = key.split(".")
    for step in outer:
        request = request.setdefault(step, {})
    request[name] = value
