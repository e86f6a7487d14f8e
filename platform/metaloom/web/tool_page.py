"""The page of a tool that a plugin brings: its form, its answer as figures and tables, the table as a file, and a print."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, g, render_template, request
from werkzeug.datastructures import MultiDict

from metaloom.base.errors import Invalid, NotFound
from metaloom.base.money import in_capitals
from metaloom.command.ask_tool import tool_for
from metaloom.plugin.asking import ask
from metaloom.plugin.tools import Tool
from metaloom.record.sheet import XLSX
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.download import sent_file
from metaloom.web.tool_form import (
    Asked,
    asked_of,
    choice,
    filled,
    form_of,
    request_of,
    resolved,
    rows_of,
    sent_of,
    tidied,
    words,
)
from metaloom.web.words import t as _t
from metaloom.web.words import whole

blueprint = Blueprint("tool", __name__)
FORMATS = {"xlsx": XLSX, "csv": "text/csv"}          # Flask adds the charset


@dataclass(frozen=True)
class Figure:
    """One value of the answer. ``numeric`` decides its side of a cell."""

    label: str
    text: str
    numeric: bool = False
    capitals: str = ""


@dataclass(frozen=True)
class Table:
    """A list of the answer. ``raw``: the cells as the answer holds them, for a file."""

    name: str
    label: str
    heads: tuple[Figure, ...]
    rows: tuple[tuple[Figure, ...], ...]
    raw: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Told:
    """A problem as the list above the form tells it. ``anchor``: the field to jump to, if there is one."""

    text: str
    anchor: str


@blueprint.get("/tool/<group>/<name>")
def show(group: str, name: str) -> Any:
    """The form; below it the answer when it was sent (``go``). The address holds the question, so it can be kept and passed on."""
    pinned, tool = _tool(group, name)
    if "go" not in request.args:
        preset = whole(request.args.get("preset", ""), 2)
        chosen = tool.presets[preset][1] if preset is not None and preset < len(tool.presets) else {}
        return _page(group, tool, tidied(tool, sent_of(tool, chosen, str(pinned.business_date or ""))), None, ())
    sent = tidied(tool, request.args)
    try:
        answer = ask(site().registry, group, name, request_of(tool, sent))
    except Invalid as refused:
        return _page(group, tool, sent, None, [(one.field, one.message.say(locale())) for one in refused.problems]), refused.status
    return _page(group, tool, sent, answer, ())


@blueprint.get("/tool/<group>/<name>/export")
def export(group: str, name: str) -> Any:
    """The answer as a file: a workbook with a sheet for each table, the figures and what was asked, or the first table alone as CSV."""
    _, tool = _tool(group, name)
    kind = request.args.get("format", "xlsx")
    if kind not in FORMATS:
        raise NotFound
    sent = tidied(tool, request.args)
    answer = ask(site().registry, group, name, request_of(tool, sent))
    tables = _tables(tool, answer)
    if not tables:
        raise NotFound
    body = _csv(tables[0]) if kind == "csv" else _xlsx([*tables, _figure_sheet(tool, answer), _question_sheet(tool, sent), *_asked_grids(tool, sent)])
    return sent_file(io.BytesIO(body), FORMATS[kind], f"{say(tool.label)}.{kind}", f"{group}.{name}")


def _tool(group: str, name: str) -> tuple[Current, Tool]:
    pinned = current()
    tool = tool_for(site().registry, pinned.plan, group, name)
    if not tool.page:
        raise NotFound
    return pinned, tool


def _page(group: str, tool: Tool, sent: MultiDict[str, str], answer: Mapping[str, Any] | None, refusals: Sequence[tuple[str, str]]) -> str:
    g.menu_here = f"page:tool/{group}/{tool.name}"
    at_fields: dict[str, list[str]] = {}
    for key, text in refusals:
        at_fields.setdefault(key, []).append(_in_words(tool, sent, key, text)[1])
    sections = form_of(tool, sent, at_fields)
    cells = [cell for section in sections for one in section.fields for row in one.rows for cell in row.fields if not cell.hidden]
    places = {one.html: one.id for one in (*cells, *(one for section in sections for one in section.fields if not one.hidden))}
    told = [Told(": ".join(part for part in _in_words(tool, sent, key, text) if part) if locale() == "en"
                 else "：".join(part for part in _in_words(tool, sent, key, text) if part), _place(key, places)) for key, text in refusals]
    return render_template("tool/page.html", tool=tool, place=url(f"/tool/{group}/{tool.name}"), sections=sections, problems=told, answer=answer,
                           figures=list(_figures(tool, answer or {})), tables=_tables(tool, answer or {}),
                           question=list(_question(tool, sent)) if answer else [], grids=_asked_grids(tool, sent) if answer else [],
                           query=request.query_string.decode("ascii", "ignore"),
                           counts={section.name: filled(tool, section.name, sent) for section in sections})


# -- what was refused


def _in_words(tool: Tool, sent: MultiDict[str, str], key: str, text: str) -> tuple[str, str]:
    """(row, sentence): a refusal names keys and choices as machines write them; people read the labels of the fields."""
    found = next((one for one in asked_of(tool) if one.key == re.split(r"\[", key, maxsplit=1)[0]), None)
    if found is None:
        return "", text
    numbered = re.fullmatch(r"[^\[]+\[(\d+)\](?:\.(.+))?", key)
    if numbered is None:
        return "", _labelled(text, key, found, [one for one in asked_of(tool) if _stem(one.key) == _stem(key)], tool)
    row = _t("tool.row", grid=found.label, n=int(numbered[1]) + 1)
    columns = [column for column, _ in rows_of(found, sent)[int(numbered[1])]] if found.columns and int(numbered[1]) < len(rows_of(found, sent)) else []
    beside = [*columns, *found.columns]
    return row, _labelled(text, key, next((one for one in beside if one.key == numbered[2]), found), beside, tool)


def _labelled(text: str, key: str, one: Asked, beside: Sequence[Asked], tool: Tool) -> str:
    text = text.replace(key, one.label, 1) if one.label else text
    known: dict[str, Asked] = {}
    for other in (*beside, *asked_of(tool)):
        known.setdefault(other.key.rpartition(".")[2], other)
    text = re.sub(r"([a-z_]+)=([\w/]+)", lambda m: f"{known[m[1]].label} {choice(known[m[1]].schema, m[2])}" if m[1] in known else m[0], text)
    bare = r"[a-z][a-z_]+" if locale() == "zh" else r"[a-z]+_[a-z_]+"    # an English sentence is made of such words itself
    return re.sub(rf"(?<![\w.]){bare}(?![\w.])", lambda m: known[m[0]].label if m[0] in known else m[0], text, flags=re.ASCII)


def _stem(key: str) -> str:
    return key.rpartition(".")[0]


def _place(key: str, places: Mapping[str, str]) -> str:
    """The id of the field at which a key is told: its cell, else the grid or list that it lies in."""
    return next((places[one] for one in (re.sub(r"\[(\d+)\]", r".\1", key), key.split("[", 1)[0]) if one in places), "")


# -- what was asked


def _question(tool: Tool, sent: MultiDict[str, str]) -> Iterator[Figure]:
    """The fields that were filled in."""
    for one in asked_of(tool):
        if not one.columns and one.key in sent:
            yield Figure(one.label, _said(one, sent[one.key]))


def _asked_grids(tool: Tool, sent: MultiDict[str, str]) -> list[Table]:
    """The rows that were filled in; where they differ in their fields, these stand together in one cell."""
    made = []
    for grid in asked_of(tool):
        rows = rows_of(grid, sent) if grid.columns else []
        if not rows:
            continue
        shared = [one for one in grid.columns if one.when is None]
        heads = [Figure(one.label, "", _is_number(one.schema)) for one in shared] + ([Figure(_t("tool.details"), "")] if grid.varied else [])
        shown = []
        for row in rows:
            values = {one.key: text for one, text in row if one.when is None}
            rest = _t("tool.and").join(f"{one.label} {_said(one, text)}" for one, text in row if one.when is not None)
            shown.append(tuple(Figure(one.label, _said(one, values[one.key]) if one.key in values else "-", _is_number(one.schema)) for one in shared)
                         + ((Figure("", rest or "-"),) if grid.varied else ()))
        made.append(Table(grid.key, grid.label, tuple(heads), tuple(shown), tuple(tuple(cell.text for cell in row) for row in shown)))
    return made


def _said(one: Asked, text: str) -> str:
    """What was filled in, as one reads it."""
    kind = one.schema.get("x-format")
    if kind == "rate":
        return text.removesuffix("%").strip() + "%"
    try:
        return f"{Decimal(text.replace(',', '')):,}" if kind == "money" else choice(one.schema, text)
    except InvalidOperation:
        return text


# -- the answer


def _figures(tool: Tool, answer: Mapping[str, Any]) -> Iterator[tuple[str, list[Figure]]]:
    """(title, figures) in the order of the schema: what each of its objects says, and together what it says in single values."""
    properties = {name: resolved(tool.output, raw) for name, raw in tool.output["properties"].items()}
    single = [_figure(one, answer[name]) for name, one in properties.items() if name in answer and _is_figure(one, answer[name])]
    for name, one in properties.items():
        if isinstance(answer.get(name), Mapping):
            inner = [(resolved(tool.output, kind), answer[name].get(key)) for key, kind in one["properties"].items()]
            shown = [_figure(kind, value) for kind, value in inner if _is_figure(kind, value)]
            if shown:
                yield words(one), shown
        elif single and name in answer and _is_figure(one, answer[name]):
            yield "", single
            single = []


def _is_figure(schema: Mapping[str, Any], value: Any) -> bool:
    return "x-label" in schema and not isinstance(value, (list, Mapping))


def _tables(tool: Tool, answer: Mapping[str, Any], properties: Mapping[str, Any] | None = None) -> list[Table]:
    """The lists of the answer, those of its objects too."""
    made = []
    for name, raw in (tool.output["properties"] if properties is None else properties).items():
        one, found = resolved(tool.output, raw), answer.get(name)
        if isinstance(found, Mapping):
            made += _tables(tool, found, one["properties"])
        if isinstance(found, list) and found and "x-label" in one:
            lines = [line for row in found for line in _lines(tool, resolved(tool.output, one["items"]), row)]
            kinds = {key: kind for key, kind in _kinds(tool, resolved(tool.output, one["items"])).items() if any(key in line for line in lines)}
            if kinds:
                heads = tuple(Figure(words(kind), "", _is_number(kind)) for kind in kinds.values())
                rows = tuple(tuple(_figure(kind, line[key]) if key in line else Figure("", "") for key, kind in kinds.items()) for line in lines)
                made.append(Table(name, words(one), heads, rows, tuple(tuple(_plain(kind, line.get(key)) for key, kind in kinds.items()) for line in lines)))
    return made


def _kinds(tool: Tool, items: Mapping[str, Any], before: str = "") -> dict[str, Mapping[str, Any]]:
    """The columns of a list: what has a label, and of a list inside it its columns."""
    found: dict[str, Mapping[str, Any]] = {}
    for key, raw in items["properties"].items():
        one = resolved(tool.output, raw)
        if one.get("type") == "array" and "x-label" in one:
            found |= _kinds(tool, resolved(tool.output, one["items"]), f"{key}.")
        elif "x-label" in one:
            found[before + key] = one
    return found


def _lines(tool: Tool, items: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row of the answer as lines of a table: the lines of a list inside it, the row's own values in the first."""
    lists = [key for key, raw in items["properties"].items() if "x-label" in raw and isinstance(row.get(key), list)]
    own = {key: value for key, value in row.items() if not isinstance(value, (list, Mapping))}
    inner = [{f"{key}.{name}": value for name, value in one.items()} for key in lists for one in row[key]]
    yield {**own, **(inner[0] if inner else {})}
    yield from inner[1:]


