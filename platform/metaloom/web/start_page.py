"""Approvals from the record's side: which one runs, which may be started, and starting one."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, NotFound, NotPossible
from metaloom.base.messages import message
from metaloom.command.approval_case import CASE
from metaloom.command.approval_guard import LOOSE
from metaloom.command.approval_words import at_steps, steps_said
from metaloom.model import ApprovalChain, Entity
from metaloom.record import Filter
from metaloom.web.case_facts import case_key
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.decision_form import shown_version
from metaloom.web.detail_page import ABOVE, Above
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import after, record_url
from metaloom.web.frame import refused as say_refused
from metaloom.web.words import form_ids

blueprint = Blueprint("start", __name__)


def standing(pinned: Current, definition: Entity, row: Any) -> Above:
    """Above the record: which approval of it runs and for what it waits, or which ones may be started by hand; while one runs, why the record
    cannot be edited."""
    chains = [one for one in pinned.catalog.chains.values() if one.entity == definition.address]
    if not chains or not pinned.plan.may(CASE, "list"):
        return Above("")
    found = pinned.reader.list(CASE, filters=[Filter("entity", "eq", definition.address), Filter("record_id", "eq", row.id),
                                              Filter("finished_at", "empty", True)],
                               paths=["entity", "chain", "current_steps", "status"], sort=["-started_at"], limit=5)
    labels = {one.name: say(one.label) for one in chains}
    running = [(url(f"/case/{case.id}"), labels.get(case["chain"], case["chain"]), say(steps_said(pinned.catalog, case.values))) for case in found.rows]
    startable = () if running else [(record_url(definition.address, row.id, f"/approval/{one.name}"), say(one.label))
                                    for one in chains if _may_start(pinned, one)]
    locked = next((message("approval.in_approval", chain=labels.get(case["chain"], case["chain"]), steps=at_steps(pinned.catalog, case.values)).say(locale())
                   for case in found.rows if case["status"] not in LOOSE), "")
    return Above(render_template("approval/standing.html", running=running, startable=startable), locked)


ABOVE["approval"] = standing


def _may_start(pinned: Current, chain: ApprovalChain) -> bool:
    """Whether the button is worth showing; the command judges."""
    if chain.start is None:
        return False
    return bool(pinned.actor.role_addresses.intersection(chain.start.roles)) if chain.start.roles else bool(pinned.plan.may(chain.entity, "edit"))


@blueprint.get("/e/<entity>/<int:id>/approval/<chain>")
def ask_start(entity: str, id: str, chain: str) -> Any:
    """The dialog that starts a case: whom the initiator picks, where the chain lets him."""
    pinned = current()
    found, key = pinned.catalog.chains.get(f"{entity}/{chain}"), case_key(id)
    if found is None:
        raise NotFound
    row = pinned.reader.get(pinned.entity(entity).address, key)
    picks = [(pick, sorted(pick.people.items(), key=lambda one: one[1])) for pick in command.people_to_choose(pinned.looking(), found, key, pinned.conn)]
    return render_template("approval/start.html", chain=say(found.label), picks=picks, row=row, post=record_url(entity, key, f"/approval/{chain}"),
                           key=secrets.token_hex(16), problems=())


@blueprint.post("/e/<entity>/<int:id>/approval/<chain>")
def start(entity: str, id: str, chain: str) -> Any:
    """Starts the case."""
    pinned = current()
    pinned.entity(entity)
    chosen = {key.removeprefix("chosen."): form_ids(request.form.getlist(key))
              for key in request.form if key.startswith("chosen.")}
    try:
        done = command.start_approval(pinned.context().with_key(request.form.get("_key") or None), entity, case_key(id), chain, chosen, shown_version())
    except (Invalid, NotPossible) as refused:
        words = refused.message.say(locale()) if not isinstance(refused, Invalid) else "; ".join(p.message.say(locale()) for p in refused.problems)
        if wants_fragment():
            raise NotPossible(message("approval.not_started", why=words)) from refused
        return say_refused(redirect(record_url(entity, id), 303), words)
    return after(done.message.say(locale()), record_url(entity, id))
