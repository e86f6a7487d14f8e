"""Imports of many rows: checked and taken by a worker as the person who asked, part by part, each part one transaction.

The rows lie sealed until they are behind. The place moves on in the transaction that stores a part, under the lease of the outbox row: a worker that
dies leaves no half row, and the next one goes on with no row twice. Rows that fail are kept, sealed, with what is wrong with them; the
person corrects them in a workbook of their own, and sends it as the continuation of the same import.
"""

from __future__ import annotations

import io
import json
import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from time import monotonic
from typing import Any

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Invalid, LoginRequired, MetaloomError, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import Message, message, register
from metaloom.command.clash import Clash
from metaloom.command.context import ActionDone, Context, Saved, message_in, message_out
from metaloom.command.handle_call import system_context
from metaloom.command.import_records import Imported, Undo, read_import, try_all
from metaloom.command.limits import limit
from metaloom.command.notify import notify
from metaloom.command.session import Away, Pinned
from metaloom.command.undo_import import may_see
from metaloom.command.unit import Unit, note_clashes, perform, permit
from metaloom.job import LeaseLost
from metaloom.job.outbox import Row
from metaloom.model import Entity
from metaloom.plugin.registry import Registry, installed
from metaloom.record.import_runs import HALTED, OPEN, ImportRun, ImportRuns, called
from metaloom.storage import Tenant, after_commit
from metaloom.storage.outbox import put

log = logging.getLogger(__name__)

OUTBOX_KIND, IMPORT = "import.run", "import"
KEY, FAILED_ROW = "platform.import/key", "platform.import/row"
PART_ROWS, TURN_SECONDS = 100, 10.0
"""Rows of one transaction; and how long one import works before others of the queue have their turn."""
TRIES, OPEN_MAX = 5, 3
GONE_KEPT = timedelta(days=30)
DRY_RUN, GOOD_ROWS, CORRECTED = "dry_run", "good_rows", "corrected"

register({
    "import.asked": ("正在后台检查“{name}”，完成后会通知您。", "{name} is being checked in the background; you will be told when it is done."),
    "import.begun": ("正在后台导入“{name}”，完成后会通知您。", "{name} is being imported in the background; you will be told when it is done."),
    "import.checked": ("“{name}”已检查，可导入 {good} 行，有问题 {failed} 行。", "{name} was checked: {good} rows can be imported, {failed} have problems."),
    "import.ended": ("“{name}”已导入，新增 {kept} 条，未导入 {failed} 行。", "{name} was imported: {kept} records, {failed} rows are not in."),
    "import.stopped": ("导入“{name}”已中止。", "The import {name} was stopped."),
    "import.cancelled": ("导入已停止，已导入的记录保留。", "The import was stopped; what came in so far stays."),
    "import.too_many_open": ("最多同时进行 {limit} 个导入，请等待或停止其中一个。", "At most {limit} imports are made at a time; wait, or stop one."),
    "import.in_parts": ("超过 {limit} 行的导入分批进行，不能全部成功或全部放弃，请只导入没有问题的行。",
                        "More than {limit} rows are imported part by part, so not all or none: take the good rows only."),
    "import.over": ("该导入现在不能这样做。", "That cannot be done with this import now."),
    "import.rows_gone": ("导入文件已过期，请重新上传。", "The rows are kept no longer; upload the file again."),
    "import.entity_gone": ("所导入的对象已不存在。", "There is no such thing to import any more."),
    "import.asker_gone": ("发起人的账号已停用。", "The account of whoever asked is switched off."),
    "import.broken": ("导入时出现内部错误，详见系统日志（导入 {run}）。", "An internal error; the log says more (import {run})."),
    "import.deadly": ("导入时进程多次中断，已停在第 {row} 行之后。", "The process died several times; the import stands behind row {row}."),
    "import.not_numbered": ("第 {row} 行没有原行号，请使用从本页下载的文件。", "Row {row} has no original row number; use the workbook that this page gives."),
    "import.not_failed": ("原行号 {row} 不在未导入的行中，或出现了两次。", "The original row {row} is not among those that are not in, or stands there twice."),
})


