"""Export of a list: exactly its rows and columns for this reader, masks kept, in flat memory (L05)."""

from __future__ import annotations

import codecs
import csv
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from rustpy_xlsxwriter import FastExcel, Format

from metaloom.base.errors import Invalid, NotAllowed, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.model import FieldLevel, FieldType, ListView
from metaloom.model.entity import EXACT_TYPES
from metaloom.record.encode import EMPTY, said_for
from metaloom.record.paths import Path
from metaloom.record.row import Asked, Count, Row

if TYPE_CHECKING:
    from metaloom.record.filters import Filter
    from metaloom.record.reader import Reader

# First characters that make a spreadsheet run a text as a formula, in their ASCII and full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")
_EXCEL_TEXT_MAX = 32_767
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b-\x1f]")
_EXCEL_DIGITS_MAX = 15
FORMATS = ("csv", "xlsx")
_WIDTHS = {FieldType.DATE: 12, FieldType.DATETIME: 20, FieldType.MONEY: 16, FieldType.INTEGER: 10, FieldType.BOOLEAN: 8}
TELL_ROWS = 500


def export_rows(
    reader: Reader, entity: str, *, format: str, file: Any, view: ListView | None = None, filters: Sequence[Filter] = (),
    q: str | None = None, sort: Sequence[str] = (), paths: Sequence[str] | None = None, tab: str | None = None,
    archived: bool = False, most: int | None = None, told: Callable[[int], None] | None = None,
) -> int:
    """Write every row of the list that may also be exported to the binary ``file``; the number of rows written.

    NotPossible, before anything is written, when there are more than ``most``. ``told`` hears now and then how many rows are behind; what
    it raises ends the export.
    """
    if format not in FORMATS:
        raise Invalid([Problem("format", message("record.bad_format", format=str(format)[:20]))])
    columns, rows = exportable_rows(reader, entity, view=view, filters=filters, q=q, sort=sort, paths=paths, tab=tab, archived=archived, most=most)
    headers = column_titles(columns, view, reader.locale)
    if told is not None:
        rows = _telling(rows, told)
    return (_write_csv if format == "csv" else _write_xlsx)(reader, columns, headers, rows, file)


def exportable_rows(
    reader: Reader, entity: str, *, view: ListView | None = None, filters: Sequence[Filter] = (), q: str | None = None, sort: Sequence[str] = (),
    paths: Sequence[str] | None = None, tab: str | None = None, archived: bool = False, most: int | None = None,
) -> tuple[Sequence[Path], Iterator[Row]]:
    """The columns and rows of the list that may leave the house; NotPossible when there are more than ``most``."""
    if most is not None and not count_exportable(reader, entity, most, view=view, filters=filters, q=q, tab=tab, archived=archived).exact:
        raise too_large(most)
    asked = Asked(entity, view, tuple(filters), q, tab, archived, where=_exportable(reader, entity))
    return reader.stream(asked, paths, sort)


def count_exportable(reader: Reader, entity: str, cap: int, **asked: Any) -> Count:
    """How many rows of the list may leave the house; counting stops at ``cap``."""
    return reader.count(entity, cap=cap, where=_exportable(reader, entity), **asked)


def too_large(most: int) -> NotPossible:
    """The refusal of an export of more rows than that."""
    return NotPossible(message("record.export_too_large", limit=f"{most:,}"))


def _exportable(reader: Reader, entity: str) -> tuple[Callable[[Any], Any]]:
    verdict = reader.plan.may(entity, "export")
    if not verdict:
        raise NotAllowed(verdict.reason)
    return (lambda frame: reader.plan.predicate(entity, "export", frame.table, reader.env),)


def _telling(rows: Iterator[Row], told: Callable[[int], None]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number % TELL_ROWS == 0:
            told(number)
        yield row


def column_titles(columns: Sequence[Path], view: ListView | None, locale: str) -> list[str]:
    """Column titles; a repeated title gets its path, so that columns stay apart."""
    found: list[str] = []
    for path in columns:
        column = view.columns.get(path.text) if view else None
        label = (column.label if column and column.label else path.field.label).say(locale)
        found.append(label if label not in found else f"{label} ({path.text})")
    return found


def neutral(text: str) -> str:
    """``text`` as spreadsheets will only ever show it: a leading apostrophe where they would calculate."""
    if text[:1].isalnum():  # nearly all: a letter or digit begins no formula
        return text
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def as_typed(text: str) -> str:
    """The text that :func:`neutral` made safe."""
    return text[1:] if text[:1] == "'" and neutral(text[1:]) == text else text


def csv_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Words that are no rows of an entity as a file that spreadsheets open: nothing in it is calculated."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([neutral(head) for head in heads])
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return codecs.BOM_UTF8 + out.getvalue().encode()


# -- csv -------------------------------------------------------------------------------------------------------------


def _write_csv(reader: Reader, columns: Sequence[Path], headers: Sequence[str], rows: Iterator[Row], file: Any) -> int:
    file.write(codecs.BOM_UTF8)
    out = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(out)
    writer.writerow([neutral(header) for header in headers])
    cells = [_csv_cell(reader, path) for path in columns]
    count = 0
    for row in rows:
        writer.writerow([cell(row) for cell in cells])
        count += 1
    out.flush()
    out.detach()
    return count


def _csv_cell(reader: Reader, path: Path) -> Callable[[Row], str]:
    """Numbers stay plain numbers (negative ones too), everything else is words made harmless."""
    catalog, locale, zone, text = reader.plan.catalog, reader.locale, reader.zone, path.text
    if path.field.type in EXACT_TYPES or path.field.type is FieldType.INTEGER:
        return lambda row: _number_text(row.values.get(text))

    said = said_for(catalog, path, locale, zone)

    def cell(row: Row) -> str:
        words = said(row)
        return "" if words == EMPTY or not words else neutral(words)

    return cell


def _number_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int) else neutral(str(value))


