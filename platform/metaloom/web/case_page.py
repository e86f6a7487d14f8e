"""A case: the record as its step shows it, what can be decided, what was said, and the way it took."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request
from werkzeug.datastructures import MultiDict

from metaloom import command
from metaloom.approval import Offer, Task
from metaloom.base.errors import Invalid, MetaloomError, NotFound, NotPossible, Problem, Stale
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import CaseShown
from metaloom.model import ApprovalChain, Decide, Entity, Field, FieldLevel, FieldType
from metaloom.record import Filter, Row
from metaloom.record.schema import schema_of
from metaloom.web import detail_page
from metaloom.web.case_story import Story, people_in
from metaloom.web.cells import titled
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.errors import wants_fragment
from metaloom.web.file_page import file_facts
from metaloom.web.form_model import FormField, Source, make_field, raw_values
from metaloom.web.frame import icon, record_url, toast
from metaloom.web.i18n import translate
from metaloom.web.inbox_page import BOXES, CASE, age, chain_label
from metaloom.web.security import inside

blueprint = Blueprint("case", __name__)
MAX_ID = 2**63 - 1
OPINION_MAX, REASON_MAX = 4000, 2000
USER = "platform.user"
DECISIONS = ("pass", "reject", "return", "resolve")
OUT, OWN = "out.", "own."       # prefixes of the inputs of a decision: what the step asks for, fields of the record
FILES = Field("attachments", FieldType.ATTACHMENT, Text("\u9644\u4ef6", "Attachments"), multiple=True)
OPINION = Field("opinion", FieldType.LONG_TEXT, Text("\u610f\u89c1", "Opinion"), length=OPINION_MAX)


@dataclass(frozen=True)
class Verb:
    """One move that is not a decision. ``asks``: person | people | step | '' ; ``text``: name of its words, '' where it takes none."""

    icon: str
    asks: str = ""
    text: str = ""
    needed: bool = False
    danger: bool = False


# In the order in which they are offered; those before the bar stand beside the decisions.
VERBS: Mapping[str, Verb] = {
    "resubmit": Verb("send", "", "opinion"), "answer": Verb("message", "", "opinion", True), "claim": Verb("hand-stop"), "unclaim": Verb("arrow-back-up"),
    "withdraw": Verb("arrow-back-up", "", "reason"), "take_back": Verb("arrow-back-up"), "urge": Verb("bell"),
    "transfer": Verb("arrow-right", "person", "opinion"), "delegate": Verb("user-check", "person", "opinion"),
    "add_before": Verb("user-plus", "people", "opinion"), "add_after": Verb("user-plus", "people", "opinion"), "remove": Verb("user-x", "person", "opinion"),
    "ask": Verb("message-circle", "people", "question", True), "copy": Verb("copy", "people"), "pause": Verb("player-pause", "", "reason"),
    "wake": Verb("player-play", "", "reason"), "jump": Verb("route", "step", "reason", True), "terminate": Verb("ban", "", "reason", True, True),
}


@dataclass(frozen=True)
class Move:
    """A move that is open to this person: where it is posted, and whether something is asked first."""

    kind: str
    label: str
    icon: str
    post: str
    ask: str
    danger: bool


def _t(key: str, **slots: object) -> str:
    return translate(site().templates, locale(), key, **slots)


# ------------------------------------------------------------------------------------------------------------ the page


@blueprint.get("/task/<int:id>")
def task(id: str) -> Any:
    """The case at one of its tasks."""
    pinned = current()
    return _page(pinned, command.case_of_task(pinned.looking(), _key(id), pinned.conn), int(id))


@blueprint.get("/case/<int:id>")
def case(id: str) -> Any:
    """The case as a whole."""
    return _page(current(), _key(id))


def _key(id: Any) -> int:
    if int(id) > MAX_ID:
        raise NotFound
    return int(id)


def _page(pinned: Current, case_id: int, task_id: int | None = None, *, sent: MultiDict[str, str] | None = None,
          problems: Sequence[Problem] = (), notice: str = "", status: int = 200) -> Any:
    shown = command.case_shown(pinned.looking(), case_id, pinned.conn)
    g.menu_here = "page:tasks"
    mine = _mine(pinned, shown, task_id)
    return make_response(render_template("approval/case.html", **_facts(pinned, shown), **_record(pinned, shown, mine),
                                         **_decision(pinned, shown, mine, sent, problems), **_way(pinned, shown), **_moves(shown, mine),
                                         notice=notice, crumbs=[(_t("approval.inbox"), url("/task/")), (_subject(shown), "")]), status)


def _mine(pinned: Current, shown: CaseShown, task_id: int | None) -> Task | None:
    """The task this person would decide: the one named, else the first that offers a decision."""
    offered = [o.task for o in shown.offers if o.task is not None]
    wanted = next((no for no, row in shown.tasks.items() if row == task_id), None)
    decidable = [o.task for o in shown.offers if o.task is not None and o.kind in (*DECISIONS, "answer", "resubmit", "claim")]
    no = wanted if wanted in offered else next(iter(decidable or offered), None)
    return shown.state.tasks[no] if no is not None else None


def _subject(shown: CaseShown) -> str:
    said = shown.row.get("subject") or {}
    return str(said.get(locale()) or said.get("zh") or f"#{shown.id}")


def _facts(pinned: Current, shown: CaseShown) -> dict[str, Any]:
    """The head of the page: what it is about, where it stands, since when."""
    item = pinned.catalog.choices["platform.approval_status"].items.get(shown.state.status)
    names = _names(pinned, shown, {shown.state.initiator})
    end = shown.row["finished_at"] or pinned.clock.now()
    return {
        "subject": _subject(shown), "case_url": url(f"/case/{shown.id}"), "chain": chain_label(pinned, shown.chain.entity, shown.chain.name),
        "status": say(item.label) if item else shown.state.status, "colour": item.colour if item else "grey",
        "initiator": names.get(shown.state.initiator, ""), "started": _moment(pinned, shown.row["started_at"]),
        "finished": _moment(pinned, shown.row["finished_at"]),
        "lasted": age(shown.row["started_at"], end), "running": not shown.state.finished,
    }


def _moment(pinned: Current, at: Any) -> str:
    return at.astimezone(pinned.zone).strftime("%Y-%m-%d %H:%M") if at is not None else ""


def _names(pinned: Current, shown: CaseShown, accounts: Iterable[int | None]) -> dict[int, str]:
    return command.names_in_case(pinned.looking(), shown.id, [one for one in accounts if one], pinned.conn)


# ----------------------------------------------------------------------------------------------------------- the record


def _record(pinned: Current, shown: CaseShown, mine: Task | None) -> dict[str, Any]:
    """The record as far as this person reads it, less what the step hides; nothing of it for others."""
    entity = pinned.catalog.entities.get(shown.chain.entity)
    if entity is None or not shown.readable:
        return {"entity": entity, "record": None, "facts": (), "blocks": (), "record_href": "", "tabs": ()}
    try:
        row = titled(pinned, entity, pinned.reader.get(entity.address, shown.row["record_id"]))
    except MetaloomError:
        return {"entity": entity, "record": None, "facts": (), "blocks": (), "record_href": "", "tabs": ()}
    step = _step(shown, mine)
    row = without(row, [name for name, level in step.fields.items() if level == "hidden"] if step is not None else ())
    tabs = [tab for tab in detail_page.tabs_of(pinned, entity, row) if tab.name not in ("info", "approval")]
    return {"entity": entity, "record": row, "facts": detail_page.facts_of(pinned, entity, row), "blocks": detail_page.blocks_of(pinned, entity, row),
            "record_href": record_url(entity.address, row.id), "tabs": tabs}


def without(row: Row, names: Iterable[str]) -> Row:
    """The row without some of its fields, as if the person had no right to them."""
    gone = set(names)
    return replace(row, values={k: v for k, v in row.values.items() if k.partition(".")[0] not in gone},
                   levels={k: FieldLevel.HIDDEN if k in gone else v for k, v in row.levels.items()},
                   children={k: v for k, v in row.children.items() if k not in gone}) if gone else row


def _step(shown: CaseShown, mine: Task | None) -> Decide | None:
    step = next((s for s in shown.chain.every_step() if mine is not None and s.name == mine.step), None)
    return step if isinstance(step, Decide) else None


# --------------------------------------------------------------------------------------------------------- the decision


def _decision(pinned: Current, shown: CaseShown, mine: Task | None, sent: MultiDict[str, str] | None, problems: Sequence[Problem]) -> dict[str, Any]:
    """What may be decided here, and what the step asks for with it."""
    offers = {o.kind: o for o in shown.offers if mine is not None and o.task == mine.no}
    decisions = [kind for kind in ("pass", "resolve", "reject", "return") if kind in offers]
    step = _step(shown, mine)
    return {
        "mine": mine, "mine_id": shown.tasks.get(mine.no) if mine is not None else None, "step": step, "decisions": decisions,
        "step_label": say(step.label) if step is not None else "", "opinion_rule": step.opinion if step is not None else "optional",
        "can_hold": "hold" in offers, "targets": _targets(shown, offers.get("return")), "then": step.returns.then if step is not None else "rerun",
        "record_version": shown.record_version, "key": (sent or {}).get("_key") or secrets.token_hex(16), "due": _due(pinned, mine),
        "behalf": _behalf(pinned, shown, mine), "question": _question(shown, mine),
        "problems": [p.message.say(locale()) for p in problems if not p.field.startswith(("outputs.", "fields."))],
        **_asked(pinned, shown, mine if decisions else None, step, sent, problems),
    }


def _asked(pinned: Current, shown: CaseShown, mine: Task | None, step: Decide | None, sent: MultiDict[str, str] | None,
           problems: Sequence[Problem]) -> dict[str, Any]:
    """The inputs of the decision; none where nothing is decided."""
    if mine is None:
        return {"opinion": "", "outputs": [], "own_fields": [], "files": None}
    said = (sent or {}).get("opinion", "") or str(mine.draft.get("opinion", ""))
    return {"opinion": said, "outputs": _outputs(pinned, shown, step, mine.draft, sent, problems),
            "own_fields": _own_fields(pinned, shown, step, sent, problems), "files": _files(pinned, step, sent, problems)}


def _behalf(pinned: Current, shown: CaseShown, mine: Task | None) -> str:
    principal = mine.principal if mine is not None else None
    return _names(pinned, shown, [principal]).get(principal, "") if principal else ""


def _question(shown: CaseShown, mine: Task | None) -> str:
    return mine.why if mine is not None and mine.kind == "answer" else ""


def _due(pinned: Current, mine: Task | None) -> tuple[str, bool] | None:
    from datetime import datetime

    if mine is None or not mine.due:
        return None
    at = datetime.fromisoformat(mine.due)
    return _moment(pinned, at), at < pinned.clock.now()


def _outputs(pinned: Current, shown: CaseShown, step: Decide | None, draft: Mapping[str, Any], sent: MultiDict[str, str] | None,
             problems: Sequence[Problem]) -> list[FormField]:
    """What the step asks for when it passes; the record's own field of the same name gives the first value."""
    if step is None or not step.outputs:
        return []
    entity = pinned.catalog.entities[shown.chain.entity]
    values = {**command.output_defaults(pinned.looking(), shown, step, pinned.conn), **_drafted(step, draft)}
    inner = _without(sent, OUT)
    wrong = tuple(replace(p, field=OUT + p.field.removeprefix("outputs.")) for p in problems if p.field.startswith("outputs."))
    source = Source("action", values, {}, dict.fromkeys(step.outputs, FieldLevel.WRITE), sent=inner, problems=wrong)
    return [_sent_as(make_field(pinned, entity, one, source, one.name, False), OUT, wrong) for one in step.outputs.values()]


