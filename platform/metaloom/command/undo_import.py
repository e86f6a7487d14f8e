"""Taking an import back: the records that came of it and that nobody has changed since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import Busy, MetaloomError, NotFound, NotPossible, Stale
from metaloom.base.messages import Message, message, register
from metaloom.command import rows
from metaloom.command.archive_record import archive_in
from metaloom.command.context import ActionDone, Context, message_in, message_out
from metaloom.command.delete_record import delete_in
from metaloom.command.failure import told
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform, permit
from metaloom.record.import_runs import ImportRun, ImportRuns, Left

register({
    "import.undone": ("已撤销导入：收回 {n} 条，保留 {kept} 条。", "The import was undone: {n} taken back, {kept} kept."),
    "import.nothing_left": ("这次导入已全部撤销。", "This import was undone already."),
    "import.undone_so_far": ("已收回 {n} 条，尚未全部撤销，请再次点击“撤销导入”。", "{n} were taken back so far; press Undo again for the rest."),
    "import.under_way": ("导入仍在进行，请先停止。", "The import is still under way; stop it first."),
    "import.changed_since": ("导入后已有改动，予以保留。", "It was changed after the import and is kept."),
    "import.gone": ("这条记录已不存在或已归档。", "It is gone or archived already."),
})

UNDO_SECONDS = 20.0


@dataclass(frozen=True)
class Undone:
    """``kept``: why each record that stays does so, by id; their titles as far as the person may read them."""

    run: int
    entity: str
    taken_back: int
    kept: tuple[tuple[int, Message], ...]
    message: Message
    replayed: bool = False


def import_runs(ctx: Context, conn: sa.Connection, entity: str) -> list[ImportRun]:
    """The imports of an entity: a person's own; administrators of the whole tenant see everybody's."""
    if entity not in ctx.revision.catalog.entities or not ctx.plan.may(entity, "import"):
        raise NotFound
    return ImportRuns(conn).of(entity, None if ctx.actor.holds_everywhere(ADMIN) else ctx.actor.user_id)


def import_run(ctx: Context, conn: sa.Connection, entity: str, id: int) -> ImportRun:
    """One of them; NotFound for what the person does not see."""
    run = ImportRuns(conn).one(id)
    if run is None or run.entity != entity or entity not in ctx.revision.catalog.entities or not ctx.plan.may(entity, "import") or not may_see(ctx, run):
        raise NotFound
    return run


def undo_import(ctx: Context, id: int) -> Undone:
    """Deletes, or archives where nothing is deleted for good, what the import made. Records that moved on since, that are in work or
    that others refer to stay, each with its reason. The rights are ``import``, and ``delete`` on every record. May be repeated while
    records are left: one that was made in the background goes part by part, for some seconds at a time."""
    ctx = replace(ctx, channel="import")
    with ctx.tenant.read() as conn:
        seen = ImportRuns(conn).one(id)
    if seen is not None and seen.long:
        return _undo_parts(ctx.with_key(None), seen)

    def work(unit: Unit) -> ActionDone:
        run = _to_undo(unit, id)
        kept, gone, left = _back(unit, run, run.left)
        ImportRuns(unit.conn).change(id, {"left": left})
        return ActionDone(run.entity, None, None, message("import.undone", n=gone, kept=len(kept)),
                          {"taken_back": gone, "kept": [[one[0], message_out(why)] for one, why in kept]})

    done = perform(ctx, "undo_import", [id], work)
    return Undone(id, done.entity, done.results["taken_back"], tuple((key, message_in(why)) for key, why in done.results["kept"]), done.message, done.replayed)


def may_see(ctx: Context, run: ImportRun) -> bool:
    """One's own; administrators of the whole tenant see everybody's."""
    return ctx.system or run.user_id == ctx.actor.user_id or ctx.actor.holds_everywhere(ADMIN)


def _undo_parts(ctx: Context, run: ImportRun) -> Undone:
    """Each part in a transaction of its own, last come first, until nothing is left or the time is over."""
    tried: list[int] = []
    kept: list[tuple[int, Message]] = []
    taken, until = 0, monotonic() + UNDO_SECONDS

    def work(unit: Unit) -> ActionDone:
        runs, now = ImportRuns(unit.conn), _to_undo(unit, run.id, begun=bool(tried))
        part = runs.next_part_to_undo(run.id, tried)
        if part is None:
            return ActionDone(run.entity, None, None, message("import.nothing_left"), {"part": None})
        stay, gone, left = _back(unit, now, part[1])
        runs.part_undone(part[0], left, unit.now)
        return ActionDone(run.entity, None, None, message("import.nothing_left"), {"part": part[0], "gone": gone, "kept": stay})

    while True:
        done = perform(ctx, "undo_import", [run.id], work)
        if done.results["part"] is None:
            said = message("import.undone", n=taken, kept=len(kept))
            break
        tried.append(done.results["part"])
        taken += done.results["gone"]
        kept += [(one[0], why) for one, why in done.results["kept"]]
        if monotonic() > until:
            said = message("import.undone_so_far", n=taken)
            break
    return Undone(run.id, run.entity, taken, tuple(kept), said)


def _to_undo(unit: Unit, id: int, *, begun: bool = False) -> ImportRun:
    """The import, locked, which the person may take back and of which something is left (``begun``: or was, a moment ago)."""
    run = ImportRuns(unit.conn).one(id, lock=True)
    if run is None or run.entity not in unit.catalog.entities or not may_see(unit.ctx, run):
        raise NotFound
    permit(unit, run.entity, "import")
    permit(unit, run.entity, "delete")
    if run.open:
        raise NotPossible(message("import.under_way"))
    if not run.rows_left and not begun:
        raise NotPossible(message("import.nothing_left"))
    return run


def _back(unit: Unit, run: ImportRun, left: Left) -> tuple[list[tuple[tuple[int, int], Message]], int, list[list[int]]]:
    """Takes back what it can of ``left``: what stays with its reason, how many are gone, and what a later undo may try again."""
    kept = [(one, why) for one in reversed(left) if (why := _take_back(unit, run.entity, *one)) is not None]
    gone = len(left) - len(kept)
    ImportRuns(unit.conn).change(run.id, {"undone": run.undone + gone, "undone_at": unit.now, "undone_by": unit.ctx.actor.user_id,
                                          "updated_by": unit.ctx.actor.user_id})
    unit.log(unit.entity(run.entity), None, None, {"undo_import": {"run": run.id, "taken_back": gone, "kept": [one[0] for one, _ in kept]}})
    return kept, gone, [list(one) for one, why in kept if why.code != "import.gone"]


def _take_back(unit: Unit, entity: str, id: int, version: int) -> Message | None:
    """None when the record is gone again, else why it stays."""
    logged = len(unit.entries)
    back: Any = delete_in if unit.entity(entity).delete == "physical" else archive_in
    try:
        with unit.conn.begin_nested():
            back(unit, entity, id, version)
        return None
    except (MetaloomError, sa.exc.DBAPIError) as error:
        said = told(unit.ctx, error) if isinstance(error, sa.exc.DBAPIError) else error
        if said is None or isinstance(said, Busy):
            raise
        del unit.entries[logged:]
        unit.memory.clear()
        row = rows.fetch(unit, entity, id)
        if isinstance(said, NotFound) or row is None or row.get("archived_at") is not None:
            return message("import.gone")
        return message("import.changed_since") if isinstance(said, Stale) else said.message
