"""Exports of many rows: asked for, made by a worker as the person who asked, kept sealed for a while, fetched by that person alone.

A worker reads the rows through a server-side cursor in one picture of the data, so that no row is missing or twice however long
it takes, and in flat memory. A workbook cannot be continued: a worker that dies, or is told to end, leaves nothing, and the next one
begins anew. The file gets its name in the row of the export in the transaction that ends it; before that there is no file.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Event, Thread
from time import monotonic
from typing import Any

from metaloom import audit
from metaloom.access import Actor
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, LoginRequired, MetaloomError, NotAllowed, NotFound, NotPossible
from metaloom.base.messages import Message, message, register
from metaloom.command.context import ActionDone, Context, Saved
from metaloom.command.environment import user_values
from metaloom.command.export_records import EXPORT, facts_of, question_told
from metaloom.command.handle_call import system_context
from metaloom.command.limits import limit
from metaloom.command.notify import notify
from metaloom.command.session import Away, Pinned
from metaloom.command.unit import Unit, perform
from metaloom.job import LeaseLost
from metaloom.job.outbox import Row
from metaloom.model import ListView
from metaloom.plugin.registry import Registry, installed
from metaloom.record import Filter, UnknownPath
from metaloom.record.export import count_exportable, export_rows, too_large
from metaloom.record.export_runs import OPEN, ExportRun, ExportRuns
from metaloom.record.import_runs import ImportRuns
from metaloom.record.paths import target_of
from metaloom.record.row import Count
from metaloom.storage import Tenant, after_commit
from metaloom.storage.outbox import put
from metaloom.storage.sealed_files import SealedReader, SealedWriter
from metaloom.storage.types import utc_now

log = logging.getLogger(__name__)

OUTBOX_KIND = "export.run"
DOWNLOAD = "export_download"
COUNT_MAX = 100_000
OPEN_MAX, KEPT_MAX = 3, 20
TICK_SECONDS = 1.0
FIRST_ROW_SECONDS, BEAT_SECONDS = 900, 30.0
"""So long a statement may think before its first row, while a thread holds on to the lease, this often; from then on each tick does."""
TRIES = 5
ROW_KEPT, ORPHAN_SECONDS = timedelta(days=30), 24 * 3600
QUESTION, KEY = "platform.export/question", "platform.export/key"
PAGE = "/exports"

register({
    "export.asked": ("正在准备导出“{name}”，完成后会通知您。", "{name} is being prepared; you will be told when it is done."),
    "export.done": ("导出“{name}”已完成，共 {rows} 行。", "The export {name} is ready: {rows} rows."),
    "export.failed": ("导出“{name}”未完成。", "The export {name} was not made."),
    "export.cancelled": ("导出已取消。", "The export was cancelled."),
    "export.thrown_away": ("导出文件已删除。", "The file was deleted."),
    "export.too_many_open": ("最多同时准备 {limit} 个导出，请等待或取消其中一个。", "At most {limit} exports are prepared at a time; wait, or cancel one."),
    "export.too_many_kept": ("已保留 {limit} 个导出文件，请先删除不需要的。", "{limit} files are kept for you already; delete what you do not need."),
    "export.not_ready": ("导出尚未完成。", "The export is not ready."),
    "export.over": ("该导出已结束。", "The export is over already."),
    "export.gone": ("导出文件已过期或已删除，请重新导出。", "The file has expired or was deleted; export again."),
    "export.rights_changed": ("导出后您的数据权限有变化，该文件不能再下载，请重新导出。",
                              "What you may see has changed since, so this file is closed; export again."),
    "export.list_gone": ("所选列表已不存在，未导出。请从现有列表重新导出。", "The list is gone, so nothing was exported. Export from another one."),
    "export.column_gone": ("所选列“{column}”已不存在或您已看不到，未导出。请从现有列表重新导出。",
                           "The column {column} is gone, or you do not see it any more, so nothing was exported. Export from the list as it is."),
    "export.asker_gone": ("发起人的账号已停用。", "The account of whoever asked is switched off."),
    "export.broken": ("准备时出现内部错误，详见系统日志（导出 {run}）。", "An internal error; the log says more (export {run})."),
    "export.deadly": ("准备时进程多次中断，已停止。", "The process died several times while preparing it; it was given up."),
})


class _Ended(Exception):
    """The export was cancelled meanwhile."""


class _Later(Exception):
    """The worker is to end; another one begins anew."""


@dataclass(frozen=True)
class ExportFile:
    """What is needed to send an export to its person; ``size`` in bytes."""

    name: str
    entity: str
    format: str
    size: int
    content: SealedReader


# -- asking -------------------------------------------------------------------------------------------------------------


def how_many(pinned: Pinned, entity: str, **asked: Any) -> tuple[Count, bool]:
    """About how many rows an export would have (counted up to 100,000), and whether it is answered at once.

    NotAllowed without the right to export, NotPossible when there are more rows than the tenant lets one file hold.
    """
    most = limit(pinned.catalog, "export_rows_max")
    found = count_exportable(pinned.reader, entity, min(most, COUNT_MAX), **asked)
    if not found.exact and found.number >= most:
        raise too_large(most)
    return found, found.exact and found.number <= limit(pinned.catalog, "export_rows_at_once")


def begin_export(pinned: Pinned, entity: str, *, format: str, name: str, about: Count, locale: str, sort: Sequence[str] = (),
                 paths: Sequence[str] | None = None, key: str | None = None, **asked: Any) -> Saved:
    """An export of its own row and a worker's turn; the answer is the export. ``name``: what the file will be called. ``key``: the same
    key begins one export. NotPossible when the person has too many under way or kept."""
    columns, revision = pinned.reader.columns(entity, asked.get("view"), paths), pinned.revision
    pinned.reader.list(entity, sort=sort, paths=columns[:1], limit=1, **asked)      # an order that is none is refused now, not by the worker
    question = _packed(asked, sort, columns)
    ctx = pinned.context(locale=locale, idempotency_key=key)

    def work(unit: Unit) -> Saved:
        runs, user_id = ExportRuns(unit.conn), ctx.actor.user_id
        assert user_id is not None
        if runs.count(user_id, *OPEN) >= OPEN_MAX:
            raise NotPossible(message("export.too_many_open", limit=OPEN_MAX))
        if runs.count(user_id, "done") >= KEPT_MAX:
            raise NotPossible(message("export.too_many_kept", limit=KEPT_MAX))
        made = runs.add({"entity": entity, "name": name[:255], "format": format, "locale": locale, "channel": ctx.channel, "total": about.number,
                         "question": ctx.tenant.secrets.encrypt(QUESTION, question),
                         "total_exact": about.exact, "created_at": unit.now, "created_by": user_id})
        put(unit.conn, unit.tables, kind=OUTBOX_KIND, payload={"export": made}, key=f"{OUTBOX_KIND}/{made}")
        unit.rings = True
        unit.log(unit.entity(entity), None, None, {"export_asked": {"export": made, "format": format, **question_told(revision, entity, asked)}})
        return Saved(entity, made, 1, name, message("export.asked", name=name))

    return perform(ctx, "ask_export", [entity, format, question], work)


def _packed(asked: Mapping[str, Any], sort: Sequence[str], columns: Sequence[str]) -> str:
    """The question as text: which rows, in which order, which columns."""
    view = asked.get("view")
    return json.dumps({
        "list": view.name if view is not None else None, "also": list(view.also) if view is not None else [], "tabs": bool(view and view.tabs),
        "filters": [[one.path, one.op, audit.typed(one.value)] for one in asked.get("filters") or ()],
        "q": asked.get("q"), "tab": asked.get("tab"), "archived": bool(asked.get("archived")), "sort": list(sort), "paths": list(columns),
    }, ensure_ascii=False)


def _question(pinned: Pinned, run: ExportRun) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(pinned.tenant.secrets.decrypt(QUESTION, run.question))
    return asked


def _unpacked(pinned: Pinned, run: ExportRun) -> dict[str, Any]:
    """The question as the reader takes it, in the words of the metadata as they are now. NotPossible when its list was removed: without
    the list's filter these would be other rows."""
    asked = _question(pinned, run)
    view: ListView | None = None
    if asked["list"]:
        view = pinned.catalog.lists.get(f"{run.entity}/{asked['list']}")
        if view is None:
            raise NotPossible(message("export.list_gone"))
        view = replace(view, also=tuple(asked["also"]), tabs=view.tabs if asked["tabs"] else {})
    filters = tuple(Filter(path, op, audit.untyped(value)) for path, op, value in asked["filters"])
    return {"view": view, "filters": filters, "q": asked["q"], "tab": asked["tab"], "archived": asked["archived"],
            "sort": tuple(asked["sort"]), "paths": tuple(asked["paths"])}


