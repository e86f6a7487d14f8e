"""The opinions of an approval as a table for paper: step, who, what, said, when. Only what the person may see of the case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

import sqlalchemy as sa

from metaloom import printing
from metaloom.base.errors import MetaloomError
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command.approval_words import KINDS
from metaloom.command.case_asked import names_in_case
from metaloom.command.case_shown import case_log, case_shown
from metaloom.command.context import Context
from metaloom.model import Entity
from metaloom.record import Filter, Reader

CASE = "platform.approval_case"
CASES_MAX = 20

register({
    "print.step": ("环节", "Step"), "print.who": ("审批人", "Who"), "print.what": ("结论", "Decision"), "print.opinion": ("意见", "Opinion"),
    "print.when": ("时间", "When"), "print.behalf": ("{who}（代 {whom}）", "{who} for {whom}"), "print.started": ("发起", "Started"),
    "print.signed": ("已签名（密码确认）", "Signed (by password)"), "print.drawn": ("已手写签名（SHA-256 {digest}）", "Signed by hand (SHA-256 {digest})"),
    "print.no_opinions": ("尚无审批意见", "No opinion yet"),
})


def opinions(ctx: Context, reader: Reader, conn: sa.Connection, entity: Entity, id: int, chain: str, label: str, zone: tzinfo) -> printing.Table | None:
    """What people decided in the record's cases of ``chain``, oldest first; None where the person sees none of its cases."""
    try:
        page = reader.list(CASE, filters=[Filter("entity", "eq", entity.address), Filter("record_id", "eq", id), Filter("chain", "eq", chain)],
                           sort=["-started_at"], paths=["chain", "started_at"], limit=CASES_MAX)
    except MetaloomError:
        return None
    rows = [line for case in reversed(page.rows) for line in _case_if_shown(ctx, conn, case.id, zone)]
    heads = tuple(printing.Head(message(f"print.{name}").say(ctx.locale)) for name in ("step", "who", "what", "opinion", "when"))
    return printing.Table(label, heads, rows, empty=message("print.no_opinions").say(ctx.locale))


def _case_if_shown(ctx: Context, conn: sa.Connection, case_id: int, zone: tzinfo) -> list[tuple[str, ...]]:
    """Nothing of a case that cannot be shown: the others are printed all the same."""
    try:
        return _case(ctx, conn, case_id, zone)
    except MetaloomError:
        return []


def _case(ctx: Context, conn: sa.Connection, case_id: int, zone: tzinfo) -> list[tuple[str, ...]]:
    shown, log = case_shown(ctx, case_id, conn), [e for e in case_log(ctx, case_id, conn) if e.kind in ("started", "decided", "returned")]
    steps = {step.name: step.label.say(ctx.locale) for step in shown.chain.every_step()}
    step_of = {no: steps.get(task.step, "") for no, task in shown.state.tasks.items()}
    accounts = {data[key] for e in log for data in (e.data,) for key in ("by", "on_behalf_of", "initiator") if data.get(key)}
    names = names_in_case(ctx, case_id, accounts, conn)
    return [_line(ctx, event.kind, event.data, step_of, names, zone) for event in log if event.kind != "returned" or not _told(event, log)]


def _told(event: Any, log: list[Any]) -> bool:
    """A return that a decision told already."""
    return any(e.kind == "decided" and e.data.get("decision") == "return" and e.data.get("at") == event.data.get("at") for e in log)


def _line(ctx: Context, kind: str, data: Mapping[str, Any], step_of: Mapping[int, str], names: Mapping[int, str], zone: tzinfo) -> tuple[str, ...]:
    by = data.get("initiator") if kind == "started" else data.get("by")
    whom = data.get("on_behalf_of")
    who = names.get(by or 0, "")
    if whom and whom != by:
        who = message("print.behalf", who=who, whom=names.get(whom, "")).say(ctx.locale)
    if kind == "started":
        what = message("print.started").say(ctx.locale)
    else:
        decision = str(data.get("decision") or "return")
        what = Text(*KINDS[decision]).say(ctx.locale) if decision in KINDS else decision
    said = "\n".join(filter(None, (str(data.get("opinion") or data.get("reason") or ""), *_signed(ctx, data))))
    return step_of.get(data.get("task") or 0, ""), who, what, said, _when(data.get("at"), zone)


def _signed(ctx: Context, data: Mapping[str, Any]) -> list[str]:
    """How a decision was signed, in words: paper made of text names a drawing by its digest, the approval form of the case shows it."""
    found = [message("print.signed")] if data.get("signed") else []
    if drawn := data.get("signature"):
        found.append(message("print.drawn", digest=drawn["digest"][:16]))
    return [one.say(ctx.locale) for one in found]


def _when(at: Any, zone: tzinfo) -> str:
    found = datetime.fromisoformat(at) if isinstance(at, str) and at else None
    if found is None:
        return ""
    return f"{(found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(zone):%Y-%m-%d %H:%M}"
