"""Which command answers which kind of outbox row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from metaloom import command
from metaloom.base.clock import Clock
from metaloom.job import Handler
from metaloom.plugin.registry import Registry


def handlers(registry: Registry, clock: Clock) -> Mapping[str, Handler]:
    """By kind. A handler's effect has an idempotency key made of the row, so that a replay changes nothing."""
    known = {"call": command.handle_call, "job.run": command.handle_run, "job.part": command.handle_part,
             "approval.timer": command.handle_timer, "approval.sub_done": command.handle_sub_done,
             "warnings.evaluate": command.handle_evaluation, "process.step": command.handle_process,
             "export.run": command.handle_export, "import.run": command.handle_import, "message": command.handle_message, "webhook": command.handle_webhook}
    return {kind: partial(handler, plugins=registry, clock=clock) for kind, handler in known.items()}
