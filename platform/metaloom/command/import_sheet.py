"""A workbook or CSV file as rows to import: the same reading for the screen and for the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command.context import Context
from metaloom.command.limits import limit
from metaloom.command.long_import import failed_rows
from metaloom.command.session import Pinned
from metaloom.model import Entity, Field, FieldLevel
from metaloom.record import sheet
from metaloom.record.import_runs import ImportRun
from metaloom.record.sheet import Line

FAILED_AT_ONCE = 5_000
"""Rows of a workbook of those that failed: every row of a long import may have. CSV holds them all."""


@dataclass(frozen=True)
class SheetRead:
    """``lines``: the sheet as it was sent, its header first; ``cells``: of each row of data its cells by field, as they were sent."""

    name: str
    lines: tuple[Line, ...]
    cells: tuple[dict[str, Any], ...]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Of each row of data, the number at which a person sees it in the workbook: the header is commonly 1."""
        return tuple(line.number for line in self.lines[1:])

    @property
    def numbered(self) -> list[tuple[int, dict[str, Any]]]:
        return list(zip(self.numbers, self.cells, strict=True))

    @property
    def original(self) -> list[tuple[int | None, dict[str, Any]]]:
        """Of a sheet of rows that failed: each with its number in the first file, where it says one."""
        return list(zip(sheet.original_rows(self.lines), self.cells, strict=True))


def sheet_fields(pinned: Pinned, entity: str) -> list[Field]:
    """The columns that the person may fill in, required ones first."""
    return sheet.import_fields(pinned.catalog.entities[entity],
                               lambda name: pinned.plan.field_level_anywhere(entity, name) >= FieldLevel.WRITE)


def read_sheet(pinned: Pinned, entity: str, name: str, body: bytes) -> SheetRead:
    """The rows of a file; NotPossible for what is no sheet, holds too much, or has a column that the person may not fill in."""
    lines = sheet.read_rows(name, body, limit(pinned.catalog, "import_rows_max"))
    return SheetRead(name, tuple(lines), tuple(sheet.by_field(lines, sheet_fields(pinned, entity))))


def empty_sheet(pinned: Pinned, entity: str, locale: str) -> bytes:
    """The workbook to fill in."""
    return sheet.template(sheet_fields(pinned, entity), lambda text: text.say(locale) if text else "", message("sheet.required").say(locale),
                          pinned.catalog.choices)


def failed_sheet(pinned: Pinned, ctx: Context, run: ImportRun, locale: str, *, format: str = "xlsx") -> bytes:
    """The rows of an import that are not in, and only those, to correct and send again: the first of them as a workbook, or all as CSV. NotFound
    where all are in."""
    rows = failed_rows(ctx, pinned.conn, run, FAILED_AT_ONCE if format == "xlsx" else run.failed)
    if not rows:
        raise NotFound
    told = [(row.number, row.cells, [(p.field.split(".", 1)[0], p.message.say(locale)) for p in row.problems]) for row in rows]
    return (sheet.only_failed if format == "xlsx" else sheet.all_failed)(told, sheet_fields(pinned, run.entity), locale)


def column_of_problem(entity: Entity, field: str, locale: str) -> str:
    """The column of a wrong cell as its header calls it; empty where the whole row is meant."""
    one = entity.fields.get(field.split(".", 1)[0])
    return one.label.say(locale) if one else ""
