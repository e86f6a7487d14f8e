"""Publishing metadata: who may, and that it is written down."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from metaloom import schema_change
from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message
from metaloom.command.context import ActionDone, Context
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform
from metaloom.compile import Source
from metaloom.storage import Revision


def publish(ctx: Context, sources: Iterable[Source], reason: str = "", *, allow: Collection[str] = (), base: int | None = None) -> Revision:
    """Publishes the sources of all layers; the role ``platform.admin`` may. Refusals as of ``schema_change.publish``."""
    _refuse_unless_admin(ctx)
    made = schema_change.publish(ctx.tenant, sources, _author(ctx), reason, allow=allow, base=base)
    _note(ctx, "publish", made, reason)
    return made


def roll_back(ctx: Context, number: int, reason: str = "", *, allow: Collection[str] = ()) -> Revision:
    """Serves an earlier (or later) revision again."""
    _refuse_unless_admin(ctx)
    made = schema_change.rollback(ctx.tenant, number, _author(ctx), reason, allow=allow)
    _note(ctx, "rollback", made, reason)
    return made


def _refuse_unless_admin(ctx: Context) -> None:
    if not ctx.system and ADMIN not in ctx.actor.role_addresses:
        raise NotAllowed(message("command.admin_only"))


def _author(ctx: Context) -> schema_change.Author:
    return schema_change.Author(ctx.actor.user_id, ctx.actor.username)


def _note(ctx: Context, command: str, made: Revision, reason: str) -> None:
    def work(unit: Unit) -> ActionDone:
        unit.log(None, None, None, {"number": made.number, "digest": made.digest})
        return ActionDone("", None, None, message("command.published", number=made.number))
    perform(ctx.with_key(None), command, [made.number], work, reason=reason)
