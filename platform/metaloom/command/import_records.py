"""Many new records from a file, through the same checks as the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Invalid, MetaloomError, NotPossible, Problem, TooMany
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command.clash import Clash, Doubled, allowance
from metaloom.command.context import ActionDone, Context
from metaloom.command.create_record import create_in
from metaloom.command.failure import told
from metaloom.command.session import Pinned
from metaloom.command.unit import Unit, note_clashes, perform, permit
from metaloom.model import Entity, Field
from metaloom.record.import_runs import ImportRuns, called
from metaloom.record.paths import target_of
from metaloom.record.schema import PartlyRead, input_schema
from metaloom.record.values import BadValue, bad

MODES = ("dry_run", "all", "good_rows")
ROWS_MAX = 5_000
SOURCES = ("import", "json")
Earlier = Callable[[int, Sequence[str]], int | None]

register({
    "import.row_broken": ("这一行无法读取，请用模板重新填写。", "This row cannot be read; please fill it in again in the template."),
    "import.same_row": ("与文件第 {row} 行重复：{labels}相同。", "The same {labels} stands in row {row} of the file."),
})


@dataclass(frozen=True)
class RowProblem:
    """``row``: number in the file, the first row of data is 1."""

    row: int
    problem: Problem


@dataclass(frozen=True)
class Imported:
    """``created``: ids in the order of the rows (empty for a dry run); ``good`` rows could be stored, ``problems`` say why not.
    ``run``: the number under which the import can be undone, None where nothing was stored. ``stopped``: how many rows were tried, where the next
    one met what others have and the person may be told no more of that within the hour; None when all were."""

    created: tuple[int, ...]
    good: int
    problems: tuple[RowProblem, ...]
    run: int | None = None
    stopped: int | None = None


class Undo(Exception):
    """Leaves a transaction that must not be kept."""


def import_records(ctx: Context, entity: str, rows: Sequence[Mapping[str, Any] | Invalid], mode: str = "dry_run", *,
                   name: str = "", numbers: Sequence[int] = ()) -> Imported:
    """Creates a record per row. ``rows`` hold values read by the input schema, or the Invalid that reading a row gave.

    ``dry_run``: everything is tried and nothing kept. ``all``: every row or none. ``good_rows``: rows with problems are
    left out and listed. The right is ``import``, and ``create`` for every row. ``name``: what the file is called.
    ``numbers``: where each row stands in the file, as its person counts; without them from 1 on.
    """
    if mode not in MODES:
        raise Invalid([Problem("mode", message("field.choice"))])
    if len(rows) > ROWS_MAX:
        raise NotPossible(message("command.bulk_limit", limit=ROWS_MAX))
    ctx = replace(ctx, channel="import")
    found: list[Imported] = []
    clashes: list[Clash] = []

    def work(unit: Unit) -> ActionDone:
        clashes.clear()
        permit(unit, entity, "import")
        permit(unit, entity, "create")
        versions: dict[int, int] = {}
        imported = try_all(unit, entity, rows, clashes, versions, numbers)
        found[:] = [imported]
        if imported.stopped is not None:
            raise TooMany
        if mode == "dry_run" or (mode == "all" and imported.problems):
            raise Undo
        crash_point("import.tried")
        if imported.created:
            run = ImportRuns(unit.conn).add({"entity": entity, "name": called(name), "mode": mode, "rows_read": len(rows), "rows_kept": len(versions),
                                             "left": [[id, version] for id, version in versions.items()], "created_at": unit.now,
                                             "created_by": ctx.actor.user_id})
            found[:] = [replace(imported, run=run)]
            crash_point("import.noted")
        return ActionDone(entity, None, None, message("command.done", action=unit.entity(entity).label),
                          {"created": list(imported.created), "good": imported.good, "run": found[0].run})

    try:
        done = perform(ctx, "import", [entity, [r if isinstance(r, Mapping) else str(r) for r in rows], mode], work)
    except Undo:
        return replace(found[0], created=())
    finally:
        if clashes:
            note_clashes(ctx, clashes)
    return found[0] if found else Imported(tuple(done.results["created"]), done.results["good"], (), done.results.get("run"))


def try_all(unit: Unit, entity: str, rows: Sequence[Mapping[str, Any] | Invalid], clashes: list[Clash],
            versions: dict[int, int], numbers: Sequence[int] = (), earlier: Earlier = lambda at, names: None) -> Imported:
    """Creates a record per row inside the running unit, each under a savepoint; ``versions`` and ``clashes`` are filled on the way.
    ``earlier``: the number of a row of the same file, not among ``rows``, that holds the same as the one at this place in these fields.

    TooMany, before any row is tried, for a person who met too many values of others within the hour.
    """
    allowed = allowance(unit)
    created: list[int] = []
    stored: list[tuple[int, Mapping[str, Any]]] = []
    problems: list[RowProblem] = []
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Invalid) and not isinstance(row, PartlyRead):
            problems += [RowProblem(number, problem) for problem in row.problems]
            continue
        faults, values = (row.problems, row.values) if isinstance(row, PartlyRead) else ((), row)
        logged = len(unit.entries)
        try:
            with unit.conn.begin_nested():
                saved = create_in(unit, entity, values, faults)
            created.append(saved.id)
            versions[saved.id] = saved.row_version
            stored.append((numbers[number - 1] if numbers else number, values))
        except (MetaloomError, sa.exc.DBAPIError) as error:
            said = told(unit.ctx, error) if isinstance(error, sa.exc.DBAPIError) else error
            if said is None or isinstance(said, Busy):
                raise
            del unit.entries[logged:]
            unit.memory.clear()  # what was read inside the savepoint is not there any more
            if isinstance(said, Doubled) and not isinstance(said, Clash):
                twin = _twin(stored, values, said.names) or earlier(number - 1, said.names)
                said = _same_row(unit.entity(entity), said.names, twin) if twin is not None else said
            if isinstance(said, Clash):
                clashes.append(said)
                if len(clashes) > allowed:
                    return Imported(tuple(created), len(created), tuple(problems), stopped=number - 1)
            problems += [RowProblem(number, problem) for problem in (problems_of(said) if isinstance(said, Invalid) or not faults else faults)]
    return Imported(tuple(created), len(created), tuple(problems))


def _twin(stored: Sequence[tuple[int, Mapping[str, Any]]], values: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The number of the row, stored just now, that holds the same in these fields."""
    def key(row: Mapping[str, Any]) -> list[Any]:
        return [row.get(name) for name in names]

    wanted = key(values)
    return next((number for number, row in stored if key(row) == wanted), None) if any(value is not None for value in wanted) else None