def _figure_sheet(tool: Tool, answer: Mapping[str, Any]) -> Table:
    figures = [(f"{title} {one.label}".strip(), one.text) for title, group in _figures(tool, answer) for one in group]
    return _pairs("figures", _t("tool.figures"), figures)


def _question_sheet(tool: Tool, sent: MultiDict[str, str]) -> Table:
    return _pairs("question", _t("tool.question"), [(one.label, one.text) for one in _question(tool, sent)])


def _pairs(name: str, label: str, pairs: Sequence[tuple[str, str]]) -> Table:
    return Table(name, label, (Figure(_t("tool.item"), ""), Figure(_t("tool.value"), "")), (), tuple(pairs))


def _is_number(schema: Mapping[str, Any]) -> bool:
    return schema.get("x-format") in ("money", "rate") or schema.get("type") == "integer"


def _figure(schema: Mapping[str, Any], value: Any) -> Figure:
    return Figure(words(schema), _shown(schema, value), _is_number(schema), _capitals(schema, value))


def _shown(schema: Mapping[str, Any], value: Any) -> str:
    if value is None:
        return "-"
    if schema.get("x-format") == "money":
        return f"{Decimal(value):,}"
    if schema.get("x-format") == "rate":
        return f"{Decimal(value).scaleb(2):.4f}%"
    return choice(schema, str(value).lower() if isinstance(value, bool) else str(value))