def _drafted(step: Decide, draft: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in (draft.get("outputs") or {}).items() if name in step.outputs and value not in (None, "")}
    try:
        return schema_values(kept, {name: step.outputs[name] for name in kept})
    except Invalid:
        return {}


def schema_values(given: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """JSON values in the types of their fields."""
    pinned = current()
    return schema_of(pinned.revision, {name: replace(one, required=False) for name, one in fields.items()}).load(given, zone=pinned.zone)


def _sent_as(one: FormField, prefix: str, problems: Sequence[Problem]) -> FormField:
    """The field under its prefixed name."""
    found = tuple(p.message.say(locale()) for p in problems if p.field == prefix + one.name)
    return replace(one, html=prefix + one.html, problems=found or one.problems)


def _own_fields(pinned: Current, shown: CaseShown, step: Decide | None, sent: MultiDict[str, str] | None, problems: Sequence[Problem]) -> list[FormField]:
    """Fields of the record that may be changed while deciding."""
    names = [name for name, level in step.fields.items() if level in ("write", "required")] if step is not None else []
    if not names or not shown.readable:
        return []
    entity = pinned.catalog.entities[shown.chain.entity]
    row = pinned.reader.get(entity.address, shown.row["record_id"])
    titles = {name: row.titles[name] for name in names if name in row.titles}
    wrong = tuple(replace(p, field=OWN + p.field.removeprefix("fields.")) for p in problems if p.field.startswith("fields."))
    source = Source("edit", row.values, titles, dict.fromkeys(names, FieldLevel.WRITE), sent=_without(sent, OWN), problems=wrong)
    found = []
    for name in names:
        if name in entity.fields and row.levels.get(name, FieldLevel.HIDDEN) >= FieldLevel.READ:
            one = make_field(pinned, entity, entity.fields[name], source, name, False)
            found.append(_sent_as(replace(one, starred=one.starred or (step is not None and step.fields[name] == "required")), OWN, wrong))
    return found


def _files(pinned: Current, step: Decide | None, sent: MultiDict[str, str] | None, problems: Sequence[Problem]) -> FormField | None:
    if step is None or step.attachments == "none":
        return None
    ids = [int(part) for part in (sent or {}).get("attachments", "").split(",") if part.isdecimal() and len(part) < 19]
    facts = file_facts(pinned, ids)
    source = Source("action", {"attachments": tuple(ids)}, files=facts, sent=sent, problems=tuple(p for p in problems if p.field == "attachments"))
    one = make_field(pinned, pinned.catalog.entities["platform.approval_task"], FILES, source, FILES.name, False)
    return replace(one, starred=step.attachments == "required")


def _without(sent: MultiDict[str, str] | None, prefix: str) -> MultiDict[str, str] | None:
    """What was sent under the prefix, without it."""
    if sent is None:
        return None
    return MultiDict([(key.removeprefix(prefix), value) for key, value in sent.items(multi=True) if key.startswith(prefix)])


def _targets(shown: CaseShown, offer: Offer | None) -> list[tuple[str, str]]:
    labels = {step.name: say(step.label) for step in shown.chain.every_step()}
    words = {"initiator": _t("approval.to_initiator"), "previous": _t("approval.to_previous"), "end": _t("approval.to_end")}
    return [(name, words.get(name) or labels.get(name, name)) for name in offer.targets] if offer is not None else []


# -------------------------------------------------------------------------------------------------------------- the way


def _way(pinned: Current, shown: CaseShown) -> dict[str, Any]:
    events = command.case_log(pinned.looking(), shown.id, pinned.conn)
    names = _names(pinned, shown, people_in(events, shown.path))
    story = Story(pinned, shown.chain, shown.state, names)
    return {"moments": story.moments(events), "flow": story.blocks(shown.path)}


@blueprint.get("/case/<int:id>/way")
def way(id: str) -> Any:
    """The diagram and the story alone: the page asks again while the case runs."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), _key(id), pinned.conn)
    return render_template("approval/way.html", **_way(pinned, shown), **_facts(pinned, shown))


@blueprint.get("/case/<int:id>/record")
def show_record(id: str) -> Any:
    """The record's own fields again, after another of its tabs was looked at."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), _key(id), pinned.conn)
    found = _record(pinned, shown, _mine(pinned, shown, None))
    if found["record"] is None:
        raise NotFound
    return render_template("detail/info.html", blocks=found["blocks"], entity=found["entity"], row=found["record"], own_panel="")


@blueprint.get("/case/<int:id>/print")
def print_form(id: str) -> Any:
    """The approval form for paper: the record and every opinion, without anything to press."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), _key(id), pinned.conn)
    return render_template("approval/print.html", **_facts(pinned, shown), **_record(pinned, shown, None), **_way(pinned, shown),
                           printed=_moment(pinned, pinned.clock.now()), number=shown.id)


# ------------------------------------------------------------------------------------------------------------ the moves


def _moves(shown: CaseShown, mine: Task | None) -> dict[str, Any]:
    """Everything else that is open to this person, first what belongs to the task at hand."""
    found: dict[str, Move] = {}
    for offer in sorted(shown.offers, key=lambda o: mine is None or o.task != mine.no):
        verb = VERBS.get(offer.kind)
        if verb is None or offer.kind in found:
            continue
        where = url(f"/task/{shown.tasks[offer.task]}" if offer.task is not None else f"/case/{shown.id}")
        ask = f"{where}/ask/{offer.kind}" if verb.asks or verb.text or verb.danger else ""
        found[offer.kind] = Move(offer.kind, _t(f"approval.move.{offer.kind}"), verb.icon, f"{where}/{offer.kind}", ask, verb.danger)
    ordered = [found[kind] for kind in VERBS if kind in found]
    first = [m for m in ordered if m.kind in ("resubmit", "answer", "claim")]
    return {"first_moves": first, "more_moves": [m for m in ordered if m not in first]}


@blueprint.get("/task/<int:id>/ask/<kind>")
def ask_of_task(id: str, kind: str) -> Any:
    """The dialog of a move with a task."""
    pinned = current()
    case_id = command.case_of_task(pinned.looking(), _key(id), pinned.conn)
    return _dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), kind, int(id))


@blueprint.get("/case/<int:id>/ask/<kind>")
def ask_of_case(id: str, kind: str) -> Any:
    """The dialog of a move with the case as a whole."""
    pinned = current()
    return _dialog(pinned, command.case_shown(pinned.looking(), _key(id), pinned.conn), kind, None)


def _dialog(pinned: Current, shown: CaseShown, kind: str, task_id: int | None, problems: Sequence[Problem] = (), status: int = 200) -> Any:
    offer = next((o for o in shown.offers if o.kind == kind and (task_id is None or o.task is None or shown.tasks.get(o.task) == task_id)), None)
    verb = VERBS.get(kind) or (Verb("arrow-back-up", "step", "opinion", True) if kind == "return" else None)
    if verb is None or offer is None:
        raise NotFound
    where = url(f"/task/{task_id}" if task_id is not None else f"/case/{shown.id}")
    return make_response(render_template(
        "approval/ask.html", kind=kind, verb=verb, label=_t(f"approval.move.{kind}"), subject=_subject(shown), text=_text_name(verb),
        post=f"{where}/decide" if kind == "return" else f"{where}/{kind}", targets=_targets(shown, offer), then=_then(shown, task_id),
        people=_people_offered(pinned, shown, kind, task_id), lookup=url(f"/lookup/{USER}"), version=shown.record_version,
        key=secrets.token_hex(16), given=request.form, opinion=request.args.get("opinion", "")[:OPINION_MAX],
        problems=[p.message.say(locale()) for p in problems]), status)


def _text_name(verb: Verb) -> str:
    return _t(f"approval.text.{verb.text}") if verb.text else ""


def _then(shown: CaseShown, task_id: int | None) -> str:
    no = next((n for n, row in shown.tasks.items() if row == task_id), None)
    step = _step(shown, shown.state.tasks[no]) if no is not None else None
    return step.returns.then if step is not None else "rerun"


def _people_offered(pinned: Current, shown: CaseShown, kind: str, task_id: int | None) -> list[tuple[int, str]]:
    """Whom 减签 may take out: the signers of the step; every other move looks people up."""
    if kind != "remove":
        return []
    no = next((n for n, row in shown.tasks.items() if row == task_id), None)
    step = shown.state.tasks[no].step if no is not None else ""
    ids = [t.assignee for t in shown.state.live_tasks(step) if t.assignee and t.no != no]
    names = _names(pinned, shown, ids)
    return [(one, names.get(one, f"#{one}")) for one in ids]


# ------------------------------------------------------------------------------------------------------------ deciding


@blueprint.post("/task/<int:id>/decide")
def decide(id: str) -> Any:
    """A decision on the version that was shown; what does not fit comes back with everything that was typed."""
    pinned, key, form = current(), _key(id), request.form
    case_id = command.case_of_task(pinned.looking(), key, pinned.conn)
    shown = command.case_shown(pinned.looking(), case_id, pinned.conn)
    wanted = form.get("decision", "")
    if wanted == "hold":
        return _hold(pinned, shown, key)
    no = next((n for n, row in shown.tasks.items() if row == key), None)
    step = _step(shown, shown.state.tasks[no]) if no is not None else None
    try:
        outputs = _loaded(pinned, step.outputs if step is not None else {}, OUT, "outputs.") if wanted in ("pass", "resolve") else {}
        own = _own_values(pinned, shown, step) if wanted == "pass" else {}
        ctx = pinned.context().with_key(form.get("_key") or None)
        done = command.decide_task(ctx, key, wanted, form.get("opinion", "")[:OPINION_MAX + 1], outputs, own, _file_ids(), _version(),
                                   form.get("to") or None, form.get("then") or None)
    except Invalid as wrong:
        pinned.release()
        if wants_fragment():
            return _dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), "return", key, wrong.problems, 400)
        return _page(pinned, case_id, key, sent=form, problems=wrong.problems, status=400)
    except NotPossible as refused:
        return _refused(pinned, case_id, key, refused)
    return _after(done.message.say(locale()), _next())


def _next() -> str:
    """Where a decision leads: back to what waits, so that the next one is one click away."""
    return inside(request.form["_next"]) if request.form.get("_next") else url("/task/")


def _refused(pinned: Current, case_id: int, task_id: int | None, refused: NotPossible) -> Any:
    """Somebody was faster, or the record moved on: the case as it stands now, with the reason and with what was typed."""
    words = refused.message.say(locale())
    pinned.release()
    if wants_fragment():
        if not isinstance(refused, Stale):
            raise refused
        answer = make_response("", 409)
        answer.headers["HX-Redirect"] = url(f"/case/{case_id}")
        return toast(answer, words, "bad")
    return _page(pinned, case_id, task_id, sent=request.form, notice=words, status=409)


def _hold(pinned: Current, shown: CaseShown, task_id: int) -> Any:
    """暂存: what was typed so far, kept with the task."""
    outputs = {k.removeprefix(OUT): v for k, v in request.form.items() if k.startswith(OUT) and v}
    return _moved(pinned, shown.id, "hold", task_id, {"opinion": request.form.get("opinion", ""), "outputs": outputs}, url(f"/task/{task_id}"))


def _loaded(pinned: Current, fields: Mapping[str, Field], prefix: str, at: str) -> dict[str, Any]:
    sent = _without(request.form, prefix)
    assert sent is not None
    try:
        return schema_of(pinned.revision, dict(fields), source="form").load(raw_values(fields, sent, {}), zone=pinned.zone)
    except Invalid as wrong:
        raise Invalid([replace(p, field=at + p.field) for p in wrong.problems]) from None


def _own_values(pinned: Current, shown: CaseShown, step: Decide | None) -> dict[str, Any]:
    """The record's fields that were changed here; what was left as it was is not sent along."""
    entity: Entity = pinned.catalog.entities[shown.chain.entity]
    names = [n for n, level in step.fields.items() if level in ("write", "required") and OWN + n in request.form] if step is not None else []
    if not names:
        return {}
    values = _loaded(pinned, {n: replace(entity.fields[n], required=False) for n in names}, OWN, "fields.")
    stored = pinned.reader.get(entity.address, shown.row["record_id"]).values
    return {name: value for name, value in values.items() if stored.get(name) != value}


def _file_ids() -> list[int]:
    return [int(part) for part in request.form.get("attachments", "").split(",") if part.isdecimal() and len(part) < 19]


def _version() -> int | None:
    text = request.form.get("_version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


# -------------------------------------------------------------------------------------------------------- other moves


@blueprint.post("/task/<int:id>/<kind>")
def move_task(id: str, kind: str) -> Any:
    """Every other move with a task."""
    pinned = current()
    case_id = command.case_of_task(pinned.looking(), _key(id), pinned.conn)
    return _moved(pinned, case_id, kind, int(id), _data(kind), url("/task/") if kind in ("transfer", "answer", "resubmit") else url(f"/case/{case_id}"))


@blueprint.post("/case/<int:id>/<kind>")
def move_case(id: str, kind: str) -> Any:
    """Every other move with the case as a whole."""
    return _moved(current(), _key(id), kind, None, _data(kind), url(f"/case/{id}"))


def _data(kind: str) -> dict[str, Any]:
    verb = VERBS.get(kind)
    if verb is None:
        raise NotFound
    form, data = request.form, {}
    if verb.asks in ("person", "people"):
        ids = [int(value) for value in form.getlist("to") if value.isdecimal() and len(value) < 19]
        data["to"] = (ids[0] if ids else None) if verb.asks == "person" else ids
    elif verb.asks == "step":
        data["to"] = form.get("to", "")
    if verb.text:
        data[verb.text] = form.get("text", "")[:OPINION_MAX + 1]
    return data


def _moved(pinned: Current, case_id: int, kind: str, task_id: int | None, data: Mapping[str, Any], target: str) -> Any:
    ctx = pinned.context().with_key(request.form.get("_key") or None)
    try:
        given = {"task_id": task_id} if task_id is not None else {"case_id": case_id}
        done = command.move_case(ctx, kind, data={k: v for k, v in data.items() if v is not None}, **given)
    except Invalid as wrong:
        pinned.release()
        if not wants_fragment():
            return _page(pinned, case_id, task_id, problems=wrong.problems, notice=" ".join(p.message.say(locale()) for p in wrong.problems), status=400)
        return _dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), kind, task_id, wrong.problems, 400)
    except NotPossible as refused:
        return _refused(pinned, case_id, task_id, refused)
    return _after(done.message.say(locale()), target)


