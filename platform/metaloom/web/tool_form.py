"""The form of a tool's page, made of its JSON Schema: which fields it asks for, and the request that was filled in.

A list of objects is a grid. Which fields a row has may depend on a choice in it: the schema says so with ``if`` … ``then`` in the ``allOf`` of
its items, as JSON Schema does, or at a property with ``x-when``; such a grid is shown as one card for each row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.datastructures import MultiDict

from metaloom.base.text import Text
from metaloom.plugin.tools import Tool
from metaloom.web.current import locale, say
from metaloom.web.form_model import FormField, FormRow, FormSection
from metaloom.web.words import whole

ROWS_MAX = 50
Schema = Mapping[str, Any]
Sent = MultiDict[str, str]


@dataclass(frozen=True)
class Asked:
    """One thing that the page asks for. ``key``: as a refusal names it, ``outer.inner``; of a column within its row. ``when``: the key beside it
    and the choices there under which it is asked for. ``columns``: of a grid. ``mark`` tells apart columns of one key."""

    key: str
    schema: Schema
    required: bool = False
    when: tuple[str, tuple[str, ...]] | None = None
    columns: tuple[Asked, ...] = ()
    mark: str = ""

    @property
    def label(self) -> str:
        return words(self.schema)

    @property
    def varied(self) -> bool:
        """Whether the rows of this grid differ in their fields."""
        return any(one.when for one in self.columns)


def asked_of(tool: Tool) -> tuple[Asked, ...]:
    """All that the page asks for, in the order of the schema."""
    return tuple(_asked(tool.input, tool.input, ""))


def tidied(tool: Tool, sent: Sent) -> Sent:
    """What was sent and is asked for: without what is empty or not asked for under the choices made, rows numbered from 0 as in the request."""
    made: Sent = MultiDict()
    for one in asked_of(tool):
        if not is_asked(one, made, _outer(one.key)):
            continue
        if one.columns:
            found = (_row(one, number, sent) for number in _row_numbers(one.key, sent))
            for at, row in enumerate([row for row in found if row][:ROWS_MAX]):
                made.update({f"{one.key}.{at}.{name}": text for name, text in row.items()})
        elif text := _text(sent, one.key):
            made[one.key] = text
    return made


def form_of(tool: Tool, sent: Sent, problems: Mapping[str, list[str]]) -> list[FormSection]:
    """The sections of the page, with what was sent and what is wrong with it. ``problems``: by key of the request. Grids stand after the fields."""
    made: dict[str, list[FormField]] = {name: [] for name, _ in tool.sections}
    for one in asked_of(tool):
        made[one.schema["x-form"]].append(_grid(tool, one, sent, problems) if one.columns else _field(one, sent, problems))
    return [FormSection(name, say(label), "", 3, tuple(sorted(made[name], key=lambda field: field.full))) for name, label in tool.sections if made[name]]


def filled(tool: Tool, section: str, sent: Sent) -> int:
    """How many fields and rows of a section say something that would not hold without them."""
    count = 0
    for one in asked_of(tool):
        if one.schema["x-form"] == section:
            count += len(rows_of(one, sent)) if one.columns else one.key in sent and sent[one.key] != _written(one.schema, one.schema.get("default"))
    return count


def request_of(tool: Tool, sent: Sent) -> dict[str, Any]:
    """The request of what was :func:`tidied`, as the tool wants it. What is no number stays as it is, the tool refuses it."""
    request: dict[str, Any] = {}
    for one in asked_of(tool):
        if one.columns:
            rows = [{column.key: _value(column.schema, text) for column, text in row} for row in rows_of(one, sent)]
            if rows:
                _put(request, one.key, rows)
        elif one.key in sent:
            _put(request, one.key, _value(one.schema, sent[one.key]))
    return request


def rows_of(grid: Asked, sent: Sent) -> list[list[tuple[Asked, str]]]:
    """(column, text) of each row of a grid, of what was :func:`tidied`."""
    return [[(column, sent[name]) for column in grid.columns if (name := f"{grid.key}.{at}.{column.key}") in sent
             and is_asked(column, sent, f"{grid.key}.{at}.")] for at in _row_numbers(grid.key, sent)]


def is_asked(one: Asked, sent: Sent, before: str) -> bool:
    """Whether the choices made ask for it. ``before``: what stands before the key of the choice in ``sent``."""
    return one.when is None or sent.get(before + one.when[0], "") in one.when[1]


def sent_of(tool: Tool, request: Mapping[str, Any], today: str) -> Sent:
    """A ready request (a preset) as the form sends it, defaults of its own keys filled in; inner ones would call an object into being."""
    sent: Sent = MultiDict()
    for one in asked_of(tool):
        found: Any = request
        for step in one.key.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        if one.columns:
            sent.update({f"{one.key}.{at}.{name}": _written(_column(one, name).schema, value)
                         for at, row in enumerate(found or ()) for name, value in row.items()})
            continue
        found = one.schema.get("default") if found is None and "." not in one.key else found
        if found is None and one.schema.get("x-today"):
            found = today
        if found is not None:
            sent[one.key] = _written(one.schema, found)
    return sent


def resolved(root: Schema, schema: Schema) -> Schema:
    """The schema with its reference looked up; what stands beside the reference wins. Of several shapes the plain choice."""
    reference = schema.get("$ref", "")
    if reference.startswith("#/"):
        found: Any = root
        for step in reference[2:].split("/"):
            found = found[step]
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    plain = next((one for one in schema.get("oneOf", ()) if "enum" in one), None)
    return schema if plain is None else {**plain, **{key: value for key, value in schema.items() if key != "oneOf"}}


def words(schema: Schema) -> str:
    """A property's label in the reader's language."""
    label = schema.get("x-label", {})
    return say(Text(label.get("zh", ""), label.get("en", "")))


def choice(schema: Schema, value: str) -> str:
    """A choice in the reader's language, as it is where it has no words."""
    if schema.get("type") == "boolean":
        return {"true": say(Text("是", "yes")), "false": say(Text("否", "no"))}.get(value, value)
    named = schema.get("x-words", {}).get(value)
    return say(Text(named["zh"], named["en"])) if named else value


