"""Receipts of providers and answers of people: collected by the worker, stored once, acknowledged after the commit."""

from __future__ import annotations

import logging

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.messages import message
from metaloom.command.context import ActionDone, Context
from metaloom.command.handle_call import DEADLINE_SECONDS, in_time, system_context
from metaloom.command.handle_message import DOOR
from metaloom.command.outgoing import mark_of
from metaloom.command.providers import environment_for
from metaloom.command.unit import Unit, perform
from metaloom.message import Box, Reach, masked_address
from metaloom.plugin.message_channel import Incoming
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant

log = logging.getLogger(__name__)


def collect_messages(tenant: Tenant, *, plugins: Registry | None = None, clock: Clock | None = None) -> int:
    """How many receipts and answers of all channels of the client were stored. A provider that fails is asked again next time."""
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id="message-collect")
    done = 0
    for channel, provider in Reach.of(ctx.revision.catalog.settings).channels.items():
        try:
            done += _collect(ctx, channel, provider)
        except Exception as error:  # one provider that is away must not keep the others waiting
            log.warning("receipts of %s of tenant %s wait: %s", provider, tenant.name, error)
    return done


def _collect(ctx: Context, channel: str, provider: str) -> int:
    door = ctx.plugins.provider(DOOR, provider, environment_for(ctx))
    found: tuple[Incoming, ...] = in_time(door.collect, DEADLINE_SECONDS)
    if not found:
        return 0
    perform(ctx, "collect_messages", [channel, [item.number for item in found]], lambda unit: _store(unit, channel, found))
    door.acknowledge(tuple(item.number for item in found))
    return len(found)


def _store(unit: Unit, channel: str, found: tuple[Incoming, ...]) -> ActionDone:
    box, reach = Box(unit.conn, unit.tables), Reach.of(unit.catalog.settings)
    for item in found:
        if item.reference:
            box.receipt(item.reference, item.outcome, unit.now)
        elif reach.is_opt_out(item.text):
            opt_out_in(unit, channel, item.address, word=item.text.strip())
    return ActionDone("", None, None, message("message.collected", count=len(found)))


def opt_out_in(unit: Unit, channel: str, address: str, *, word: str = "", reason: str = "") -> bool:
    """From now on nothing that is not important goes to this address on this channel; audited. False when it was so already."""
    shown = masked_address(address)
    new = Box(unit.conn, unit.tables).opt_out(channel, shown, mark_of(unit, channel, address), word=word, reason=reason,
                                              by=unit.ctx.actor.user_id)
    if new:
        unit.log(None, None, None, {"channel": channel, "address": shown, "word": word})
    return new
