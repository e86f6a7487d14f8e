"""Taking an import back: the records that came of it and that nobody has changed since."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from metaloom.record.import_runs import ImportRun, ImportRuns

register({
    "import.undone": ("已撤销导入：收回 {n} 条，保留 {kept} 条。", "The import was undone: {n} taken back, {kept} kept."),
    "import.nothing_left": ("这次导入已全部撤销。", "This import was undone already."),
    "import.changed_since": ("导入后已有改动，予以保留。", "It was changed after the import and is kept."),
    "import.gone": ("这条记录已不存在或已归档。", "It is gone or archived already."),
})


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


def undo_import(ctx: Context, id: int) -> Undone:
    """Deletes, or archives where nothing is deleted for good, what the import made. Records that moved on since, that are in work or
    that others refer to stay, each with its reason. The rights are ``import``, and ``delete`` on every record. May be repeated while
    records are left."""
    ctx = replace(ctx, channel="import")

    def work(unit: Unit) -> ActionDone:
        run = ImportRuns(unit.conn).one(id, lock=True)
        if run is None or run.entity not in unit.catalog.entities or not _may_see(ctx, run):
            raise NotFound
        permit(unit, run.entity, "import")
        permit(unit, run.entity, "delete")
        if not run.left:
            raise NotPossible(message("import.nothing_left"))
        kept = [(one, why) for one in reversed(run.left) if (why := _take_back(unit, run.entity, *one)) is not None]
        gone = len(run.left) - len(kept)
        left = [list(one) for one, why in kept if why.code != "import.gone"]
        ImportRuns(unit.conn).change(id, {"left": left, "undone": run.undone + gone, "undone_at": unit.now, "undone_by": ctx.actor.user_id,
                                          "updated_at": unit.now, "updated_by": ctx.actor.user_id})
        unit.log(unit.entity(run.entity), None, None, {"undo_import": {"run": id, "taken_back": gone, "kept": [one[0] for one, _ in kept]}})
        return ActionDone(run.entity, None, None, message("import.undone", n=gone, kept=len(kept)),
                          {"taken_back": gone, "kept": [[one[0], message_out(why)] for one, why in kept]})

    done = perform(ctx, "undo_import", [id], work)
    return Undone(id, done.entity, done.results["taken_back"], tuple((key, message_in(why)) for key, why in done.results["kept"]), done.message, done.replayed)


def _may_see(ctx: Context, run: ImportRun) -> bool:
    return ctx.system or run.user_id == ctx.actor.user_id or ctx.actor.holds_everywhere(ADMIN)


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
