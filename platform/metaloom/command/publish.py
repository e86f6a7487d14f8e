"""Publishing metadata: who may, and that it is written down."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from metaloom import schema_change
from metaloom.access import beyond, widenings
from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message, register
from metaloom.command.context import ActionDone, Context
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform
from metaloom.compile import Source
from metaloom.model import Catalog
from metaloom.storage import Revision

SHOWN = 5

register({
    "publish.beyond": ("不能发布：有 {count} 处会授予您自己没有的权限：{first}。请由系统所有者在服务器上发布（metaloom apply）。",
                       "Not published: {count} changes would grant what you do not hold yourself: {first}. "
                       "The owner may publish them on the machine (metaloom apply)."),
})


def publish(ctx: Context, sources: Iterable[Source], reason: str = "", *, allow: Collection[str] = (), base: int | None = None) -> Revision:
    """Publishes the sources of all layers; the role ``platform.admin`` (held for the whole tenant) may, as far as nobody gets
    more by it than the person holds. Refusals as of ``schema_change.publish``, and NotAllowed naming what goes beyond."""
    _refuse_unless_admin(ctx)
    texts = tuple(sources)
    if not ctx.system:
        base = ctx.revision.number if base is None else base
        _refuse_beyond(ctx, schema_change.plan_for(ctx.tenant, texts, allow)[1])
    made = schema_change.publish(ctx.tenant, texts, _author(ctx), reason, allow=allow, base=base)
    _note(ctx, "publish", made, reason)
    return made


def roll_back(ctx: Context, number: int, reason: str = "", *, allow: Collection[str] = ()) -> Revision:
    """Serves an earlier (or later) revision again, under the same condition."""
    _refuse_unless_admin(ctx)
    if not ctx.system:
        _refuse_beyond(ctx, ctx.tenant.revision_number(number).catalog)
    made = schema_change.rollback(ctx.tenant, number, _author(ctx), reason, allow=allow)
    _note(ctx, "rollback", made, reason)
    return made


def _refuse_unless_admin(ctx: Context) -> None:
    if not ctx.system and not ctx.actor.holds_everywhere(ADMIN):
        raise NotAllowed(message("command.admin_only"))


def _refuse_beyond(ctx: Context, after: Catalog) -> None:
    """Nobody grants what they lack: every right that the new catalog gives beyond the running one is the person's own."""
    found = beyond(ctx.plan, widenings(ctx.revision.catalog, after, schema_change.remembered(ctx.tenant)))
    if found:
        first = "; ".join(one.what for one in found[:SHOWN])
        raise NotAllowed(message("publish.beyond", count=len(found), first=first))


def _author(ctx: Context) -> schema_change.Author:
    return schema_change.Author(ctx.actor.user_id, ctx.actor.username)


def _note(ctx: Context, command: str, made: Revision, reason: str) -> None:
    def work(unit: Unit) -> ActionDone:
        unit.log(None, None, None, {"number": made.number, "digest": made.digest})
        return ActionDone("", None, None, message("command.published", number=made.number))
    perform(ctx.with_key(None), command, [made.number], work, reason=reason)
