"""Events of records for other systems: found in what a command wrote down for the audit, and queued in its transaction.

The payload is made there and then, of the declared fields as far as the declared role may read them in this record; it is
kept sealed. Ranges that are audited as one row (journals) have no events.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from metaloom import audit
from metaloom.access import AccessPlan, Actor
from metaloom.access.actor import Assignment
from metaloom.base.errors import NotFound
from metaloom.command import rows
from metaloom.command.approval_people import People
from metaloom.command.evaluate import holds
from metaloom.command.live import Live
from metaloom.command.unit import ENDINGS, Unit
from metaloom.message.hooks import Hooks
from metaloom.model import Catalog, HookOut, Webhook
from metaloom.record import encode_json
from metaloom.storage import outbox

OUTBOX_KIND = "webhook"
BODY = "engine/webhook/body"


def tell_webhooks(unit: Unit) -> None:
    """Queues a delivery for every webhook that wants one of the events of this command; each record and event once."""
    wanted = _by_entity(unit.catalog)
    if not wanted:
        return
    told: set[tuple[str, int, str]] = set()
    for entry in tuple(unit.entries):
        for hook in wanted.get(entry.entity, ()):
            assert hook.out is not None
            for event in _events(unit, entry):
                key = (hook.address, entry.record_id or 0, event)
                if event in hook.out.on and entry.record_id is not None and key not in told:
                    told.add(key)
                    queue_event(unit, hook, hook.out, event, entry.record_id)


def _by_entity(catalog: Catalog) -> Mapping[str, list[Webhook]]:
    found: dict[str, list[Webhook]] | None = catalog.__dict__.get("_webhooks_out")
    if found is None:
        found = {}
        for hook in catalog.webhooks.values():
            if hook.out is not None and hook.enabled:
                found.setdefault(hook.out.entity, []).append(hook)
        catalog.__dict__["_webhooks_out"] = found
    return found


def _events(unit: Unit, entry: audit.Entry) -> Iterator[str]:
    """The events that one audit entry stands for."""
    before, after = entry.before, entry.after
    if before is None and after == {}:  # a record that somebody opened: nothing changed
        return
    if after is not None:
        yield "created" if before is None and not entry.command.startswith(("resend", "redeliver")) else "changed"
    if after is not None and after.get("archived_at") is not None:
        yield "archived"
    lifecycle = unit.catalog.lifecycles.get(entry.entity)
    if lifecycle is not None and before is not None and after is not None and lifecycle.field in after:
        was, now = before.get(lifecycle.field), after[lifecycle.field]
        yield from (f"transition:{t.name}" for t in lifecycle.transitions.values() if was in t.from_states and t.to_state == now)
    if entry.command.startswith("action:"):
        yield entry.command


def queue_event(unit: Unit, hook: Webhook, out: HookOut, event: str, record_id: int) -> int | None:
    """Queues one event; None where the condition is not met or the role may not read the record."""
    stored = rows.fetch(unit, out.entity, record_id)
    if stored is None:
        return None
    entity = unit.entity(out.entity)
    company = People(unit, out.entity, stored, 0).company
    if out.when and not holds(unit, entity, out.when, Live(unit, entity, stored), unit.env(company)):
        return None
    told = _payload(unit, out, record_id, company)
    if told is None:
        return None
    event_id = f"e-{secrets.token_hex(12)}"
    body = {"id": event_id, "event": event, "webhook": hook.address, "at": unit.now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "entity": out.entity, "record": told}
    sealed = unit.ctx.tenant.secrets.encrypt(BODY, json.dumps(body, ensure_ascii=False))
    number = Hooks(unit.conn, unit.tables).queue(webhook=hook.address, event=event, event_id=event_id, entity=out.entity,
                                                 record_id=record_id, body=sealed, created_at=unit.now, updated_at=unit.now)
    put_delivery(unit, number)
    return number


def put_delivery(unit: Unit, number: int) -> None:
    outbox.put(unit.conn, unit.tables, kind=OUTBOX_KIND, payload={"id": number}, key=f"webhook:{number}")
    unit.rings = True


def _payload(unit: Unit, out: HookOut, record_id: int, company: int | None) -> dict[str, Any] | None:
    """The declared fields with the eyes of the role, in the company of the record; None when it may not read the record."""
    actor = Actor.system(f"webhook:{out.role}", roles=(Assignment(out.role, company),), company_id=company)
    ctx = replace(unit.ctx, actor=actor, plan=AccessPlan(unit.revision, actor, unit.ctx.plan.org), system=False)
    reading = Unit(ctx, unit.conn, unit.command, unit.now)
    try:
        row = rows.reader(reading).get(out.entity, record_id, paths=out.fields, children=False)
    except NotFound:
        return None
    shown = encode_json(unit.revision, row)
    return {"id": record_id, **{path: shown[path] for path in out.fields if path in shown}}


ENDINGS.append(tell_webhooks)
