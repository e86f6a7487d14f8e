"""Jobs and their runs: what an administrator does with them, under the addresses of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metaloom.api.body import refused
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import cancel_run, pause_job, rerun_failed, retry_held, start_job
from metaloom.command.context import Context, Saved
from metaloom.command.retry_held import HELD
from metaloom.command.start_job import JOB, RUN

Verb = Callable[[Context, int, Mapping[str, Any]], Saved]

INPUT: Mapping[str, Mapping[str, Any]] = {"company": {"type": "integer", "minimum": 1}, "dry_run": {"type": "boolean", "default": False}}


def _run(ctx: Context, id: int, given: Mapping[str, Any]) -> Saved:
    company, dry_run = given.get("company"), given.get("dry_run", False)
    if company is not None and (isinstance(company, bool) or not isinstance(company, int) or not 0 < company < 2**63):
        raise refused("company", message("field.link"))
    if not isinstance(dry_run, bool):
        raise refused("dry_run", message("record.not_boolean"))
    return start_job(ctx, id, company=company, dry_run=dry_run)


VERBS: Mapping[tuple[str, str], tuple[Text, tuple[str, ...], Verb]] = {
    (JOB, "run"): (Text("立即运行", "Run now"), tuple(INPUT), _run),
    (JOB, "pause"): (Text("暂停", "Pause"), (), lambda ctx, id, given: pause_job(ctx, id, True)),
    (JOB, "resume"): (Text("恢复", "Resume"), (), lambda ctx, id, given: pause_job(ctx, id, False)),
    (RUN, "rerun"): (Text("重跑失败记录", "Re-run what failed"), (), lambda ctx, id, given: rerun_failed(ctx, id)),
    (RUN, "cancel"): (Text("取消运行", "Cancel run"), (), lambda ctx, id, given: cancel_run(ctx, id)),
    (HELD, "retry"): (Text("再试一次", "Try again"), (), lambda ctx, id, given: retry_held(ctx, id)),
}