def _same_row(entity: Entity, names: Sequence[str], number: int) -> Invalid:
    labels = [entity.fields[name].label for name in names if name in entity.fields]
    told = Text("、".join(label.zh for label in labels), ", ".join(label.en for label in labels))
    return Invalid([Problem(next(iter(names), ""), message("import.same_row", row=number, labels=told))])


def problems_of(error: MetaloomError) -> tuple[Problem, ...]:
    """What is wrong with a row; a refusal that is about no field stands for the whole row."""
    return error.problems if isinstance(error, Invalid) else (Problem("", error.message),)


def read_import(pinned: Pinned, entity: str, rows: Sequence[Mapping[str, Any]], source: str) -> list[Mapping[str, Any] | Invalid]:
    """Each row, the cells by field as they were sent, as typed values or what is wrong with it. ``source``: ``import`` (a sheet, which names
    linked records by their key or title) or ``json``."""
    schema = input_schema(pinned.revision, entity, "create", source=source)
    known: dict[tuple[str, str], int | BadValue | None] = {}

    def resolve(one: Field, given: Any) -> int | None:
        key = (one.name, str(given))
        if key not in known:
            known[key] = _linked(pinned, one, given)
        found = known[key]
        if isinstance(found, BadValue):
            raise found
        return found

    found: list[Mapping[str, Any] | Invalid] = []
    for row in rows:
        try:
            found.append(schema.load(row, zone=pinned.zone, resolve=resolve if source == "import" else None))
        except Invalid as refused:
            found.append(refused)
        except (TypeError, ValueError):
            found.append(Invalid([Problem("", message("import.row_broken"))]))
    return found


def _linked(pinned: Pinned, field: Field, given: Any) -> int | BadValue | None:
    """A link by its natural key, or by its title when only one record has it; what is wrong where only an archived one has."""
    target = target_of(field)
    entity = pinned.catalog.entities.get(target)
    if entity is None:
        return None
    for archived in (False, True):
        for name in (*entity.natural_key[:1], entity.title):
            try:
                found = pinned.reader.by_key(target, {name: str(given)}, archived=archived)
            except MetaloomError:
                continue
            if found is not None:
                return bad("record.link_archived", entity=field.label, title=str(given)[:60]) if archived else found
    return None
