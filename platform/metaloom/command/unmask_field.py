"""Seeing one masked value whole: by the right ``unmask``, with a reason, written down, counted (F06)."""

from __future__ import annotations

from datetime import timedelta

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem, TooMany
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.limits import limit
from metaloom.command.unit import Unit, perform, permit
from metaloom.model import FieldLevel
from metaloom.record.encode import display
from metaloom.storage import rate

RIGHT, COMMAND = "unmask", "unmask"
HOUR = timedelta(hours=1)
REASON_MIN, REASON_MAX = 2, 500

register({
    "unmask.done": ("已记录本次查看。", "The view was written down."),
    "unmask.reason": ("请填写查看原因（{low} 至 {high} 个字符）。", "Say why, in {low} to {high} characters."),
    "unmask.too_many": ("一小时内查看完整信息不能超过 {limit} 次，请稍后再试。",
                        "Masked values may be seen {limit} times within an hour; please try again later."),
    "unmask.open": ("该字段没有脱敏。", "This field is not masked for you."),
})  # fmt: skip


def unmask_field(ctx: Context, entity: str, record_id: int, name: str, reason: str) -> ActionDone:
    """The whole value of one field, in ``results["value"]``, for who sees the record and the field masked and holds ``unmask`` on this record.

    Written into the record's history with the reason, never with the value; no idempotency key keeps an answer. NotFound outside the
    scope and for a hidden field, NotAllowed without the right, TooMany beyond ``unmasks_per_hour``.
    """
    said = " ".join(reason.split())
    counted: list[rate.Counted] = []

    def work(unit: Unit) -> ActionDone:
        definition = unit.catalog.entities.get(entity)
        actions, levels = rows.standing(unit, entity, record_id) if definition is not None else rows.missing()
        field = definition.fields.get(name) if definition is not None else None
        level = levels.get(name, FieldLevel.HIDDEN)
        if definition is None or field is None or level is FieldLevel.HIDDEN:
            raise NotFound
        permit(unit, entity, RIGHT)
        if RIGHT not in actions:
            raise NotAllowed(message("command.row_denied", action=unit.ctx.plan.action_label(entity, RIGHT)))
        if level is not FieldLevel.MASKED:
            raise NotPossible(message("unmask.open"))
        if not REASON_MIN <= len(said) <= REASON_MAX:
            raise Invalid([Problem("reason", message("unmask.reason", low=REASON_MIN, high=REASON_MAX))])
        stored = rows.fetch(unit, entity, record_id) or {}
        counted[:] = [rate.count(unit.conn, rate.counter("unmask", unit.ctx.actor.user_id), unit.now, HOUR)]
        unit.log(definition, record_id, None, {f"unmask#{name}": {"field": name}})
        value = stored.get(name)
        words = "" if value in (None, "") else display(unit.catalog, field, value, ctx.locale, entity=entity, zone=ctx.tenant.zone)
        return ActionDone(entity, record_id, None, message("unmask.done"), {"value": words})

    done = perform(ctx.with_key(None), COMMAND, [entity, record_id, name], work, reason=said)
    top = limit(ctx.revision.catalog, "unmasks_per_hour")
    if counted[0].hits > top:                     # it is written down that it was asked for, and not answered
        raise TooMany(message("unmask.too_many", limit=top), counted[0].seconds_left(ctx.clock.now(), HOUR))
    return done