class _Ended(Exception):
    """The import was stopped meanwhile, or somebody else is ahead."""


@dataclass(frozen=True)
class FailedRow:
    """A row that is not in. ``number``: where it stood in the first file; ``cells``: what was sent, by field."""

    number: int
    cells: Mapping[str, Any]
    problems: tuple[Problem, ...]


# -- asking -------------------------------------------------------------------------------------------------------------


def is_long(pinned: Pinned, rows: int) -> bool:
    """Whether so many rows are imported in the background."""
    return rows > limit(pinned.catalog, "import_rows_at_once")


def begin_import(pinned: Pinned, entity: str, rows: Sequence[tuple[int, Mapping[str, Any]]], *, name: str, source: str = "import", mode: str = DRY_RUN,
                 locale: str = "zh", key: str | None = None) -> Saved:
    """A row of the import and a worker's turn. ``rows``: the number of each row and its cells as they were sent, by field. ``source``: how they are
    read, ``import`` (a sheet) or ``json``. ``key``: the same key begins one import. The answer is the import.

    NotAllowed without the rights ``import`` and ``create``; NotPossible when the person has too many under way, or wants all rows or none.
    """
    if mode not in (DRY_RUN, GOOD_ROWS):
        raise NotPossible(message("import.in_parts", limit=limit(pinned.catalog, "import_rows_at_once")))
    most = limit(pinned.catalog, "import_rows_max")
    if len(rows) > most:
        raise NotPossible(message("command.bulk_limit", limit=most))
    ctx, name = replace(pinned.context(locale=locale, idempotency_key=key), channel="import"), called(name)
    file, sealed_key, digest = _seal(ctx.tenant, rows)

    def work(unit: Unit) -> Saved:
        permit(unit, entity, "import")
        permit(unit, entity, "create")
        runs, user_id = ImportRuns(unit.conn), ctx.actor.user_id
        if user_id is None:
            raise LoginRequired
        if runs.count(user_id, *OPEN) >= OPEN_MAX:
            raise NotPossible(message("import.too_many_open", limit=OPEN_MAX))
        made = runs.add({"entity": entity, "name": name, "mode": mode, "rows_read": len(rows), "rows_kept": 0, "left": [], "created_at": unit.now,
                         "created_by": user_id, "status": "waiting", "source": source, "locale": locale, "total": len(rows), "file": file, "key": sealed_key})
        _queue(unit, made, 1)
        unit.log(unit.entity(entity), None, None, {"import_asked": {"run": made, "rows": len(rows), "mode": mode}})
        return Saved(entity, made, 1, name, message("import.asked" if mode == DRY_RUN else "import.begun", name=name))

    return _with_file(ctx, file, "ask_import", [entity, mode, source, digest], work)


def start_import(ctx: Context, id: int) -> Saved:
    """Takes the good rows of an import of one's own that was checked, or goes on with one that was stopped, where it stands."""

    def work(unit: Unit) -> Saved:
        runs = ImportRuns(unit.conn)
        run = _own(unit, id)
        if run.file is None:
            raise NotPossible(message("import.rows_gone" if run.status in ("checked", "gone", *HALTED) else "import.over"))
        anew: dict[str, Any] = {"mode": GOOD_ROWS, "done": 0, "good": 0, "failed": 0} if run.status == "checked" else {}
        if not runs.change(id, {"status": "waiting", "expires_at": None, "sentence": None, "sentence_en": None, **anew}, ("checked", *HALTED)):
            raise NotPossible(message("import.over"))
        if anew:
            runs.forget_failed(id)
        _queue(unit, id, run.row_version + 1)
        unit.log(unit.entity(run.entity), None, None, {"import_started": {"run": id}})
        return Saved(run.entity, id, 1, run.name, message("import.begun", name=run.name))

    return perform(replace(ctx, channel="import"), "start_import", [id], work)


