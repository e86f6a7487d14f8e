"""Spreadsheets from people: a header row of labels or names, then one record per row."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from metaloom.base.errors import Invalid, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.model import Entity, Field, FieldType
from metaloom.model.entity import FILE_TYPES
from metaloom.record.schema import accepts

register(
    {
        "sheet.kind": ("请上传 .xlsx 或 .csv 文件。", "Please upload an .xlsx or .csv file."),
        "sheet.broken": ("文件无法读取，请用模板重新填写。", "The file cannot be read; please fill in the template again."),
        "sheet.too_large": ("文件解压后过大，请分批导入。", "Unpacked, the file is too large; please import it in parts."),
        "sheet.empty": ("文件中没有数据。", "The file holds no rows."),
        "sheet.too_long": ("一次最多导入 {limit} 行。", "At most {limit} rows at a time."),
        "sheet.marks": ("错误说明（导入时忽略此列）", "What is wrong (this column is not imported)"),
        "sheet.unknown_columns": ("不认识这些列：{columns}。", "These columns are unknown: {columns}."),
    }
)
ROWS_MAX = 5_000
COLUMNS_MAX = 200
UNPACKED_MAX = 120 * 1024 * 1024


def import_fields(entity: Entity, writable: Callable[[str], bool]) -> list[Field]:
    """The fields a sheet may hold, required ones first."""
    found = [
        f
        for f in entity.fields.values()
        if accepts(entity, f, "create") and f.type is not FieldType.CHILD and f.type not in FILE_TYPES and writable(f.name)
    ]
    return sorted(found, key=lambda f: not f.required)


def template(fields: Sequence[Field], say: Callable[[Any], str], required: str) -> bytes:
    """An empty sheet with the labels as its header; required ones are marked by a note."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    plain, bold = (
        book.add_format({"bold": True, "bg_color": "#eef2f7", "bottom": 1}),
        book.add_format({"bold": True, "bg_color": "#fde5e5", "bottom": 1}),
    )
    for at, one in enumerate(fields):
        sheet.write_string(0, at, say(one.label), bold if one.required else plain)
        sheet.set_column(at, at, max(12, len(say(one.label)) * 2 + 4))
        note = "\n".join(part for part in (required if one.required else "", say(one.help) if one.help else "") if part)
        if note:
            sheet.write_comment(0, at, note)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()


def read_rows(name: str, body: bytes) -> list[list[Any]]:
    """All cells of the first sheet; NotPossible for what is no sheet or too long."""
    kind = name.lower().rsplit(".", 1)[-1]
    if kind not in ("xlsx", "csv"):
        raise NotPossible(message("sheet.kind"))
    try:
        rows = list(_csv(body) if kind == "csv" else _xlsx(body))
    except NotPossible:
        raise
    except Exception as broken:
        raise NotPossible(message("sheet.broken")) from broken
    if len(rows) < 2:
        raise NotPossible(message("sheet.empty"))
    return rows


def _csv(body: bytes) -> Iterator[list[Any]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = body.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise NotPossible(message("sheet.broken"))
    yield from _limited(csv.reader(io.StringIO(text, newline="")))


def _xlsx(body: bytes) -> Iterator[list[Any]]:
    from python_calamine import CalamineWorkbook

    _refuse_swelling(body)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0)
    yield from _limited(sheet.iter_rows())


def _refuse_swelling(body: bytes) -> None:
    """A workbook is a zip archive; what it unpacks to is read from its directory, before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        if sum(part.file_size for part in archive.infolist()) > UNPACKED_MAX:
            raise NotPossible(message("sheet.too_large"))


def _limited(rows: Any) -> Iterator[list[Any]]:
    """Rows with anything in them, at most ROWS_MAX besides the header."""
    count = 0
    for row in rows:
        cells = [_cell(value) for value in row[:COLUMNS_MAX]]
        if any(value not in (None, "") for value in cells):
            count += 1
            if count > ROWS_MAX + 1:
                raise NotPossible(message("sheet.too_long", limit=ROWS_MAX))
            yield cells


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (datetime, date, int, float, bool)) or value is None:
        return value
    return str(value)


def by_field(rows: Sequence[Sequence[Any]], fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Each row as ``{field: cell}``; NotPossible when a column of the header is unknown."""
    names, header = _names(fields), _header(rows)
    unknown = [words for words in header if words and words not in names]
    if unknown:
        raise NotPossible(message("sheet.unknown_columns", columns="、".join(unknown[:10])))
    return [{names[words]: cell for words, cell in zip(header, row, strict=False) if words and cell not in (None, "")} for row in rows[1:]]


