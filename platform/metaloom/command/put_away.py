"""What archiving, deleting and restoring share: who may, whether the entity allows it, the lock, the version, what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command.approval_guard import refuse_in_approval
from metaloom.command.context import Context, Saved
from metaloom.command.process_run import refuse_in_process
from metaloom.command.store import check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.lifecycle import editable
from metaloom.model import Entity

Work = Callable[[Unit, Entity, Any], int]


def put_away(ctx: Context, verb: str, address: str, id: int, row_version: int | None, reason: str, work: Work, *, right: str, physical: bool = False,
             archived: bool = False) -> Saved:
    """One unit of the command ``verb``: ``work(unit, entity, record)`` does it and gives the new version.

    ``right``: what the person needs on the record. ``physical``: the entity must be deleted for good, else be archivable.
    ``archived``: archived records are found too.
    """
    def run(unit: Unit) -> Saved:
        return put_away_in(unit, verb, address, id, row_version, work, right=right, physical=physical, archived=archived)

    return perform(ctx, verb, [address, id, row_version, reason], run, reason=reason)


def put_away_in(unit: Unit, verb: str, address: str, id: int, row_version: int | None, work: Work, *, right: str, physical: bool = False,
                archived: bool = False) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    _refuse_unless(entity, physical)
    permit(unit, address, right)
    before = locked_for(unit, address, id, right, archived=archived)
    check_version(unit, address, before, row_version)
    version = work(unit, entity, before)
    title = title_of(unit, entity, before)
    return Saved(address, id, version, title, message(_SAID[verb], entity=entity.label, title=title))


_SAID = {"archive": "command.archived", "delete": "command.deleted", "restore": "command.restored"}


def _refuse_unless(entity: Entity, physical: bool) -> None:
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    if entity.child_of:
        raise NotPossible(message("command.inside_parent", entity=entity.label))
    if entity.append_only:
        raise NotPossible(message("command.append_only", entity=entity.label))
    if entity.delete == "never":
        raise NotPossible(message("command.never_deleted", entity=entity.label))
    if physical and entity.delete != "physical":
        raise NotPossible(message("command.not_physical", entity=entity.label))
    if not physical and not entity.archivable:
        raise NotPossible(message("command.not_archivable", entity=entity.label))


def refuse_in_work(unit: Unit, entity: Entity, before: Any) -> None:
    """A record that waits for an approval or is on its way through its lifecycle stays: only editable and final states go."""
    refuse_in_approval(unit, entity.address, before, gone=True)
    refuse_in_process(unit, entity.address, before)
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    if lifecycle is None:
        return
    state = before[lifecycle.field]
    if not (state in lifecycle.states and lifecycle.states[state].final):
        editable(lifecycle, state)
