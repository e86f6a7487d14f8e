"""Approval chains for administrators: what there is, trying one on past records, cases under an older text and what becomes of them."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom import command
from metaloom.api.answer import answer
from metaloom.api.body import json_object, only, refused
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context
from metaloom.api.speech import locale, say
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command.chains_open import SHOWN, OlderText
from metaloom.command.change_case_chain import MODES
from metaloom.command.draft_chain import TEXT_MAX, draft_from_files, draft_from_text
from metaloom.command.simulate_chain import LIMIT, ONLINE_MAX, ONLINE_SECONDS, until
from metaloom.command.simulation_plain import as_plain
from metaloom.expression import ExpressionError

SIMULATE_KEYS = ("chain", "source", "draft", "where", "limit")
CHANGE_KEYS = ("chain", "mode", "cases", "mapping", "reason", "dry_run")
SOURCES = ("published", "text", "files")
WHERE_MAX, REASON_MAX = 2000, 1000


def chains() -> Response:
    """GET /approval/chains: every chain with its running cases."""
    no_other_parameters()
    ctx = context()
    with ctx.tenant.read() as conn:
        found = command.chain_standings(ctx, conn)
    return answer({"items": [{"chain": one.address, "label": say(one.chain.label) if one.chain is not None else None, "running": one.open,
                              "older": one.older} for one in found]})


def simulate() -> Response:
    """POST /approval/simulate: a chain, published or a draft, on past records; nothing is written."""
    no_other_parameters()
    body = json_object()
    only(body, SIMULATE_KEYS)
    chain, source, limit = _text(body, "chain", 200), _text(body, "source", 20) or "published", body.get("limit", LIMIT)
    if source not in SOURCES:
        raise refused("source", message("field.choice"))
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= ONLINE_MAX:
        raise refused("limit", message("simulate.limit", limit=ONLINE_MAX))
    where, text, ctx = _text(body, "where", WHERE_MAX), _text(body, "draft", TEXT_MAX), context()
    draft = draft_from_text(ctx, chain, text) if source == "text" else draft_from_files(ctx) if source == "files" else None
    try:
        found = command.simulate_chain(ctx, chain, draft=draft, where=where, limit=limit, enough=until(ONLINE_SECONDS))
    except ExpressionError as error:
        raise refused("where", message("simulate.where", why=error.said)) from error
    return answer(as_plain(found, locale()))


def changed() -> Response:
    """GET /approval/changed: the running cases under an older text of their chain, and what the published text changes."""
    no_other_parameters()
    ctx = context()
    with ctx.tenant.read() as conn:
        found = command.older_texts(ctx, conn)
    return answer({"items": [_older(one) for one in found]})


def _older(one: OlderText) -> dict[str, Any]:
    return {"chain": one.address, "digest": one.digest, "published": one.published_digest or None, "total": one.total,
            "changes": [{"step": change.step or None, "what": change.what} for change in one.changes], "places": list(one.places),
            "cases": [{"case": case.case, "subject": case.subject.get(locale()), "steps": list(case.steps)} for case in one.cases]}


def change() -> Response:
    """POST /approval/changed: pin, move or restart cases of a changed chain; ``dry_run`` tells what would become of each."""
    no_other_parameters()
    body = json_object()
    only(body, CHANGE_KEYS)
    chain, mode, reason = _text(body, "chain", 200), _text(body, "mode", 20), _text(body, "reason", REASON_MAX)
    if mode not in MODES:
        raise refused("mode", message("field.choice"))
    cases, mapping, dry = _cases(body), _mapping(body), body.get("dry_run", False)
    if not isinstance(dry, bool):
        raise refused("dry_run", message("record.not_boolean"))
    ctx = context()
    if chain not in ctx.revision.catalog.chains and mode != "pin":
        command.refuse_unless_admin(ctx)
        raise NotFound
    if dry:
        with ctx.tenant.read() as conn:
            outlooks = command.preview_change(ctx, conn, chain, mode, mapping, cases)
        return answer({"items": [{"case": one.case, "steps": [say(label) for label in one.goes], "people": list(one.asks),
                                  "message": one.refused.say(locale()) if one.refused is not None else None} for one in outlooks]})
    command.refuse_unless_admin(ctx)
    if not reason.strip():
        raise refused("reason", message("changed.no_reason"))
    outcomes = command.change_case_chain(ctx, chain, mode, mapping=mapping, cases=cases, reason=reason)
    rows = [{"case": o.id, "status": o.error.status if o.error else 200, "message": o.message.say(locale())} for o in outcomes]
    return answer({"done": sum(1 for o in outcomes if o.error is None), "items": rows})


def _text(body: dict[str, Any], name: str, limit: int) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise refused(name, message("record.not_text"))
    if len(value) > limit:
        raise refused(name, message("record.too_long", limit=limit, found=len(value)))
    return value


def _cases(body: dict[str, Any]) -> list[int]:
    found = body.get("cases")
    if not isinstance(found, list) or not 0 < len(found) <= SHOWN or not all(isinstance(i, int) and not isinstance(i, bool) and 0 < i < 2**63 for i in found):
        raise refused("cases", message("api.bulk_items", limit=SHOWN))
    return found


def _mapping(body: dict[str, Any]) -> dict[str, str]:
    found = body.get("mapping", {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise refused("mapping", message("api.json_object"))
    return found
