"""The same change of many records, tried before, with an outcome for each, and taken back after as far as nobody went on.

All records are changed in one transaction, each in a savepoint of its own: what is refused for one leaves the others alone. A trial
does exactly the same and keeps nothing, so it cannot say anything else than the change will.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.audit import typed, untyped
from metaloom.base.errors import Busy, Invalid, MetaloomError, NotFound, NotPossible, Problem, Stale
from metaloom.base.messages import Message, message, register
from metaloom.command import rows
from metaloom.command.archive_record import archive_in
from metaloom.command.change_record import change_in
from metaloom.command.context import ActionDone, Context, message_in, message_out
from metaloom.command.delete_record import delete_in
from metaloom.command.evaluate import checked, run
from metaloom.command.failure import told
from metaloom.command.live import Live
from metaloom.command.restore_record import restore_in
from metaloom.command.unit import Unit, perform, permit
from metaloom.compile import entity_scope
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES
from metaloom.record.bulk_runs import BulkRuns, Step
from metaloom.record.schema import accepts

MANY_MAX = 1_000
VERBS = {"edit": "edit", "archive": "delete", "delete": "delete"}           # verb → the right on every record
NOT_TOGETHER = frozenset({FieldType.CHILD, *FILE_TYPES})

register({
    "many.done": ("共 {all} 条：成功 {good} 条，未变化 {same} 条，拒绝 {bad} 条。", "Of {all}: {good} done, {same} unchanged, {bad} refused."),
    "many.undone": ("已撤销：恢复 {n} 条，保留 {kept} 条。", "Undone: {n} put back, {kept} kept."),
    "many.none": ("没有选中记录。", "No record was chosen."),
    "many.limit": ("一次最多处理 {limit} 条，请缩小查询范围。", "At most {limit} records at once; narrow the search."),
    "many.no_field": ("请选择要修改的字段。", "Choose what to change."),
    "many.not_together": ("“{label}”不能批量修改。", "“{label}” is not changed for many records at once."),
    "many.nothing_left": ("没有可撤销的记录。", "There is nothing left to undo."),
    "many.stays": ("之后又有改动，予以保留。", "It was changed again after that and stays."),
})


@dataclass(frozen=True)
class Done:
    """What became of one record: ``how`` is done, same or refused; ``why`` says it."""

    id: int
    how: str
    why: Message


@dataclass(frozen=True)
class ManyDone:
    """``run``: the number under which it can be undone, None for a trial and where nothing can."""

    outcomes: tuple[Done, ...]
    run: int | None
    message: Message
    replayed: bool = False

    def count(self, how: str) -> int:
        """How many ended so: done, same, refused."""
        return sum(one.how == how for one in self.outcomes)


class _Keep(Exception):
    """Leaves a transaction that must not be kept."""


def editable_together(ctx: Context, entity: Entity) -> dict[str, Field]:
    """The fields that this person may give one value in many records: no secrets, no files, no rows, nothing that is unique."""
    unique = {name for rule in entity.unique.values() for name in rule.fields} | set(entity.natural_key)
    return {name: one for name, one in entity.fields.items()
            if accepts(entity, one, "edit") and one.stored and one.type not in NOT_TOGETHER and not one.encrypted and name not in unique
            and one.visible_when != "false" and ctx.plan.field_level_anywhere(entity.address, name) >= FieldLevel.WRITE}


def choices_left_together(ctx: Context, entity: Entity, fields: Collection[str], ids: Collection[int], conn: sa.Connection) -> dict[str, frozenset[str]]:
    """For each of the fields whose choices are narrowed (``choices_in``): the codes that at least one of these records leaves to choose from."""
    narrowed = [name for name in fields if entity.fields[name].choices_in]
    if not narrowed:
        return {}
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    seen = [id for part in _parts(sorted(ids)) for id in rows.reader(unit).visible(entity.address, part)]
    records = [row for part in _parts(seen) for row in rows.find(unit, entity.address, {"id": part})]
    left = {name: _left(unit, entity, entity.fields[name], records) for name in narrowed}
    return {name: codes for name, codes in left.items() if codes is not None}


def _left(unit: Unit, entity: Entity, field: Field, records: Sequence[Mapping[str, Any]]) -> frozenset[str] | None:
    """None where a record leaves all of them. Records that read the same are asked once."""
    what = checked(entity_scope(unit.catalog, entity.address), field.choices_in)
    first = sorted({path[0] for path in what.paths})
    alike = {tuple(repr(row.get(name, row["id"])) for name in first): row for row in records}
    found: set[str] = set()
    for row in alike.values():
        codes = run(what, Live(unit, entity, row), unit.env())
        if codes is None:
            return None
        found.update(codes)
    return frozenset(found)


def narrowed_by(ctx: Context, entity: Entity, field: Field) -> frozenset[str]:
    """The fields whose value says which choices are left."""
    scope = entity_scope(ctx.revision.catalog, entity.address)
    return frozenset(path[0] for path in checked(scope, field.choices_in).paths) if field.choices_in else frozenset()


def change_many(ctx: Context, entity: str, targets: Mapping[int, int], verb: str, values: Mapping[str, Any] | None = None, reason: str = "", *,
                trial: bool = False) -> ManyDone:
    """``targets``: the version of each record that was shown. One that the person may not see refuses the whole call. ``verb``: edit (with
    ``values``), archive or delete."""
    if verb not in VERBS:
        raise Invalid([Problem("verb", message("field.choice"))])
    if not targets:
        raise NotPossible(message("many.none"))
    if len(targets) > MANY_MAX:
        raise NotPossible(message("many.limit", limit=MANY_MAX))
    values = dict(values or {}) if verb == "edit" else {}
    found: list[tuple[Done, ...]] = []

    def work(unit: Unit) -> ActionDone:
        definition = unit.entity(entity)
        permit(unit, entity, VERBS[verb])
        _refuse_fields(ctx, definition, verb, values)
        seen = set().union(*(rows.reader(unit).visible(entity, part) for part in _parts(sorted(targets))))
        if len(seen) != len(targets):
            raise NotFound
        steps: list[Step] = []
        outcomes = tuple(_one(unit, entity, id, targets[id], verb, values, steps) for id in sorted(targets))
        found[:] = [outcomes]
        if trial:
            raise _Keep
        run = BulkRuns(unit.conn).add(entity, verb, steps, ctx.actor.user_id, unit.now) if steps and verb != "delete" else None
        unit.log(definition, None, None, {"many": {"verb": verb, "fields": sorted(values), "done": len(steps), "run": run}})
        return ActionDone(entity, None, None, _said(outcomes), {"run": run, "outcomes": [[o.id, o.how, message_out(o.why)] for o in outcomes]})

    try:
        done = perform(ctx, f"many.{verb}", [entity, {str(id): version for id, version in targets.items()}, values, reason], work, reason=reason)
    except _Keep:
        return ManyDone(found[0], None, _said(found[0]))
    outcomes = tuple(Done(id, how, message_in(why)) for id, how, why in done.results["outcomes"])
    return ManyDone(outcomes, done.results["run"], done.message, done.replayed)


def undo_many(ctx: Context, run: int) -> ManyDone:
    """Puts back what an edit or an archiving changed, by whoever did it; records that moved on since stay as they are."""

    def work(unit: Unit) -> ActionDone:
        made = BulkRuns(unit.conn).one(run, lock=True)
        if made is None or made.entity not in unit.catalog.entities or not (ctx.system or made.user_id == ctx.actor.user_id):
            raise NotFound
        if not made.left:
            raise NotPossible(message("many.nothing_left"))
        steps = {one.id: one for one in made.left}
        outcomes = tuple(_back(unit, made.entity, made.verb, one) for one in made.left)
        left = [steps[o.id] for o in outcomes if o.how == "refused"]
        BulkRuns(unit.conn).keep(run, left, unit.now, ctx.actor.user_id)
        gone = len(outcomes) - len(left)
        unit.log(unit.entity(made.entity), None, None, {"undo_many": {"run": run, "put_back": gone, "kept": [one.id for one in left]}})
        return ActionDone(made.entity, None, None, message("many.undone", n=gone, kept=len(left)),
                          {"outcomes": [[o.id, o.how, message_out(o.why)] for o in outcomes]})

    done = perform(ctx, "undo_many", [run], work)
    outcomes = tuple(Done(id, how, message_in(why)) for id, how, why in done.results["outcomes"])
    return ManyDone(outcomes, None, done.message, done.replayed)


def _refuse_fields(ctx: Context, entity: Entity, verb: str, values: Mapping[str, Any]) -> None:
    if verb != "edit":
        return
    if not values:
        raise Invalid([Problem("", message("many.no_field"))])
    offered = editable_together(ctx, entity) if not ctx.system else entity.fields
    wrong = [name for name in values if name not in offered]
    if wrong:
        raise Invalid([Problem(name[:120], message("many.not_together", label=entity.fields[name].label) if name in entity.fields
                               and ctx.plan.field_level_anywhere(entity.address, name) > FieldLevel.HIDDEN else message("field.unknown")) for name in wrong])


def _parts(ids: list[int]) -> list[list[int]]:
    return [ids[at:at + 200] for at in range(0, len(ids), 200)]


def _one(unit: Unit, entity: str, id: int, version: int, verb: str, values: Mapping[str, Any], steps: list[Step]) -> Done:
    before = rows.fetch(unit, entity, id) or {}

    def act() -> Done:
        saved = change_in(unit, entity, id, values, version) if verb == "edit" else (archive_in if verb == "archive" else delete_in)(unit, entity, id, version)
        if verb == "edit" and saved.row_version == version:
            return Done(id, "same", saved.message)
        steps.append(Step(id, saved.row_version, {name: typed(before.get(name)) for name in values}))
        return Done(id, "done", saved.message)

    return _tried(unit, id, act)


def _back(unit: Unit, entity: str, verb: str, step: Step) -> Done:
    def act() -> Done:
        if verb == "archive":
            return Done(step.id, "done", restore_in(unit, entity, step.id, step.row_version).message)
        before = {name: tuple(v) if isinstance(v, list) else v for name, v in ((name, untyped(kept)) for name, kept in step.before.items())}
        return Done(step.id, "done", change_in(unit, entity, step.id, before, step.row_version).message)

    done = _tried(unit, step.id, act)
    return Done(step.id, "refused", message("many.stays")) if done.why.code == Stale.code else done


def _tried(unit: Unit, id: int, act: Callable[[], Done]) -> Done:
    """One record in a savepoint; a refusal leaves nothing of it."""
    logged = len(unit.entries)
    try:
        with unit.conn.begin_nested():
            return act()
    except (MetaloomError, sa.exc.DBAPIError) as error:
        said = told(unit.ctx, error) if isinstance(error, sa.exc.DBAPIError) else error
        if said is None or isinstance(said, Busy):
            raise
        del unit.entries[logged:]
        unit.memory.clear()         # what was read inside the savepoint is not there any more
        problems = said.problems if isinstance(said, Invalid) else ()
        return Done(id, "refused", problems[0].message if problems else said.message)


def _said(outcomes: tuple[Done, ...]) -> Message:
    n = {how: sum(one.how == how for one in outcomes) for how in ("done", "same", "refused")}
    return message("many.done", all=len(outcomes), good=n["done"], same=n["same"], bad=n["refused"])
