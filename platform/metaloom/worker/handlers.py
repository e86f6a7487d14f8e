"""Which command answers which kind of outbox row."""

from __future__ import annotations

from collections.abc import Mapping

from metaloom.base.clock import Clock
from metaloom.job import Handler
from metaloom.plugin.registry import Registry


def handlers(registry: Registry, clock: Clock) -> Mapping[str, Handler]:
    """By kind. Every handler settles its row in the transaction of its effect, so that a replay changes nothing."""
    from metaloom import command

    return command.outbox_handlers(registry, clock)