# -- xlsx ------------------------------------------------------------------------------------------------------------


def _write_xlsx(reader: Reader, columns: Sequence[Path], headers: Sequence[str], rows: Iterator[Row], file: Any) -> int:
    """The writer streams into a temporary file of its own; the finished workbook is copied to ``file``.

    The temporary file has no name: a process that is killed leaves nothing readable behind.
    """
    cells = [_xlsx_cell(reader, path) for path in columns]
    counted = _Counted()

    def records() -> Iterator[dict[str, Any]]:
        for row in rows:
            counted.number += 1
            yield {header: cell(row) for header, cell in zip(headers, cells, strict=True)}

    with tempfile.TemporaryFile() as made:
        name = f"/dev/fd/{made.fileno()}"
        first = next(source := records(), None)
        if first is None:
            _write_header_only(made, headers)
        else:
            book = FastExcel(name, columns=list(headers)).format(bold_headers=True, datetime_format="yyyy-mm-dd hh:mm:ss")
            book.freeze(row=1).sheet("Sheet1", chain((first,), source), autofilter=True, column_widths=[*map(_width, columns, headers)],
                                     column_formats=[*map(_format, columns)]).save()
        made.seek(0)
        while chunk := made.read(1 << 20):
            file.write(chunk)
    return counted.number


class _Counted:
    number = 0


def _width(path: Path, header: str) -> float:
    """Wide enough for what such a column holds, in characters: a date or an amount that does not fit is shown as ####."""
    kind = path.field.type
    if path.is_link or kind not in _WIDTHS:
        usual = min(max(path.field.length or 0, 20), 32)
    else:
        usual = _WIDTHS[kind]
    return float(max(usual, 2 + sum(2 if ord(letter) > 255 else 1 for letter in header)))


def _format(path: Path) -> Format:
    kind = path.field.type
    if kind is FieldType.DATE:
        return Format().set_num_format("yyyy-mm-dd")
    if kind is FieldType.DATETIME:
        return Format().set_num_format("yyyy-mm-dd hh:mm:ss")
    if kind is FieldType.MONEY:
        return Format().set_num_format("#,##0.00")
    return Format()


def _write_header_only(made: Any, headers: Sequence[str]) -> None:
    """The fast writer takes its header from the first row; without rows the other writer makes the sheet."""
    import xlsxwriter  # with its images a start costs more

    with xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.add_worksheet("Sheet1").write_row(0, 0, headers, book.add_format({"bold": True}))


def _xlsx_cell(reader: Reader, path: Path) -> Callable[[Row], Any]:
    """Numbers and dates typed, everything else a text cell, which a spreadsheet never calculates."""
    catalog, locale, zone, text, kind = reader.plan.catalog, reader.locale, reader.zone, path.text, path.field.type
    said = said_for(catalog, path, locale, zone)

    def cell(row: Row) -> Any:
        value = row.values.get(text)
        if value is None:
            return None
        if row.levels.get(text) is FieldLevel.MASKED:
            return str(value)
        if kind in EXACT_TYPES or (kind is FieldType.INTEGER and not path.is_link):
            return _excel_number(value)
        if kind is FieldType.DATE:
            return value
        if kind is FieldType.DATETIME:
            return _local(value, zone)
        words = said(row)
        return None if words == EMPTY else _NOT_IN_XML.sub(" ", words)[:_EXCEL_TEXT_MAX]

    return cell


def _excel_number(value: Any) -> Any:
    """A number that a spreadsheet holds without loss; a longer one stays text."""
    digits = len(value.as_tuple().digits) if isinstance(value, Decimal) else len(str(abs(value)))
    if digits > _EXCEL_DIGITS_MAX:
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return float(value) if isinstance(value, Decimal) else value


def _local(value: datetime, zone: Any) -> datetime:
    return value.astimezone(zone or UTC).replace(tzinfo=None, microsecond=0)