def _names(fields: Sequence[Field]) -> dict[str, str]:
    """By what may stand in a header: the field."""
    names: dict[str, str] = {}
    for one in fields:
        names |= {one.name: one.name, one.label.zh: one.name, one.label.en: one.name}
    return names


def _header(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The words of the header; the column of a marked sheet that says what is wrong counts as empty."""
    marks = message("sheet.marks")
    ours = {marks.say("zh"), marks.say("en")}
    return ["" if words in ours else words for words in (str(cell or "").strip().lstrip("*") for cell in rows[0])]


def marked(rows: Sequence[Sequence[Any]], fields: Sequence[Field], problems: Mapping[int, Sequence[tuple[str, str]]], locale: str) -> bytes:
    """The sheet that was sent with every wrong cell coloured and annotated, and a column that says of each row what is wrong with it.

    ``problems``: by number of the row (the first row of data is 1), the field ('' for the whole row) and the words.
    """
    import xlsxwriter

    names, header = _names(fields), _header(rows)
    column = {names[words]: at for at, words in enumerate(header) if words in names}
    words_at = header.index("") if "" in header and len(rows[0]) > header.index("") else len(header)
    if words_at < len(header) and any(len(row) > words_at and row[words_at] not in (None, "") for row in rows[1:]) and rows[0][words_at] in (None, ""):
        words_at = len(header)
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet()
    head, wrong, plain = (book.add_format(style) for style in (
        {"bold": True, "bg_color": "#eef2f7", "bottom": 1}, {"bg_color": "#ffc7ce", "font_color": "#9c0006"}, {}))
    for at, words in enumerate(header):
        sheet.write_string(0, at, words, head)
        sheet.set_column(at, at, max(12, len(words) * 2 + 4))
    sheet.write_string(0, words_at, message("sheet.marks").say(locale), head)
    sheet.set_column(words_at, words_at, 48)
    for number, row in enumerate(rows[1:], start=1):
        told = problems.get(number, ())
        by_column: dict[int, list[str]] = {}
        for name, words in told:
            if name in column:
                by_column.setdefault(column[name], []).append(words)
        for at in range(max(len(row), len(header))):
            if at != words_at:
                _write(sheet, number, at, row[at] if at < len(row) else None, wrong if at in by_column else plain)
        for at, found in by_column.items():
            sheet.write_comment(number, at, "\n".join(found), {"x_scale": 2})
        if told:
            labels = {one.name: one.label.say(locale) for one in fields}
            sheet.write_string(number, words_at, "；".join(f"{labels[name]}：{words}" if name in labels else words for name, words in told), wrong)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()


def _write(sheet: Any, row: int, column: int, value: Any, style: Any) -> None:
    """A cell as it was sent; text stays text, whatever it begins with."""
    if value is None or value == "":
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, style)
    elif isinstance(value, (int, float)):
        sheet.write_number(row, column, value, style)
    elif isinstance(value, (date, datetime)):
        sheet.write_string(row, column, value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat(), style)
    else:
        sheet.write_string(row, column, str(value), style)


def load_all(raw: Sequence[Mapping[str, Any]], load: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> list[Mapping[str, Any] | Invalid]:
    """Each row read by the input schema, or the refusal of it."""
    found: list[Mapping[str, Any] | Invalid] = []
    for row in raw:
        try:
            found.append(load(row))
        except Invalid as refused:
            found.append(refused)
        except (TypeError, ValueError):
            found.append(Invalid([Problem("", message("sheet.broken"))]))
    return found