# -- making -------------------------------------------------------------------------------------------------------------


def handle_export(tenant: Tenant, row: Row, *, plugins: Registry | None = None, clock: Clock | None = None) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``export.run``."""
    registry, given = plugins or installed(), clock or SystemClock()
    run = _begin(tenant, row)
    if run is None:
        return None
    crash_point("export.begun")
    if row.attempts > TRIES:
        return _fail(tenant, row, run, message("export.deadly"), registry, given)
    pinned = Away(tenant, f"export-{run.id}", given)
    try:
        return _make(pinned, row, run)
    except _Ended:
        return {"export": run.id, "status": "cancelled"}
    except _Later:
        with tenant.write() as conn:
            row.later(conn)
        return {"export": run.id, "status": "again"}
    except (LeaseLost, Busy):
        raise
    except LoginRequired:
        return _fail(tenant, row, run, message("export.asker_gone"), registry, given)
    except UnknownPath as gone:
        return _fail(tenant, row, run, message("export.column_gone", column=str(gone)), registry, given)
    except MetaloomError as refused:
        problems = getattr(refused, "problems", ())
        return _fail(tenant, row, run, problems[0].message if problems else refused.message, registry, given)
    except Exception:
        if row.attempts < TRIES:
            raise
        log.exception("export %s of %s", run.id, tenant.name)
        return _fail(tenant, row, run, message("export.broken", run=run.id), registry, given)
    finally:
        pinned.release()


def _begin(tenant: Tenant, row: Row) -> ExportRun | None:
    """The export, running from now on; None when it is over."""
    with tenant.write() as conn:
        row.extend(conn)
        runs, id = ExportRuns(conn), int(row.payload["export"])
        if not runs.change(id, OPEN, status="running", rows=0, started_at=utc_now(), file=None, key=None):
            return None
        return runs.one(id)


def _make(pinned: Away, row: Row, run: ExportRun) -> Mapping[str, object]:
    pinned.enter(run.created_by or 0, run.channel)
    asked = _unpacked(pinned, run)
    reader = pinned.reader
    reader.locale = run.locale
    rights = rights_mark(pinned, run.entity, asked["paths"])
    name, key, file = pinned.tenant.sealed_files.create(str(run.id))
    try:
        with _beating(pinned.tenant, row) as first_row:
            told = _Teller(pinned, row, run, limit(pinned.catalog, "export_rows_max"), first_row)
            rows = export_rows(reader, run.entity, format=run.format, file=file, told=told, **asked)
        file.close()
        crash_point("export.written")
        _finish(pinned, row, run, asked, {"rows": rows, "size": file.size, "file": name, "rights": rights,
                                          "key": pinned.tenant.secrets.encrypt(f"{KEY}/{run.id}", b64encode(key).decode())})
    except BaseException:
        if not row.settled:                # what failed may have come after the transaction that gave the file its name
            _abandon(pinned, file, name)
        raise
    crash_point("export.noted")
    return {"export": run.id, "status": "done", "rows": rows}


@contextmanager
def _beating(tenant: Tenant, row: Row) -> Iterator[Event]:
    """Holds on to the lease until the event is set, at most ``FIRST_ROW_SECONDS``: a worker that dies meanwhile holds it for its usual time."""
    over, until = Event(), monotonic() + FIRST_ROW_SECONDS

    def beat() -> None:
        while not over.wait(BEAT_SECONDS) and monotonic() < until:
            try:
                with tenant.write() as conn:
                    row.extend(conn)
            except LeaseLost:           # whoever makes the file meets it too, at its next tick or at the end
                return
            except Exception:
                log.warning("export %s of %s: the lease was not held on to", row.payload.get("export"), tenant.name, exc_info=True)

    thread = Thread(target=beat, name="metaloom-export-lease", daemon=True)
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join()


class _Teller:
    """Says how far it is, holds on to the lease, and looks whether the export is still wanted: about once a second."""

    def __init__(self, pinned: Pinned, row: Row, run: ExportRun, most: int, first_row: Event) -> None:
        self._first_row = first_row
        self._tenant, self._row, self._id, self._most, self._told_at = pinned.tenant, row, run.id, most, monotonic()

    def __call__(self, rows: int) -> None:
        if not self._first_row.is_set():
            self._first_row.set()
            self._told_at = monotonic() - TICK_SECONDS
        if rows > self._most:
            raise too_large(self._most)
        if self._row.stopping():
            raise _Later
        if monotonic() - self._told_at < TICK_SECONDS:
            return
        self._told_at = monotonic()
        with suppress(Busy), self._tenant.write() as conn:      # somebody else writes for long: the next tick says it
            self._row.extend(conn)
            if not ExportRuns(conn).change(self._id, ("running",), rows=rows):
                raise _Ended


def _finish(pinned: Pinned, row: Row, run: ExportRun, asked: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """The file counts from this transaction on, with the audit and the message about it."""
    hours = limit(pinned.catalog, "export_keep_hours")
    told = {name: value for name, value in asked.items() if name not in ("sort", "paths")}
    facts = facts_of(pinned.revision, run.entity, run.format, made["rows"], asked["paths"], told) | {"export": run.id}
    ctx = pinned.context(locale=run.locale)

    def work(unit: Unit) -> ActionDone:
        row.settle(unit.conn)
        if not ExportRuns(unit.conn).change(run.id, ("running",), status="done", finished_at=unit.now, expires_at=unit.now + timedelta(hours=hours),
                                            total=made["rows"], total_exact=True, **made):
            raise _Ended
        unit.log(unit.entity(run.entity), None, None, {EXPORT: facts})
        notify(unit, [run.created_by or 0], kind="export", subject=message("export.done", name=run.name, rows=f"{made['rows']:,}"), link=PAGE)
        return ActionDone(run.entity, None, None, message("export.noted"))

    perform(ctx, EXPORT, [run.id], work)


def _abandon(pinned: Pinned, file: SealedWriter, name: str) -> None:
    file.abandon()
    pinned.tenant.sealed_files.remove(name)


def _fail(tenant: Tenant, row: Row, run: ExportRun, said: Message, plugins: Registry, clock: Clock) -> Mapping[str, object]:
    """The export ends without a file; the person hears why."""
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=f"export-{run.id}")

    def work(unit: Unit) -> ActionDone:
        row.settle(unit.conn)
        if ExportRuns(unit.conn).end(run.id, "failed", said):
            notify(unit, [run.created_by or 0], kind="export", subject=message("export.failed", name=run.name), body=said, link=PAGE)
        return ActionDone("", None, None, message("export.noted"))

    perform(ctx, EXPORT, [run.id], work)
    return {"export": run.id, "status": "failed"}


def rights_mark(pinned: Pinned, entity: str, paths: Sequence[str]) -> str:
    """A print of what the person may see of the entity and of every one that the columns lead to; where an expression says which rows,
    also of what it knows of the person: whoever changes companies sees other rows by the same words."""
    known = [pinned.reader.known_path(entity, text) for text in paths]
    about = {entity, *(path.entity for path in known), *(hop.entity for path in known for hop in path.hops),
             *(target_of(path.field) for path in known if path.is_link)}
    marks = [address + pinned.plan.rights(address).mark() for address in sorted(about) if address in pinned.catalog.entities]
    if any(pinned.plan.asks_environment(address) for address in about & pinned.catalog.entities.keys()):
        marks.append(repr([(name, sorted(value) if isinstance(value, frozenset) else value) for name, value in sorted(user_values(pinned.actor).items())]))
    return sha256("".join(marks).encode()).hexdigest()


# -- having -------------------------------------------------------------------------------------------------------------


def my_exports(pinned: Pinned) -> list[ExportRun]:
    """The person's own exports, newest first; one whose time is over counts as gone."""
    now = pinned.clock.now()
    return [replace(run, status="gone") if _expired(run, now) else run for run in ExportRuns(pinned.conn).of(_me(pinned.actor))]


