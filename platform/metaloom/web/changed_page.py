"""Cases that run under an older text of their chain: what is different now, and what shall become of each (A09)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, make_response, render_template, request

from metaloom import command
from metaloom.base.errors import Conflict, Invalid, NotFound, Problem
from metaloom.base.messages import message
from metaloom.command.chains_open import SHOWN, CaseOutlook, OlderCase, OlderText
from metaloom.command.change_case_chain import MODES
from metaloom.web.chain_story import Told, told_changes
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.inbox_page import chain_label
from metaloom.web.words import age, form_ids, listed, moment
from metaloom.web.words import t as _t

blueprint = Blueprint("changed", __name__)
REASON_MAX = 1000


@dataclass(frozen=True)
class Line:
    """A case: where it stands, and what was decided for it."""

    case: int
    subject: str
    href: str
    initiator: str
    since: str
    age: str
    steps: str


@dataclass(frozen=True)
class Group:
    """The cases of one older text. ``asks``: (old step, its label, the step of the new text it would go to) for the mapping."""

    address: str
    digest: str
    label: str
    published: str
    gone: bool
    changes: tuple[Told, ...]
    lines: tuple[Line, ...]
    total: int
    asks: tuple[tuple[str, str, str], ...]
    places: tuple[tuple[str, str], ...]


@blueprint.get("/approval/changed/")
def show() -> Any:
    """Every older text with its cases."""
    return _page(_here())


def _here() -> Current:
    g.menu_here = "page:changed_chains"
    pinned = current()
    command.refuse_unless_admin(pinned.looking())
    return pinned


def _page(pinned: Current, *, problems: tuple[str, ...] = (), digest: str = "", status: int = 200) -> Any:
    groups = [_group(pinned, one) for one in command.older_texts(pinned.looking(), pinned.conn)]
    return make_response(render_template(
        "approval/changed.html", groups=groups, modes=("move", "restart", "pin"), problems=problems, wrong=digest, sent=request.form, key=secrets.token_hex(16),
        picked=set(form_ids(request.form.getlist("cases"))), shown_max=SHOWN, revision=pinned.revision.number,
        crumbs=[(_t("chain.title"), url("/approval/chains/")), (_t("changed.title"), "")]), status)


def _group(pinned: Current, one: OlderText) -> Group:
    entity, _, name = one.address.partition("/")
    places = tuple((step, say(label)) for step, label in one.places.items())
    stand = {step: say(label) for case in one.cases for step, label in case.steps.items()}
    asks = tuple((step, label, step if step in one.places else "") for step, label in stand.items())
    return Group(one.address, one.digest, chain_label(pinned, entity, name), one.published_digest, one.published is None,
                 tuple(told_changes(pinned.catalog, one.changes)), tuple(_line(pinned, case) for case in one.cases), one.total, asks, places)


def _line(pinned: Current, case: OlderCase) -> Line:
    return Line(case.case, _subject(case), url(f"/case/{case.case}"), case.initiator, moment(pinned, case.started_at),
                age(case.started_at, pinned.clock.now()), listed(say(label) for label in case.steps.values()))


def _subject(case: OlderCase) -> str:
    return str(case.subject.get(locale()) or case.subject.get("zh") or f"#{case.case}")


# ------------------------------------------------------------------------------------------------------------ what to do


@dataclass(frozen=True)
class Wish:
    """What the form asks for."""

    address: str
    digest: str
    published: str
    mode: str
    cases: tuple[int, ...]
    mapping: Mapping[str, str]
    reason: str


def _wish() -> Wish:
    form = request.form
    mapping = {name.removeprefix("map."): value for name, value in form.items() if name.startswith("map.") and value and value != name.removeprefix("map.")}
    return Wish(form.get("chain", ""), form.get("digest", ""), form.get("published", ""), form.get("mode", ""),
                tuple(form_ids(form.getlist("cases"))[:SHOWN]), mapping if form.get("mode") == "move" else {}, form.get("reason", "").strip()[:REASON_MAX])


def _refused(wish: Wish, *, reason: bool) -> list[Problem]:
    found = [] if wish.mode in MODES else [Problem("mode", message("changed.no_mode"))]
    found += [] if wish.cases else [Problem("cases", message("changed.no_cases"))]
    return found + ([Problem("reason", message("changed.no_reason"))] if reason and not wish.reason else [])


@blueprint.post("/approval/changed/preview")
def preview() -> Any:
    """What would become of the picked cases, case by case; nothing is written."""
    pinned, wish = _here(), _wish()
    problems = _refused(wish, reason=False)
    if problems:
        return render_template("approval/outlook.html", problems=[p.message.say(locale()) for p in problems], rows=())
    found = command.preview_change(pinned.looking(), pinned.conn, wish.address, wish.mode, wish.mapping, wish.cases)
    subjects = _subjects(pinned, wish.address)
    return render_template("approval/outlook.html", problems=(), mode=wish.mode, rows=[_outlook(subjects, one) for one in found])


def _outlook(subjects: Mapping[int, str], one: CaseOutlook) -> dict[str, Any]:
    return {"subject": subjects.get(one.case, f"#{one.case}"), "goes": listed(say(label) for label in one.goes), "asks": listed(one.asks),
            "refused": one.refused.say(locale()) if one.refused is not None else ""}


def _subjects(pinned: Current, address: str) -> dict[int, str]:
    return {case.case: _subject(case) for one in command.older_texts(pinned.looking(), pinned.conn, address) for case in one.cases}


@blueprint.post("/approval/changed/")
def change() -> Any:
    """Does it: each case by itself, with its own outcome."""
    pinned, wish = _here(), _wish()
    problems = _refused(wish, reason=True)
    if problems:
        return _page(pinned, problems=tuple(p.message.say(locale()) for p in problems), digest=wish.digest, status=400)
    subjects = _subjects(pinned, wish.address)
    ctx = pinned.context().with_key(request.form.get("_key") or None)
    try:
        outcomes = command.change_case_chain(ctx, wish.address, wish.mode, mapping=wish.mapping, cases=wish.cases, reason=wish.reason,
                                             shown=wish.published if wish.mode != "pin" else "")
    except (Conflict, Invalid, NotFound) as refused:
        pinned.release()
        return _page(pinned, problems=(refused.message.say(locale()),), digest=wish.digest, status=refused.status)
    pinned.release()
    rows = [{"subject": subjects.get(o.id, f"#{o.id}"), "href": url(f"/case/{o.id}"), "good": o.error is None, "said": o.message.say(locale())}
            for o in outcomes]
    done = sum(1 for row in rows if row["good"])
    said = _t("changed.done", done=done, failed=len(rows) - done)
    here = url("/approval/changed/")
    crumbs = [(_t("chain.title"), url("/approval/chains/")), (_t("changed.title"), here), (_t("changed.outcome"), "")]
    return render_template("approval/changed_done.html", rows=rows, said=said, failed=len(rows) - done, back=here, crumbs=crumbs)
