"""A search on a field that the person sees masked: answered, but written down and limited (decision 14).

Each value found out this way could be guessed at; so the audit says who asked about which field, with a print of the value
that shows when two searches were for the same one and never which. One value asked of several lists and counts of one page
is one search.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from metaloom.base.errors import TooMany
from metaloom.base.messages import message, register
from metaloom.command.context import ActionDone, Context
from metaloom.command.limits import limit
from metaloom.command.unit import Unit, perform
from metaloom.record import Searched
from metaloom.storage import rate

COMMAND = "search_masked"
WINDOW, SAME = timedelta(hours=1), timedelta(minutes=10)

register({
    "search.too_many": ("一小时内按脱敏字段查询不能超过 {limit} 次，请稍后再试。",
                        "Masked fields may be searched {limit} times within an hour; please try again later."),
    "search.noted": ("查询已记录。", "The search was written down."),
})


def note_search(ctx: Context, searched: Sequence[Searched]) -> None:
    """Writes the searches down; TooMany when the person asked for more values than the tenant allows within an hour."""
    top = limit(ctx.revision.catalog, "masked_searches_per_hour")
    counted: list[rate.Counted] = []

    def work(unit: Unit) -> ActionDone:
        counted[:] = [_note(unit, searched)]
        return ActionDone("", None, None, message("search.noted"))

    perform(ctx.with_key(None), COMMAND, [], work)
    if counted[0].hits > top:
        raise TooMany(message("search.too_many", limit=top), counted[0].seconds_left(ctx.clock.now(), WINDOW))


def _note(unit: Unit, searched: Sequence[Searched]) -> rate.Counted:
    """How many values the person asked for within the hour."""
    user, now = unit.ctx.actor.user_id, unit.now
    fresh: set[str] = set()
    for one in searched:
        mark = unit.ctx.tenant.secrets.blind("search", f"{one.op}\0{one.value}")[:16]
        if rate.count(unit.conn, rate.counter("searched", user, mark), now, SAME).hits == 1:
            fresh.add(mark)
        if rate.count(unit.conn, rate.counter("searched", user, mark, one.entity, one.field), now, SAME).hits == 1:
            unit.log(unit.entity(one.entity), None, None, {"search": {"field": one.field, "op": one.op, "print": mark}})
    counter = rate.counter("search", user)
    if not fresh:
        before = rate.standing(unit.conn, [counter]).get(counter)
        return before if before is not None and now - before.since < WINDOW else rate.Counted(0, now, now)
    return rate.count(unit.conn, counter, now, WINDOW, hits=len(fresh))