def my_export(pinned: Pinned, id: int) -> ExportRun:
    """One of them; NotFound for anybody else's."""
    run = ExportRuns(pinned.conn).one(id)
    if run is None or run.created_by != _me(pinned.actor):
        raise NotFound()
    return replace(run, status="gone") if _expired(run, pinned.clock.now()) else run


def open_export(pinned: Pinned, id: int) -> ExportFile:
    """The file, for its person, who must still be allowed what it holds; each time it is taken the audit says so.

    NotAllowed without the right to export, NotPossible when there is no file (yet, or any more) or the person's rights changed since.
    """
    run = my_export(pinned, id)
    verdict = pinned.plan.may(run.entity, EXPORT) if run.entity in pinned.catalog.entities else None
    if verdict is not None and not verdict:
        raise NotAllowed(verdict.reason)
    if run.open:
        raise NotPossible(message("export.not_ready"))
    if verdict is None or run.status != "done" or run.file is None or run.key is None:
        raise NotPossible(message("export.gone"))
    if not _same_rights(pinned, run):
        raise NotPossible(message("export.rights_changed"))
    tenant, key = pinned.tenant, b64decode(pinned.tenant.secrets.decrypt(f"{KEY}/{run.id}", run.key))
    try:
        content = tenant.sealed_files.open(run.file, key)
    except NotFound:
        raise NotPossible(message("export.gone")) from None

    def work(unit: Unit) -> ActionDone:
        if not ExportRuns(unit.conn).change(id, ("done",), downloads=run.downloads + 1):
            raise NotPossible(message("export.gone"))
        unit.log(unit.entity(run.entity), None, None, {DOWNLOAD: {"export": id, "format": run.format, "rows": run.rows}})
        return ActionDone(run.entity, None, None, message("export.noted"))

    try:
        perform(pinned.context().with_key(None), DOWNLOAD, [id], work)
    except BaseException:
        content.close()
        raise
    return ExportFile(run.name, run.entity, run.format, run.size, content)