def correct_import(ctx: Context, id: int, rows: Sequence[tuple[int | None, Mapping[str, Any]]]) -> Saved:
    """Rows that failed, corrected, as the continuation of the same import. ``rows``: the number at which each stood first, and its cells.

    NotPossible when a row has no number, stands there twice, or is not among those that are not in: so none comes in a second time.
    """
    for place, (number, _) in enumerate(rows, start=1):
        if number is None:
            raise NotPossible(message("import.not_numbered", row=place))
    numbered = [(number, cells) for number, cells in rows if number is not None]
    ctx = replace(ctx, channel="import")
    file, sealed_key, digest = _seal(ctx.tenant, numbered)

    def work(unit: Unit) -> Saved:
        run, runs = _own(unit, id), ImportRuns(unit.conn)
        if run.status != "done" or not run.failed:
            raise NotPossible(message("import.over"))
        wanting = runs.failed_rows(id)
        for number, _ in numbered:
            if number not in wanting:
                raise NotPossible(message("import.not_failed" if wanting else "import.rows_gone", **({"row": number} if wanting else {})))
            wanting.discard(number)
        runs.change(id, {"mode": CORRECTED, "source": "import", "status": "waiting", "total": len(numbered), "done": 0, "good": 0, "file": file,
                         "key": sealed_key, "expires_at": None})
        _queue(unit, id, run.row_version + 1)
        unit.log(unit.entity(run.entity), None, None, {"import_corrected": {"run": id, "rows": len(numbered)}})
        return Saved(run.entity, id, 1, run.name, message("import.begun", name=run.name))

    return _with_file(ctx, file, "correct_import", [id, digest], work)


def cancel_import(ctx: Context, id: int) -> Saved:
    """Stops an import that waits or is being made; what came in stays, and it can go on later."""

    def work(unit: Unit) -> Saved:
        runs = ImportRuns(unit.conn)
        run = runs.one(id, lock=True)
        if run is None or not may_see(ctx, run):
            raise NotFound
        if not runs.end(id, "cancelled", None, _keep_until(unit)):
            raise NotPossible(message("import.over"))
        unit.log(unit.catalog.entities.get(run.entity), None, None, {"import_cancelled": {"run": id}})
        return Saved(run.entity, id, 1, run.name, message("import.cancelled"))

    return perform(replace(ctx, channel="import"), "cancel_import", [id], work)


def failed_rows(ctx: Context, conn: Any, run: ImportRun, most: int) -> list[FailedRow]:
    """The first rows of an import that are not in, at most so many, in their order, each with what is wrong with it."""
    return [_failed_row(ctx.tenant, run.id, number, content) for number, content in ImportRuns(conn).failed(run.id, limit=most)]


def _own(unit: Unit, id: int) -> ImportRun:
    """The import, locked, which its person alone may go on with: what comes in then comes in by that person's rights."""
    run = ImportRuns(unit.conn).one(id, lock=True)
    if run is None or run.entity not in unit.catalog.entities or not may_see(unit.ctx, run):
        raise NotFound
    if run.user_id != unit.ctx.actor.user_id:
        raise NotPossible(message("import.over"))
    permit(unit, run.entity, "import")
    permit(unit, run.entity, "create")
    return run


def _queue(unit: Unit, id: int, turn: int) -> None:
    put(unit.conn, unit.tables, kind=OUTBOX_KIND, payload={"import": id}, key=f"{OUTBOX_KIND}/{id}/{turn}")
    unit.rings = True


def _with_file(ctx: Context, file: str, command: str, body: list[Any], work: Any) -> Saved:
    """The command, whose sealed file goes where it does not come to name it."""
    try:
        done: Saved = perform(ctx, command, body, work)
    except BaseException:
        ctx.tenant.sealed_files.remove(file)
        raise
    if done.replayed:
        ctx.tenant.sealed_files.remove(file)
    return done


# -- rows as they lie ---------------------------------------------------------------------------------------------------