def _after(sentence: str, target: str) -> Any:
    if wants_fragment():
        answer = make_response("", 204)
        answer.headers["HX-Redirect"] = target
        return toast(answer, sentence)
    return toast(redirect(target, 303), sentence)


# --------------------------------------------------------------------------------------------------- from the record


@blueprint.get("/e/<entity>/<int:id>/approval")
def standing(entity: str, id: str) -> Any:
    """Above the record: which approval of it runs and for what it waits, or which ones may be started by hand."""
    pinned, key = current(), _key(id)
    chains = [one for one in pinned.catalog.chains.values() if one.entity == pinned.entity(entity).address]
    pinned.reader.require(entity, key)
    found = pinned.reader.list(CASE, filters=[Filter("entity", "eq", entity), Filter("record_id", "eq", key), Filter("finished_at", "empty", True)],
                               paths=["chain", "current_steps"], sort=["-started_at"], limit=5)
    labels = {one.name: say(one.label) for one in chains}
    running = [(url(f"/case/{row.id}"), labels.get(row["chain"], row["chain"]), row["current_steps"] or "") for row in found.rows]
    startable = () if running else [(record_url(entity, key, f"/approval/{one.name}"), say(one.label)) for one in chains if _may_start(pinned, one)]
    return render_template("approval/standing.html", running=running, startable=startable)


