"""Rows that leave the house: as a file, or page by page through the API. Who took which of them is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.command.context import ActionDone, Context
from metaloom.command.limits import limit
from metaloom.command.unit import Unit, perform
from metaloom.record import Filter, UnknownPath, path
from metaloom.record.export import count_exportable
from metaloom.storage import rate

if TYPE_CHECKING:
    from metaloom.command.session import Pinned

EXPORT, BULK_READ = "export", "bulk_read"
WINDOW = timedelta(hours=1)
HIDDEN, VALUE_MAX = "***", 100

register({
    "export.noted": ("导出已记录。", "The export was written down."),
    "export.not_at_once": ("超过 {limit} 行的导出在后台准备，请在列表页重新点击导出。",
                           "An export of more than {limit} rows is prepared in the background: start it on the list, or with POST …/exports."),
})


def export_records(pinned: Pinned, entity: str, *, format: str, file: Any, paths: Sequence[str] | None = None, sort: Sequence[str] = (),
                   locale: str | None = None, **asked: Any) -> int:
    """Writes the list's rows to ``file`` and then the audit: who, which filter, how many rows, which columns. The number of rows.

    NotPossible when there are more rows than the tenant lets one file hold, or one answer: more are made in the background
    (``command/long_export.py``). A file whose audit could not be written must not be given out: the error of the write is the answer.
    """
    most, at_once = limit(pinned.catalog, "export_rows_max"), limit(pinned.catalog, "export_rows_at_once")
    reader = pinned.reader
    reader.locale = locale or reader.locale
    columns = reader.columns(entity, asked.get("view"), paths)
    if at_once < most and not count_exportable(reader, entity, at_once, **asked).exact:
        raise NotPossible(message("export.not_at_once", limit=f"{at_once:,}"))
    rows = reader.export(entity, format=format, file=file, paths=paths, sort=sort, most=most if at_once >= most else None, **asked)
    write_down(pinned.context(), EXPORT, entity, facts_of(pinned.revision, entity, format, rows, columns, asked))
    return rows


def facts_of(revision: Any, entity: str, format: str, rows: int, columns: Sequence[str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit says of an export."""
    return {"format": format, "rows": rows, "columns": list(columns), **question_told(revision, entity, asked)}


def note_export(pinned: Pinned, entity: str, format: str, rows: int, asked: Mapping[str, Any]) -> None:
    """Writes down an export of sums over an entity: who, what was asked for, how many lines."""
    write_down(pinned.context(), EXPORT, entity, {"format": format, "rows": rows, **asked})


def note_read(pinned: Pinned, entity: str, rows: int, asked: Mapping[str, Any]) -> None:
    """Adds ``rows`` to what the person read of the entity within the hour; the audit is told each time that many were reached
    as the tenant's ``bulk_read_rows`` says."""
    step, counter = limit(pinned.catalog, "bulk_read_rows"), rate.counter("read", pinned.actor.user_id, entity)
    ctx = pinned.context()
    with ctx.tenant.write() as conn:
        total = rate.count(conn, counter, ctx.clock.now(), WINDOW, hits=rows).hits
    if total // step > (total - rows) // step:
        write_down(ctx, BULK_READ, entity, {"rows_within_the_hour": total, **question_told(pinned.revision, entity, asked)})


def write_down(ctx: Context, command: str, entity: str, facts: Mapping[str, Any], id: int | None = None) -> None:
    """One line of the audit about what left the house: of a list, or of the record ``id``."""
    def work(unit: Unit) -> ActionDone:
        unit.log(unit.entity(entity), id, None, {command: facts})
        return ActionDone(entity, None, None, message("export.noted"))

    perform(ctx.with_key(None), command, [], work)


def question_told(revision: Any, entity: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, without values of masked or encrypted fields."""
    view = asked.get("view")
    found = {"list": view.address if view is not None else "", "tab": asked.get("tab") or "", "archived": bool(asked.get("archived")),
             "q": HIDDEN if asked.get("q") else "", "filters": [_said(revision, entity, one) for one in asked.get("filters") or ()]}
    return {name: value for name, value in found.items() if value}


def _said(revision: Any, entity: str, one: Filter) -> list[str]:
    try:
        field = path(revision, entity, one.path).field
    except UnknownPath:
        return [one.path, one.op, HIDDEN]
    return [one.path, one.op, HIDDEN if field.mask or field.encrypted else str(one.value)[:VALUE_MAX]]