# -- the schema


def _asked(root: Schema, outer: Schema, before: str) -> Iterator[Asked]:
    for name, raw in outer.get("properties", {}).items():
        schema = resolved(root, raw)
        if "x-form" not in schema:
            continue
        if schema.get("type") == "object":
            yield from _asked(root, schema, f"{before}{name}.")
        else:
            items = resolved(root, schema["items"]) if schema.get("type") == "array" else {}
            columns = tuple(_columns(root, items)) if items.get("type") == "object" else ()
            yield Asked(before + name, schema, not before and name in outer.get("required", ()), _when(schema), columns)


def _columns(root: Schema, items: Schema) -> Iterator[Asked]:
    """What all rows have, then what some have; alike for several choices is one column."""
    common = items.get("properties", {})
    for name, raw in common.items():
        schema = resolved(root, raw)
        yield Asked(name, schema, name in items.get("required", ()), _when(schema))
    varied: dict[tuple[str, str, bool], tuple[Schema, str, list[str]]] = {}
    for by, value, branch in _branches(root, items):
        for name, raw in branch.get("properties", {}).items():
            if name not in common:
                schema, required = resolved(root, raw), name in branch.get("required", ())
                varied.setdefault((name, repr(schema), required), (schema, by, []))[2].append(value)
    for mark, ((name, _, required), (schema, by, values)) in enumerate(varied.items()):
        always = set(values) >= set(common.get(by, {}).get("enum", ()))
        yield Asked(name, schema, required, None if always else (by, tuple(values)), mark="" if always else f"-{mark}")


def _branches(root: Schema, items: Schema) -> Iterator[tuple[str, str, Schema]]:
    """(key, choice, schema) of every ``if key is choice then schema``."""
    for one in items.get("allOf", ()):
        for by, tested in one.get("if", {}).get("properties", {}).items():
            if "const" in tested and "then" in one:
                yield by, tested["const"], resolved(root, one["then"])


def _when(schema: Schema) -> tuple[str, tuple[str, ...]] | None:
    return next(((by, tuple(values)) for by, values in schema.get("x-when", {}).items()), None)


def _column(grid: Asked, name: str) -> Asked:
    return next(one for one in grid.columns if one.key == name)


def _outer(key: str) -> str:
    return key.rpartition(".")[0] + "." if "." in key else ""


# -- what was sent


def _text(sent: Sent, name: str) -> str:
    """A browser without scripts sends a name that stands twice twice; the one that was filled in counts."""
    return next((text.strip() for text in sent.getlist(name) if text.strip()), "")


