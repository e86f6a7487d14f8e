"""Opening a record whose entity says ``log_views``: written down before it is shown, with who, when and through what."""

from __future__ import annotations

from metaloom.base.messages import message, register
from metaloom.command.context import ActionDone, Context
from metaloom.command.unit import Unit, perform

COMMAND = "view_record"

register({"view.noted": ("查看已记录。", "The view was written down.")})


def note_view(ctx: Context, entity: str, id: int) -> None:
    """One line of the audit that changes nothing. The caller made sure that the person may see the record."""

    def work(unit: Unit) -> ActionDone:
        unit.log(unit.entity(entity), id, None, {})
        return ActionDone("", None, None, message("view.noted"))

    perform(ctx.with_key(None), COMMAND, [entity, id], work)