def _same_rights(pinned: Pinned, run: ExportRun) -> bool:
    try:
        return run.rights == rights_mark(pinned, run.entity, _question(pinned, run)["paths"])
    except UnknownPath:
        return False


def cancel_export(ctx: Context, id: int) -> Saved:
    """Ends an export of one's own that waits or is being made; the worker notices within a second or so."""
    return perform(ctx, "cancel_export", [id], lambda unit: _change(unit, id, "export.cancelled", "export.over", lambda runs: runs.end(id, "cancelled")))


def throw_export_away(ctx: Context, id: int) -> Saved:
    """Deletes the file of an export of one's own before its time."""
    return perform(ctx, "throw_export_away", [id],
                   lambda unit: _change(unit, id, "export.thrown_away", "export.gone", lambda runs: runs.throw_away(id)))


def _change(unit: Unit, id: int, said: str, refused: str, change: Callable[[ExportRuns], bool]) -> Saved:
    runs = ExportRuns(unit.conn)
    run = runs.one(id, lock=True)
    if run is None or run.created_by != _me(unit.ctx.actor):
        raise NotFound()
    if not change(runs):
        raise NotPossible(message(refused))
    unit.log(unit.catalog.entities.get(run.entity), None, None, {unit.command: {"export": id}})
    if run.file is not None:
        name, files = run.file, unit.ctx.tenant.sealed_files
        after_commit(unit.conn, lambda: files.remove(name))
    return Saved(run.entity, id, run.row_version + 1, run.name, message(said))


def sweep_exports(tenant: Tenant, clock: Clock) -> int:
    """Forgets the keys and files of exports whose time is over, and files that nobody names; how many files went."""
    with tenant.write() as conn:
        runs, now = ExportRuns(conn), clock.now()
        gone = [run for run in runs.expired(now) if runs.throw_away(run.id)]
        runs.forget(now, ROW_KEPT)
        kept = runs.files() | ImportRuns(conn).files()
    for run in gone:
        if run.file is not None:
            tenant.sealed_files.remove(run.file)
    return len(gone) + tenant.sealed_files.sweep(kept, ORPHAN_SECONDS)


def _expired(run: ExportRun, now: datetime) -> bool:
    return run.status == "done" and run.expires_at is not None and run.expires_at <= now


def _me(actor: Actor) -> int:
    if actor.user_id is None:
        raise LoginRequired
    return actor.user_id
