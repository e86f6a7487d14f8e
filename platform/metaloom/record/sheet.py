"""Spreadsheets from people: a header row of labels or names, then one record per row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from math import isfinite
from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.base.packed import Swollen, measure
from metaloom.model import Choices, Entity, Field, FieldType
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES
from metaloom.record.export import as_typed, csv_table
from metaloom.record.schema import accepts

register(
    {
        "sheet.kind": ("请上传 .xlsx 或 .csv 文件。", "Please upload an .xlsx or .csv file."),
        "sheet.broken": ("文件无法读取，请用模板重新填写。", "The file cannot be read; please fill in the template again."),
        "sheet.too_large": ("文件解压后过大，请分批导入。", "Unpacked, the file is too large; please import it in parts."),
        "sheet.too_wide": ("有内容的单元格相距太远，请删除末尾多余的行和列。", "Cells lie too far apart; please delete empty rows and columns at the end."),
        "sheet.empty": ("文件中没有数据。", "The file holds no rows."),
        "sheet.too_long": ("一次最多导入 {limit} 行。", "At most {limit} rows at a time."),
        "sheet.required": ("必填", "Required"),
        "sheet.marks": ("错误说明（导入时忽略此列）", "What is wrong (this column is not imported)"),
        "sheet.number": ("原行号（请勿修改）", "Original row (leave as it is)"),
        "sheet.unknown_columns": ("不认识这些列：{columns}。", "These columns are unknown: {columns}."),
    }
)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ROWS_MAX = 5_000
COLUMNS_MAX = 200
# Cells with a comment: each is a drawing of its own. The column that says what is wrong goes on.
COMMENTS_MAX = 2_000
UNPACKED_MAX = 120 * 1024 * 1024
# A reader lays out every cell between the first and the last one that holds anything.
CELLS_MAX = 4_000_000
# Longest list of choices that a spreadsheet holds in a cell's rule, and most choices that a note names.
LIST_MAX, WORDS_MAX = 255, 40
WRONG = {"bg_color": "#ffc7ce", "font_color": "#9c0006"}
_SPACES = re.compile(rb"\s\s+")
# What opens a row or a cell, whatever its prefix is, or an address; with single spaces neither is longer than _TOKEN_MAX.
_TOKEN = re.compile(rb"[<:](?:(row)|c)(?=[\s/>])|(?i:\br\s{0,2}=\s{0,2}[\"']\s{0,2}([a-z]{0,8})(\d{1,20})\s{0,2}[\"'])")
_TOKEN_MAX = 64


class Line(list[Any]):
    """The cells of a row, and the number at which a person sees it in the workbook: the first row is 1."""

    number: int = 0


def _line(number: int, cells: Sequence[Any]) -> Line:
    made = Line(cells)
    made.number = number
    return made


def import_fields(entity: Entity, writable: Callable[[str], bool]) -> list[Field]:
    """The fields a sheet may hold, required ones first."""
    found = [
        f
        for f in entity.fields.values()
        if accepts(entity, f, "create") and f.type is not FieldType.CHILD and f.type not in FILE_TYPES and writable(f.name)
    ]
    return sorted(found, key=lambda f: not f.required)


def template(fields: Sequence[Field], say: Callable[[Any], str], required: str, choices: Mapping[str, Choices]) -> bytes:
    """An empty sheet with the labels as its header; required ones are marked by a note.

    Columns of words are text: a spreadsheet would keep fifteen of the eighteen digits of an ID number, and no zero in front. A choice is picked from
    a list.
    """
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
        sheet.set_column(at, at, max(12, len(say(one.label)) * 2 + 4), book.add_format({"num_format": _cell_format(one)}))
        words = _choice_words(one, say, choices)
        listed = one.type is FieldType.CHOICE and bool(words) and len(",".join(words)) <= LIST_MAX
        if listed:
            sheet.data_validation(1, at, ROWS_MAX, at, {"validate": "list", "source": words})
        note = "\n".join(part for part in (required if one.required else "", say(one.help) if one.help else "",
                                           "" if listed or len(words) > WORDS_MAX else "、".join(words)) if part)
        if note:
            sheet.write_comment(0, at, note)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()


def _cell_format(field: Field) -> str:
    """How a spreadsheet shall take what is typed into a column."""
    if field.type in EXACT_TYPES or field.type in (FieldType.INTEGER, FieldType.BOOLEAN):
        return "General"
    return {FieldType.DATE: "yyyy-mm-dd", FieldType.DATETIME: "yyyy-mm-dd hh:mm"}.get(field.type, "@")


def _choice_words(field: Field, say: Callable[[Any], str], choices: Mapping[str, Choices]) -> list[str]:
    found = choices.get(field.choices or "") if field.type in (FieldType.CHOICE, FieldType.MULTI_CHOICE) else None
    return [say(item.label) for item in found.items.values() if not item.hidden] if found else []


def read_rows(name: str, body: bytes, most: int = ROWS_MAX) -> list[Line]:
    """All cells of the first sheet, without empty rows; NotPossible for what is no sheet or holds more than ``most`` rows."""
    kind = name.lower().rsplit(".", 1)[-1]
    if kind not in ("xlsx", "csv"):
        raise NotPossible(message("sheet.kind"))
    try:
        rows = list(_csv(body, most) if kind == "csv" else _xlsx(body, most))
    except NotPossible:
        raise
    except Exception as broken:
        raise NotPossible(message("sheet.broken")) from broken
    except BaseException as panic:  # the reader's own language reports its bugs outside of Exception
        if type(panic).__name__ != "PanicException":
            raise
        raise NotPossible(message("sheet.broken")) from panic
    if len(rows) < 2:
        raise NotPossible(message("sheet.empty"))
    return rows


def _csv(body: bytes, most: int) -> Iterator[Line]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = body.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise NotPossible(message("sheet.broken"))
    yield from _limited(([as_typed(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))), most)


def _xlsx(body: bytes, most: int) -> Iterator[Line]:
    from python_calamine import CalamineWorkbook

    _refuse_swelling(body)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0)
    yield from _limited(sheet.iter_rows(), most)


def _refuse_swelling(body: bytes) -> None:
    """A workbook is a zip archive: it is unpacked into nothing first, and the cells of its sheets are measured."""
    try:
        measure(io.BytesIO(body), UNPACKED_MAX, _Reach)
    except Swollen as swollen:
        raise NotPossible(message("sheet.too_large")) from swollen


class _Reach:
    """How far the cells of a part of a workbook reach, read piece by piece; NotPossible as soon as that is too far.

    Which part is the sheet is the sender's choice, so every part is looked at, by the addresses its rows and cells name. Rows and cells
    without an address stand one after the other. Only a few numbers are kept, however many cells there are.
    """

    def __init__(self, name: str) -> None:
        self.rest = b""
        self.rows = self.columns = self.bare_rows = self.bare_columns = self.bare_here = 0
        self.found = self.cells = 0
        self.has_rows = False
        self.opened = b""      # the row or cell whose address was not seen yet, while its tag is open

    def __call__(self, piece: bytes) -> None:
        text = _SPACES.sub(b" ", self.rest + piece)
        at, until = 0, len(text) - _TOKEN_MAX if piece else len(text)
        for token in _TOKEN.finditer(text):
            if token.start() >= until:
                break
            if self.opened and text.find(b">", at, token.start()) >= 0:
                self._without_address()
            at = token.end()
            if token[3] is None:
                self._opens(b"row" if token[1] else b"c")
            else:
                self.opened = b""
                self.rows, self.columns = max(self.rows, int(token[3])), max(self.columns, _column(token[2]))
            self._refuse()
        read = max(at, until)
        if self.opened and (not piece or text.find(b">", at, read) >= 0):
            self._without_address()
            self._refuse()
        self.rest = text[read:]

    def _opens(self, kind: bytes) -> None:
        if self.opened:
            self._without_address()
        if kind == b"row":
            self.has_rows, self.bare_here = True, 0
        else:
            self.cells += 1
        self.opened = kind

    def _without_address(self) -> None:
        if self.opened == b"row":
            self.bare_rows += 1
        else:
            self.bare_here += 1
            self.bare_columns = max(self.bare_columns, self.bare_here)
        self.opened = b""

    def _refuse(self) -> None:
        self.found += 1
        if not self.has_rows:
            return
        if (self.rows + self.bare_rows) * (self.columns + self.bare_columns) > CELLS_MAX:
            raise NotPossible(message("sheet.too_wide"))
        if self.cells > CELLS_MAX or self.found > 3 * CELLS_MAX:
            raise NotPossible(message("sheet.too_large"))


@lru_cache(4096)
def _column(letters: bytes) -> int:
    number = 0
    for one in letters.upper():
        number = number * 26 + one - 64
    return number


def _limited(rows: Any, most: int) -> Iterator[Line]:
    """Rows with anything in them, at most ``most`` besides the header."""
    count = 0
    for number, row in enumerate(rows, start=1):
        cells = [_cell(value) for value in row[:COLUMNS_MAX]]
        if any(value not in (None, "") for value in cells):
            count += 1
            if count > most + 1:
                raise NotPossible(message("sheet.too_long", limit=most))
            yield _line(number, cells)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
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
    """The words of the header; columns that the engine adds to a sheet (what is wrong, the original row) count as empty."""
    ours = _ours("sheet.marks") | _ours("sheet.number")
    return ["" if words in ours else words for words in _words(rows[0])]


def _words(cells: Sequence[Any]) -> list[str]:
    return [str(cell or "").strip().lstrip("*") for cell in cells]


def _ours(code: str) -> set[str]:
    said = message(code)
    return {said.say("zh"), said.say("en")}


def original_rows(rows: Sequence[Sequence[Any]]) -> list[int | None]:
    """Of each row of data, the number that it had in the sheet that was sent first: a sheet of failed rows says so."""
    at = next((at for at, words in enumerate(_words(rows[0])) if words in _ours("sheet.number")), None)
    return [_number(row[at]) if at is not None and at < len(row) else None for row in rows[1:]]


def _number(cell: Any) -> int | None:
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell if cell is not None else "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def all_failed(rows: Sequence[tuple[int, Mapping[str, Any], Sequence[tuple[str, str]]]], fields: Sequence[Field], locale: str) -> bytes:
    """The same of any number of rows, as CSV: a workbook of fifty thousand takes half a minute to write."""
    used = {name for _, cells, told in rows for name in (*cells, *(name for name, _ in told))}
    shown = [one for one in fields if one.name in used]
    labels = {one.name: one.label.say(locale) for one in shown}
    heads = [message("sheet.number").say(locale), *labels.values(), message("sheet.marks").say(locale)]
    return csv_table(heads, ([str(number), *(_as_text(cells.get(name)) for name in labels),
                              "；".join(f"{labels[name]}：{words}" if name in labels else words for name, words in told)] for number, cells, told in rows))


def _as_text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def only_failed(rows: Sequence[tuple[int, Mapping[str, Any], Sequence[tuple[str, str]]]], fields: Sequence[Field], locale: str) -> bytes:
    """A sheet to correct and send again: of each row its original number, its cells, and what is wrong with it. ``rows``: number, cells by field,
    (field, words) of what is wrong. Columns are those that any row holds or that any problem names."""
    used = {name for _, cells, told in rows for name in (*cells, *(name for name, _ in told))}
    shown = [one for one in fields if one.name in used]
    lines = [_line(1, [message("sheet.number").say(locale), *(one.label.say(locale) for one in shown)])]
    lines += [_line(place, [number, *(cells.get(one.name) for one in shown)]) for place, (number, cells, _) in enumerate(rows, start=2)]
    return marked(lines, fields, {place: told for place, (_, _, told) in enumerate(rows, start=1)}, locale)


def marked(rows: Sequence[Line], fields: Sequence[Field], problems: Mapping[int, Sequence[tuple[str, str]]], locale: str) -> bytes:
    """The sheet that was sent with every wrong cell coloured and annotated, and a column that says of each row what is wrong with it.

    Rows stand where they stood. ``problems``: by number of the row (the first row of data is 1), the field ('' for the whole row) and the words.
    """
    import xlsxwriter

    names, header, top = _names(fields), _header(rows), rows[0].number - 1
    numbers = next((at for at, words in enumerate(_words(rows[0])) if words in _ours("sheet.number")), None)
    if numbers is not None:
        header[numbers] = message("sheet.number").say(locale)
    column = {names[words]: at for at, words in enumerate(header) if words in names}
    words_at = header.index("") if "" in header and len(rows[0]) > header.index("") else len(header)
    if words_at < len(header) and any(len(row) > words_at and row[words_at] not in (None, "") for row in rows[1:]) and rows[0][words_at] in (None, ""):
        words_at = len(header)
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True, "default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet()
    head, wrong = (book.add_format(style) for style in ({"bold": True, "bg_color": "#eef2f7", "bottom": 1}, WRONG))
    kinds = {one.name: _cell_format(one) for one in fields}
    kind_at = {at: kinds[name] for name, at in column.items() if name in kinds}
    plain_as = {kind: book.add_format({"num_format": kind}) for kind in {"General", *kinds.values()}}
    wrong_as = {kind: book.add_format({"num_format": kind, **WRONG}) for kind in plain_as}
    for at, words in enumerate(header):
        sheet.write_string(top, at, words, head)
        sheet.set_column(at, at, max(12, len(words) * 2 + 4))
    sheet.write_string(top, words_at, message("sheet.marks").say(locale), head)
    sheet.set_column(words_at, words_at, 48)
    commented = 0
    for number, row in enumerate(rows[1:], start=1):
        told, place = problems.get(number, ()), row.number - 1
        by_column: dict[int, list[str]] = {}
        for name, words in told:
            if name in column:
                by_column.setdefault(column[name], []).append(words)
        for at in range(max(len(row), len(header))):
            if at != words_at:
                _write(sheet, place, at, row[at] if at < len(row) else None, (wrong_as if at in by_column else plain_as)[kind_at.get(at, "General")])
        for at, found in by_column.items() if commented < COMMENTS_MAX else ():
            commented += 1
            sheet.write_comment(place, at, "\n".join(found), {"x_scale": 2})
        if told:
            labels = {one.name: one.label.say(locale) for one in fields}
            sheet.write_string(place, words_at, "；".join(f"{labels[name]}：{words}" if name in labels else words for name, words in told), wrong)
    sheet.freeze_panes(top + 1, 0)
    book.close()
    return out.getvalue()


def _write(sheet: Any, row: int, column: int, value: Any, style: Any) -> None:
    """A cell as it was sent; text stays text, whatever it begins with."""
    if value is None or value == "":
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, style)
    elif isinstance(value, (int, float)) and isfinite(value):
        sheet.write_number(row, column, value, style)
    elif isinstance(value, (date, datetime)):
        sheet.write_string(row, column, value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat(), style)
    else:
        sheet.write_string(row, column, str(value), style)
