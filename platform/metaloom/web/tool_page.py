"""The page of a tool that a plugin brings: its form, its answer as figures and tables, the table as a file, and a print."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import xlsxwriter
from flask import Blueprint, g, render_template, request, send_file
from werkzeug.datastructures import MultiDict

from metaloom.base.errors import Invalid, NotFound
from metaloom.base.money import in_capitals
from metaloom.command.ask_tool import tool_for
from metaloom.plugin.asking import ask
from metaloom.plugin.tools import Tool
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.i18n import translate
from metaloom.web.tool_form import form_of, request_of, resolved, sent_of, words

blueprint = Blueprint("tool", __name__)
FORMATS = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "csv": "text/csv; charset=utf-8"}


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


@blueprint.get("/tool/<group>/<name>")
def show(group: str, name: str) -> Any:
    """The form; below it the answer when it was sent (``go``). The address holds the question, so it can be kept and passed on."""
    pinned, tool = _tool(group, name)
    today = str(pinned.business_date or "")
    if "go" not in request.args:
        preset = request.args.get("preset", "")
        chosen = tool.presets[int(preset)][1] if preset.isdigit() and len(preset) < 3 and int(preset) < len(tool.presets) else {}
        return _page(group, tool, sent_of(tool, chosen, today), None, {})
    sent = request.args
    try:
        answer = ask(site().registry, group, name, request_of(tool, sent))
    except Invalid as refused:
        problems: dict[str, list[str]] = {}
        for one in refused.problems:
            problems.setdefault(one.field, []).append(_in_words(tool, one.field, one.message.say(locale())))
        return _page(group, tool, sent, None, problems), refused.status
    return _page(group, tool, sent, answer, {})


@blueprint.get("/tool/<group>/<name>/export")
def export(group: str, name: str) -> Any:
    """The first table of the answer as a file."""
    _, tool = _tool(group, name)
    kind = request.args.get("format", "xlsx")
    if kind not in FORMATS:
        raise NotFound
    table = next(iter(_tables(tool, ask(site().registry, group, name, request_of(tool, request.args)))), None)
    if table is None:
        raise NotFound
    body = (_csv if kind == "csv" else _xlsx)(table)
    return send_file(io.BytesIO(body), FORMATS[kind], as_attachment=True, download_name=f"{say(tool.label)}.{kind}")


def _tool(group: str, name: str) -> tuple[Current, Tool]:
    pinned = current()
    tool = tool_for(site().registry, pinned.plan, group, name)
    if not tool.page:
        raise NotFound
    return pinned, tool


def _page(group: str, tool: Tool, sent: MultiDict[str, str], answer: Mapping[str, Any] | None, problems: Mapping[str, list[str]]) -> str:
    g.menu_here = f"page:tool/{group}/{tool.name}"
    place = url(f"/tool/{group}/{tool.name}")
    titles = {"main": _t("tool.main"), "terms": _t("tool.terms"), "more": _t("tool.more")}
    sections = form_of(tool, sent, problems, titles)
    labels = {one.html: one.label for section in sections for one in section.fields}
    told = [(text, "f-" + _shown_key(key, labels).replace(".", "-") if _shown_key(key, labels) in labels else "", labels.get(_shown_key(key, labels), ""))
            for key, texts in problems.items() for text in texts]
    query = request.query_string.decode("ascii", "ignore")
    return render_template("tool/page.html", tool=tool, place=place, sections=sections, problems=told, answer=answer,
                           figures=list(_figures(tool, answer or {})), tables=_tables(tool, answer or {}), query=query,
                           open_more=any(one.value or one.rows or one.problems for section in sections[1:] for one in section.fields if sent.get("go")))


def _in_words(tool: Tool, key: str, text: str) -> str:
    """A refusal names the key as machines write it; people read the label of the field."""
    schema: Mapping[str, Any] = tool.input
    for step in key.split("."):
        schema = resolved(tool.input, schema.get("properties", {}).get(step, {}))
    label = words(schema)
    return text.replace(key, label, 1) if label and key else text


def _shown_key(key: str, labels: Mapping[str, str]) -> str:
    """The field of the page at which a key is told: itself, or the grid that it lies in."""
    return key if key in labels else key.split("[", 1)[0]


def _figures(tool: Tool, answer: Mapping[str, Any]) -> Iterator[tuple[str, list[Figure]]]:
    """(title, figures): what the answer says in single values, then each of its objects."""
    properties = tool.output["properties"]
    single = [_figure(one, answer[name]) for name, raw in properties.items()
              if "x-label" in (one := resolved(tool.output, raw)) and name in answer and not isinstance(answer[name], (list, Mapping))]
    if single:
        yield "", single
    for name, raw in properties.items():
        one = resolved(tool.output, raw)
        if isinstance(answer.get(name), Mapping):
            inner = [(resolved(tool.output, kind), answer[name].get(key)) for key, kind in one["properties"].items()]
            shown = [_figure(kind, value) for kind, value in inner if "x-label" in kind and not isinstance(value, (list, Mapping))]
            if shown:
                yield words(one), shown


def _tables(tool: Tool, answer: Mapping[str, Any]) -> list[Table]:
    made = []
    for name, raw in tool.output["properties"].items():
        one, found = resolved(tool.output, raw), answer.get(name)
        if not isinstance(found, list) or not found:
            continue
        columns = {key: kind for key, raw_kind in resolved(tool.output, one["items"])["properties"].items()
                   if "x-label" in (kind := resolved(tool.output, raw_kind)) and any(key in row for row in found)}
        if columns:
            heads = tuple(Figure(words(kind), "", _is_number(kind)) for kind in columns.values())
            rows = tuple(tuple(_figure(kind, row.get(key)) for key, kind in columns.items()) for row in found)
            raw_rows = tuple(tuple(_plain(kind, row.get(key)) for key, kind in columns.items()) for row in found)
            made.append(Table(name, words(one), heads, rows, raw_rows))
    return made


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
    return str(value)


def _capitals(schema: Mapping[str, Any], value: Any) -> str:
    try:
        return in_capitals(Decimal(value)) if schema.get("x-capitals") and value is not None else ""
    except (InvalidOperation, ValueError):
        return ""


def _plain(schema: Mapping[str, Any], value: Any) -> Any:
    return Decimal(value) if value is not None and schema.get("x-format") == "money" else value


def _csv(table: Table) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([head.label for head in table.heads])
    writer.writerows(table.raw)
    return out.getvalue().encode("utf-8-sig")


def _xlsx(table: Table) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        page = book.add_worksheet()
        bold, money = book.add_format({"bold": True, "bottom": 1}), book.add_format({"num_format": "#,##0.00"})
        _write(page, 0, [head.label for head in table.heads], bold)
        for at, row in enumerate(table.raw, start=1):
            _write(page, at, row, money)
        page.set_column(0, len(table.heads) - 1, 14)
        page.freeze_panes(1, 0)
    return out.getvalue()


def _write(page: Any, at: int, cells: Sequence[Any], style: Any) -> None:
    for column, value in enumerate(cells):
        if isinstance(value, Decimal) or at == 0:
            page.write(at, column, float(value) if isinstance(value, Decimal) else value, style)
        else:
            page.write(at, column, value)


def _t(key: str) -> str:
    return translate(site().templates, locale(), key)