def _seal(tenant: Tenant, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> tuple[str, str, str]:
    """A sealed file of the rows, one to a line: its name, its key as the tenant's secrets hold it, and a digest of what it holds."""
    name, key, file = tenant.sealed_files.create(f"import-{secrets.token_hex(4)}")
    told = sha256()
    for number, cells in rows:
        line = _packed([number, cells]).encode() + b"\n"
        told.update(line)
        file.write(line)
    file.close()
    return name, tenant.secrets.encrypt(f"{KEY}/{name}", b64encode(key).decode()), told.hexdigest()


@contextmanager
def _lines(tenant: Tenant, run: ImportRun) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """The rows that are not behind yet: number and cells."""
    if run.file is None or run.key is None:
        raise NotPossible(message("import.rows_gone"))
    try:
        content = tenant.sealed_files.open(run.file, b64decode(tenant.secrets.decrypt(f"{KEY}/{run.file}", run.key)))
    except NotFound:
        raise NotPossible(message("import.rows_gone")) from None
    with io.BufferedReader(content) as lines:
        yield ((number, cells) for number, cells in map(_unpacked, islice(lines, run.done, None)))


def _packed(value: Any) -> str:
    """JSON that keeps decimals and instants, marked by a name that no field has."""
    return json.dumps(value, ensure_ascii=False, default=_marked)


def _marked(value: Any) -> Any:
    for kind, of in (("decimal", Decimal), ("datetime", datetime), ("date", date), ("time", time)):
        if isinstance(value, of):
            return {f"\0{kind}": str(value) if isinstance(value, Decimal) else value.isoformat()}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _unpacked(text: str | bytes) -> Any:
    return json.loads(text, object_hook=_unmarked)


def _unmarked(value: dict[str, Any]) -> Any:
    read = _READ.get(next(iter(value), "")) if len(value) == 1 else None
    return read(next(iter(value.values()))) if read is not None else value


_READ: Mapping[str, Any] = {"\0decimal": Decimal, "\0datetime": datetime.fromisoformat, "\0date": date.fromisoformat, "\0time": time.fromisoformat}


def _failed_row(tenant: Tenant, run: int, number: int, content: str) -> FailedRow:
    cells, problems = _unpacked(tenant.secrets.decrypt(f"{FAILED_ROW}/{run}/{number}", content))
    return FailedRow(number, cells, tuple(Problem(field, message_in(said)) for field, said in problems))


def _sealed_row(tenant: Tenant, run: int, number: int, cells: Mapping[str, Any], problems: Sequence[Problem]) -> str:
    return tenant.secrets.encrypt(f"{FAILED_ROW}/{run}/{number}", _packed([cells, [[one.field, message_out(one.message)] for one in problems]]))


# -- working ------------------------------------------------------------------------------------------------------------


def handle_import(tenant: Tenant, row: Row, *, plugins: Registry | None = None, clock: Clock | None = None) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``import.run``."""
    registry, given = plugins or installed(), clock or SystemClock()
    run = _begin(tenant, row)
    if run is None:
        return None
    crash_point("import.begun")
    house = system_context(tenant, plugins=registry, clock=given, request_id=f"import-{run.id}")
    if row.attempts > TRIES:
        return _stop(house, row, run, message("import.deadly", row=run.done))
    try:
        return _work(house, row, run)
    except _Ended:
        return {"import": run.id, "status": "ended"}
    except (LeaseLost, Busy):
        raise
    except LoginRequired:
        return _stop(house, row, run, message("import.asker_gone"))
    except MetaloomError as refused:
        problems = getattr(refused, "problems", ())
        return _stop(house, row, run, problems[0].message if problems else refused.message)
    except Exception:
        if row.attempts < TRIES:
            raise
        log.exception("import %s of %s", run.id, tenant.name)
        return _stop(house, row, run, message("import.broken", run=run.id))


def _begin(tenant: Tenant, row: Row) -> ImportRun | None:
    """The import, running from now on; None when it is over."""
    with tenant.write() as conn:
        row.extend(conn)
        runs, id = ImportRuns(conn), int(row.payload["import"])
        if not runs.change(id, {"status": "running"}, OPEN):
            return None
        return runs.one(id)


def _work(house: Context, row: Row, run: ImportRun) -> Mapping[str, object]:
    tenant, until = house.tenant, monotonic() + TURN_SECONDS
    twins = _twins_so_far(tenant, run)
    with _lines(tenant, run) as lines:
        while part := list(islice(lines, PART_ROWS)):
            if row.stopping() or monotonic() > until:
                return _again(house, row, run)
            behind = run.done + len(part)
            run = _one_part(house, row, run, part, twins)
            crash_point("import.part_kept")
            if run.done < behind:           # a clash halted it just as the hour was over: its rows are read anew from there
                return _again(house, row, run)
            with tenant.read() as conn:
                twins.add(part, ImportRuns(conn).failed_rows(run.id, [number for number, _ in part]))
    return _finish(house, row, run)


def _again(house: Context, row: Row, run: ImportRun) -> Mapping[str, object]:
    """Puts the import back for another turn."""
    with house.tenant.write() as conn:
        row.later(conn)
    return {"import": run.id, "status": "again", "done": run.done}


class _Twins:
    """Which row of a file was the first to hold something that only one record may hold. Cells are compared as they were sent: the database
    has the last word."""

    def __init__(self, entity: Entity | None) -> None:
        rules = [] if entity is None else [entity.natural_key, *(rule.fields for rule in entity.unique.values()),
                                           *((one.name,) for one in entity.fields.values() if one.unique)]
        self._first: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {names: {} for names in rules if names}

    def add(self, rows: Iterable[tuple[int, Mapping[str, Any]]], without: Collection[int]) -> None:
        for number, cells in rows if self._first else ():
            for names, first in self._first.items() if number not in without else ():
                if (key := _held(names, cells)) is not None:
                    first.setdefault(key, number)

    def first(self, names: Sequence[str], cells: Mapping[str, Any]) -> int | None:
        """The number of the row that holds the same in the fields of this rule."""
        key = _held(names, cells)
        return self._first.get(tuple(names), {}).get(key) if key is not None else None

    def of(self, part: Iterable[tuple[int, Mapping[str, Any]]]) -> set[int]:
        """The numbers of the rows before that hold what one of these rows holds."""
        return {number for _, cells in part for names in self._first if (number := self.first(names, cells)) is not None}


def _held(names: Sequence[str], cells: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What a row holds in these fields; None where one is empty: such rows may be many."""
    key = tuple(str(cells.get(name) or "").strip() for name in names)
    return key if all(key) else None


def _twins_so_far(tenant: Tenant, run: ImportRun) -> _Twins:
    """What the rows hold that are behind and did not fail."""
    twins = _Twins(tenant.revision().catalog.entities.get(run.entity))
    if run.done:
        with tenant.read() as conn:
            failed = ImportRuns(conn).failed_rows(run.id)
        with _behind(tenant, run) as lines:
            twins.add(lines, failed)
    return twins


@contextmanager
def _behind(tenant: Tenant, run: ImportRun) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """The rows that are behind."""
    with _lines(tenant, replace(run, done=0)) as lines:
        yield islice(lines, run.done)


def _rows_before(tenant: Tenant, run: ImportRun, part: Sequence[tuple[int, dict[str, Any]]], twins: _Twins) -> list[tuple[int, dict[str, Any]]]:
    """Rows behind that the part is tried together with, where nothing is kept: the database no longer has what they hold."""
    numbers = twins.of(part) if run.checking else set()
    if not numbers:
        return []
    with _behind(tenant, run) as lines:
        return [one for one in lines if one[0] in numbers]


def _without_first(tried: Imported, count: int, rows: int) -> Imported:
    """What came of ``rows`` rows, the first ``count`` of which were only there to be met."""
    problems = tuple(replace(one, row=one.row - count) for one in tried.problems if one.row > count)
    stopped = max(0, tried.stopped - count) if tried.stopped is not None else None
    return replace(tried, good=(rows - count if stopped is None else stopped) - len({one.row for one in problems}), problems=problems, stopped=stopped)


def _one_part(house: Context, row: Row, run: ImportRun, part: Sequence[tuple[int, dict[str, Any]]], twins: _Twins) -> ImportRun:
    """The next rows, as the person who asked, by the rights and the metadata of this moment. TooMany at a row whose clash the person may not be
    told within this hour: what was tried before it is kept, and the import stands there."""
    before = _rows_before(house.tenant, run, part, twins)
    ctx, read = _as_asker(house, run, [cells for _, cells in (*before, *part)])
    first = len(before)
    clashes: list[Clash] = []
    found: list[tuple[Imported, Sequence[tuple[int, dict[str, Any]]], list[int]]] = []

    def work(unit: Unit) -> ActionDone:
        clashes.clear()
        row.extend(unit.conn)
        _hold(unit.conn, run)
        permit(unit, run.entity, "import")
        permit(unit, run.entity, "create")
        wanted = _wanted(unit.conn, run, [number for number, _ in part])
        versions: dict[int, int] = {}
        rows = [*before, *(part[at] for at in wanted)]
        tried = try_all(unit, run.entity, [*read[:first], *(read[first + at] for at in wanted)], clashes, versions, [number for number, _ in rows],
                        lambda at, names: twins.first(names, rows[at][1]))
        tried = _without_first(tried, first, len(rows)) if first else tried
        tried_rows, tried_at = (part, wanted) if tried.stopped is None else (part[:wanted[tried.stopped]], wanted[:tried.stopped])
        found[:] = [(tried, tried_rows, tried_at)]
        if run.checking:
            raise Undo
        crash_point("import.part_tried")
        _note(unit.conn, house.tenant, run, tried_rows, tried, tried_at, versions)
        crash_point("import.part_noted")
        return ActionDone(run.entity, None, None, message("command.done", action=unit.entity(run.entity).label))

    try:
        perform(ctx, IMPORT, [run.id, run.done], work)
    except Undo:
        with house.tenant.write() as conn:
            row.extend(conn)
            _hold(conn, run)
            tried, tried_rows, tried_at = found[0]
            _note(conn, house.tenant, run, tried_rows, tried, tried_at, {})
    finally:
        if clashes:
            note_clashes(ctx, clashes)
    with house.tenant.read() as conn:
        now = ImportRuns(conn).one(run.id)
    assert now is not None
    return now


def _as_asker(house: Context, run: ImportRun, cells: Sequence[Mapping[str, Any]]) -> tuple[Context, list[Mapping[str, Any] | Invalid]]:
    """The context of the person who asked, as things are now, and the rows read with that person's eyes."""
    pinned = Away(house.tenant, house.request_id, house.clock)
    try:
        pinned.enter(run.user_id or 0, IMPORT)
        if run.entity not in pinned.catalog.entities:
            raise NotPossible(message("import.entity_gone"))
        for right in ("import", "create"):
            if not (verdict := pinned.plan.may(run.entity, right)):
                raise NotAllowed(verdict.reason)
        read = read_import(pinned, run.entity, cells, run.source)
        return pinned.context(locale=run.locale, plugins=house.plugins), read
    finally:
        pinned.release()


def _hold(conn: Any, run: ImportRun) -> None:
    """Locks the import; it must stand where it was read."""
    now = ImportRuns(conn).one(run.id, lock=True)
    if now is None or now.status != "running" or (now.done, now.mode, now.file) != (run.done, run.mode, run.file):
        raise _Ended


def _wanted(conn: Any, run: ImportRun, numbers: Sequence[int]) -> list[int]:
    """Places within the part that are tried: all, or of corrected rows those that are still not in."""
    if run.mode != CORRECTED:
        return list(range(len(numbers)))
    wanting = ImportRuns(conn).failed_rows(run.id, numbers)
    return [at for at, number in enumerate(numbers) if number in wanting]


def _note(conn: Any, tenant: Tenant, run: ImportRun, part: Sequence[tuple[int, dict[str, Any]]], tried: Imported, wanted: Sequence[int],
          versions: Mapping[int, int]) -> None:
    """What came of the part: its records, its rows that failed, and how far the import is."""
    runs, problems = ImportRuns(conn), dict[int, list[Problem]]()
    for one in tried.problems:
        problems.setdefault(wanted[one.row - 1], []).append(one.problem)
    behind = runs.forget_failed(run.id, [part[at][0] for at in wanted])
    runs.fail(run.id, {part[at][0]: _sealed_row(tenant, run.id, *part[at], found) for at, found in problems.items()})
    if versions:
        runs.keep_part(run.id, versions.items())
    runs.change(run.id, {"done": run.done + len(part), "good": run.good + tried.good, "failed": run.failed - behind + len(problems),
                         "rows_kept": run.rows_kept + len(versions)}, ("running",))


def _finish(house: Context, row: Row, run: ImportRun) -> Mapping[str, object]:
    """All rows are behind: what was only checked waits for its person, what was taken is done."""
    def work(unit: Unit) -> ActionDone:
        row.settle(unit.conn)
        over: dict[str, Any] = {"status": "checked"} if run.checking else {"status": "done", "file": None, "key": None}
        if not ImportRuns(unit.conn).change(run.id, {**over, "finished_at": unit.now, "expires_at": _keep_until(unit)}, ("running",)):
            raise _Ended
        said = message("import.checked", name=run.name, good=f"{run.good:,}", failed=f"{run.failed:,}") if run.checking else message(
            "import.ended", name=run.name, kept=f"{run.rows_kept:,}", failed=f"{run.failed:,}")
        unit.log(unit.catalog.entities.get(run.entity), None, None, {
            "import_checked" if run.checking else "import_ended": {"run": run.id, "rows": run.total, "good": run.good, "failed": run.failed}})
        notify(unit, [run.user_id or 0], kind=IMPORT, subject=said, link=page_of(run))
        if not run.checking:
            _throw_away(unit.conn, unit.ctx.tenant, run)
        return ActionDone(run.entity, None, None, said)

    perform(house, IMPORT, [run.id], work)
    crash_point("import.ended")
    return {"import": run.id, "status": "checked" if run.checking else "done", "good": run.good, "failed": run.failed}


def _stop(house: Context, row: Row, run: ImportRun, said: Message) -> Mapping[str, object]:
    """The import stops where it stands; the person hears why, and can go on with it."""
    def work(unit: Unit) -> ActionDone:
        row.settle(unit.conn)
        if ImportRuns(unit.conn).end(run.id, "failed", said, _keep_until(unit)):
            notify(unit, [run.user_id or 0], kind=IMPORT, subject=message("import.stopped", name=run.name), body=said, link=page_of(run))
        return ActionDone("", None, None, said)

    perform(house, IMPORT, [run.id], work)
    return {"import": run.id, "status": "failed"}


def page_of(run: ImportRun) -> str:
    """Where an import is shown."""
    return f"/e/{run.entity}/imports/{run.id}"


def _throw_away(conn: Any, tenant: Tenant, run: ImportRun) -> None:
    if run.file is not None:
        name, files = run.file, tenant.sealed_files
        after_commit(conn, lambda: files.remove(name))


def _keep_until(unit: Unit) -> datetime:
    return unit.now + timedelta(hours=limit(unit.catalog, "import_keep_hours"))


def sweep_imports(tenant: Tenant, clock: Clock) -> int:
    """Forgets rows of imports whose time is over; how many imports. Their figures, and what undoes them, stay."""
    now = clock.now()
    with tenant.read() as conn:
        over = ImportRuns(conn).expired(now)
    forgotten = sum(_forget_rows(tenant, id, now) for id in over)
    with tenant.write() as conn:
        ImportRuns(conn).forget(now, GONE_KEPT)
    return forgotten


def _forget_rows(tenant: Tenant, id: int, now: datetime) -> bool:
    """Whether the time of this import is over still, once it is locked: its person may have taken it up again meanwhile, with a new file."""
    with tenant.write() as conn:
        runs = ImportRuns(conn)
        run = runs.one(id, lock=True)
        if run is None or not run.expired(now):
            return False
        runs.forget_failed(id)
        runs.change(id, {"file": None, "key": None, "expires_at": None, "status": run.status if run.rows_kept else "gone"})
        _throw_away(conn, tenant, run)
    return True
