"""The same thing for many records: each in a transaction of its own, or the whole call refused before the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaloom.base.errors import MetaloomError, NotFound, NotPossible
from metaloom.base.messages import Message, message
from metaloom.command import rows
from metaloom.command.archive_record import archive_record
from metaloom.command.context import Context
from metaloom.command.run_action import run_action
from metaloom.command.unit import Unit

BULK_MAX = 200


@dataclass(frozen=True)
class Outcome:
    """What became of one record: ``error`` is None where it worked."""

    id: int
    message: Message
    error: MetaloomError | None = None


def bulk_action(ctx: Context, entity: str, ids: Sequence[int], name: str, input: Mapping[str, Any], reason: str = "") -> tuple[Outcome, ...]:
    """Runs an action on every record. One id outside what the person may see refuses the whole call; what is not possible for
    one record leaves the others alone. At most 200 records."""
    action = ctx.revision.catalog.actions.get(f"{entity}/{name}")
    declared = next((c for c in ctx.plugins.commands_on(entity) if c.name == name), None)
    offered = action.bulk if action is not None else declared is not None and declared.bulk
    if not offered:
        label = action.label if action is not None else name
        raise NotPossible(message("command.not_bulk", action=label))
    versions = _all_visible(ctx, entity, ids)

    def run(own: Context, id: int) -> Message:
        return run_action(own, entity, id, name, input, versions[id], reason).message

    return tuple(_one(ctx, id, run) for id in versions)


def bulk_archive(ctx: Context, entity: str, ids: Sequence[int], reason: str = "") -> tuple[Outcome, ...]:
    """Archives every record; refusals as in :func:`bulk_action`."""
    versions = _all_visible(ctx, entity, ids)

    def run(own: Context, id: int) -> Message:
        return archive_record(own, entity, id, versions[id], reason).message

    return tuple(_one(ctx, id, run) for id in versions)


def _all_visible(ctx: Context, entity: str, ids: Sequence[int]) -> dict[int, int]:
    """The versions of all records by rising id; NotFound when one of them may not be seen."""
    wanted = sorted(set(ids))
    if len(wanted) > BULK_MAX:
        raise NotPossible(message("command.bulk_limit", limit=BULK_MAX))
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "look", ctx.clock.now())
        reader = rows.reader(unit)
        if len(reader.visible(entity, wanted)) != len(wanted):
            raise NotFound()
        return {id: reader.get(entity, id).row_version for id in wanted}


def _one(ctx: Context, id: int, run: Callable[[Context, int], Message]) -> Outcome:
    own = ctx.with_key(f"{ctx.idempotency_key}/{id}") if ctx.idempotency_key else ctx
    try:
        return Outcome(id, run(own, id))
    except MetaloomError as error:
        return Outcome(id, error.message, error)