def _may_start(pinned: Current, chain: ApprovalChain) -> bool:
    """Whether the button is worth showing; the command judges."""
    if chain.start is None:
        return False
    return bool(pinned.actor.role_addresses.intersection(chain.start.roles)) if chain.start.roles else bool(pinned.plan.may(chain.entity, "edit"))


@blueprint.get("/e/<entity>/<int:id>/approval/<chain>")
def ask_start(entity: str, id: str, chain: str) -> Any:
    """The dialog that starts a case: whom the initiator picks, where the chain lets him."""
    pinned = current()
    found, key = pinned.catalog.chains.get(f"{entity}/{chain}"), _key(id)
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
    chosen = {key.removeprefix("chosen."): [int(v) for v in request.form.getlist(key) if v.isdecimal() and len(v) < 19]
              for key in request.form if key.startswith("chosen.")}
    try:
        done = command.start_approval(pinned.context().with_key(request.form.get("_key") or None), entity, _key(id), chain, chosen, _version())
    except (Invalid, NotPossible) as refused:
        words = refused.message.say(locale()) if not isinstance(refused, Invalid) else "; ".join(p.message.say(locale()) for p in refused.problems)
        if wants_fragment():
            raise NotPossible(message("approval.not_started", why=words)) from refused
        pinned.release()
        return detail_page.detail(pinned, entity, int(id), notice=words), 409
    return _after(done.message.say(locale()), record_url(entity, id))


__all__ = ["BOXES", "blueprint", "icon"]