def _row(grid: Asked, number: int, sent: Sent) -> dict[str, str]:
    row: Sent = MultiDict({one.key: text for one in grid.columns if (text := _text(sent, f"{grid.key}.{number}.{one.key}"))})
    return {one.key: row[one.key] for one in grid.columns if one.key in row and is_asked(one, row, "")}


def _row_numbers(key: str, sent: Sent) -> list[int]:
    found = {name[len(key) + 1:].split(".", 1)[0] for name in sent if name.startswith(f"{key}.")}
    return sorted(number for one in found if (number := whole(one, 6)) is not None)


def _value(schema: Schema, text: str) -> Any:
    """The text of a field as the schema wants it."""
    if schema.get("type") == "array":
        return [_value(schema["items"], one) for one in re.split(r"[\s,;，、；]+", text) if one]
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema.get("type") == "integer":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    if schema.get("x-format") == "rate":
        return _fraction(text.removesuffix("%").strip())
    return text.replace(",", "") if schema.get("x-format") in ("money", "number") else text


def _written(schema: Schema, value: Any) -> str:
    """A value of a request as it stands in the form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value)
    return _percent(str(value)) if schema.get("x-format") == "rate" and value is not None else str(value)


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


# -- the fields


def _field(one: Asked, sent: Sent, problems: Mapping[str, list[str]]) -> FormField:
    said = tuple(text for wrong, texts in problems.items() for text in texts if wrong == one.key or wrong.startswith(f"{one.key}["))
    made = FormField(one.key, one.key, one.label, "text", value=sent.get(one.key, ""), required=one.required, starred=one.required, problems=said)
    return _styled(_conditional(made, one, sent, _outer(one.key)), one.schema)


def _grid(tool: Tool, one: Asked, sent: Sent, problems: Mapping[str, list[str]]) -> FormField:
    """A problem of a cell stands at the cell, one of the whole at the grid."""
    rows = tuple(FormRow(str(at), None, None, tuple(_cell(one, column, str(at), sent, problems) for column in one.columns))
                 for at in _row_numbers(one.key, sent))
    at_cells = {f"{one.key}[{row.index}].{cell.name}" for row in rows for cell in row.fields if not cell.hidden}
    said = tuple(text for wrong, texts in problems.items() for text in texts
                 if wrong not in at_cells and (wrong == one.key or wrong.startswith(f"{one.key}[")))
    blank = FormRow("__i__", None, None, tuple(_cell(one, column, "__i__", MultiDict(), {}) for column in one.columns))
    made = FormField(one.key, one.key, one.label, "cards" if one.varied else "child", problems=said, blank=blank, rows=rows)
    return _conditional(made, one, sent, _outer(one.key))


def _cell(grid: Asked, one: Asked, index: str, sent: Sent, problems: Mapping[str, list[str]]) -> FormField:
    html = f"{grid.key}.{index}.{one.key}"
    made = _conditional(FormField(one.key, html, one.label, "text", starred=one.required, mark=one.mark), one, sent, f"{grid.key}.{index}.")
    if not made.hidden:
        made = replace(made, value=sent.get(html, ""), problems=tuple(problems.get(f"{grid.key}[{index}].{one.key}", ())))
    return _styled(made, one.schema)


def _conditional(made: FormField, one: Asked, sent: Sent, before: str) -> FormField:
    return made if one.when is None else replace(made, when=(before + one.when[0], one.when[1]), hidden=not is_asked(one, sent, before))


def _styled(made: FormField, schema: Schema) -> FormField:
    kind = schema.get("x-format", "")
    usual = schema.get("default")
    if usual is not None:
        made = replace(made, usual=choice(schema, _written(schema, usual)))
    if "enum" in schema or schema.get("type") == "boolean":
        return replace(made, widget="choice", options=tuple((one, choice(schema, one)) for one in (schema.get("enum") or ("true", "false"))))
    if schema.get("type") == "array":
        return replace(made, widget="date", multiple=True)
    if schema.get("format") == "date":
        return replace(made, widget="date")
    if kind == "money":
        return replace(made, widget="money", capitals=bool(schema.get("x-capitals")) and locale() == "zh")
    if kind == "rate":
        return replace(made, widget="rate", unit="%")
    return replace(made, widget="number") if schema.get("type") == "integer" or kind == "number" else made