def _capitals(schema: Mapping[str, Any], value: Any) -> str:
    try:
        return in_capitals(Decimal(value)) if schema.get("x-capitals") and value is not None and locale() == "zh" else ""
    except (InvalidOperation, ValueError):
        return ""


def _plain(schema: Mapping[str, Any], value: Any) -> Any:
    if value is None or schema.get("x-format") == "money":
        return value and Decimal(value)
    return choice(schema, value) if isinstance(value, str) else value


def _csv(table: Table) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([head.label for head in table.heads])
    writer.writerows(table.raw)
    return out.getvalue().encode("utf-8-sig")


def _xlsx(tables: Sequence[Table]) -> bytes:
    out = io.BytesIO()
    import xlsxwriter  # with its images a start costs more

    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold, money = book.add_format({"bold": True, "bottom": 1}), book.add_format({"num_format": "#,##0.00"})
        for place, table in enumerate(tables):
            page = book.add_worksheet(_sheet_name(table.label, [one.label for one in tables[:place]]))
            _write(page, 0, [head.label for head in table.heads], bold)
            for at, row in enumerate(table.raw, start=1):
                _write(page, at, row, money)
            page.set_column(0, len(table.heads) - 1, 14 if len(table.heads) > 2 else 28)
            page.freeze_panes(1, 0)
    return out.getvalue()


def _sheet_name(label: str, taken: Sequence[str]) -> str:
    """A workbook allows 31 characters, not all of them, and no name twice whatever its case."""
    name = re.sub(r"[\[\]:*?/\\']", " ", label).strip()[:28] or "-"
    twins = sum(1 for one in taken if re.sub(r"[\[\]:*?/\\']", " ", one).strip()[:28].lower() == name.lower())
    return f"{name} {twins + 1}" if twins else name


def _write(page: Any, at: int, cells: Sequence[Any], style: Any) -> None:
    for column, value in enumerate(cells):
        if isinstance(value, Decimal) or at == 0:
            page.write(at, column, float(value) if isinstance(value, Decimal) else value, style)
        else:
            page.write(at, column, value)
