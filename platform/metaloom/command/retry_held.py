"""One more try for a record that a mass step held back, by itself and at once."""

from __future__ import annotations

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.environment import business_date
from metaloom.command.run_mass import bring_up
from metaloom.command.start_job import reachable
from metaloom.command.unit import Unit, perform

HELD = "platform.held_record"

register({
    "held.let_go": ("处理成功，已解除隔离。", "It went well; the record is held back no more."),
    "held.over": ("该记录已解除隔离。", "The record is held back no more."),
})


def retry_held(ctx: Context, held_id: int) -> Saved:
    """Runs the mass function on the record alone, up to the business date of its company. The right is ``edit`` on ``platform.held_record``.
    NotPossible with the reason when it cannot be done still, or was let go meanwhile."""
    return perform(ctx, "retry_held", [held_id], lambda unit: _retry(unit, held_id))


def _retry(unit: Unit, held_id: int) -> Saved:
    held = reachable(unit, HELD, held_id)
    if held["released_at"] is not None:
        raise NotPossible(message("held.over"))
    rows.fetch(unit, held["entity"], held["record_id"], lock=True)
    day = business_date(unit, held["company"])
    bring_up(unit, held["mass"], held["record_id"], day=day, company_id=held["company"])
    unit.log(unit.entity(HELD), held_id, None, {"tried_again": held["record_id"]})
    return Saved(HELD, held_id, held["row_version"], str(held_id), message("held.let_go"))


__all__ = ["HELD", "retry_held"]
