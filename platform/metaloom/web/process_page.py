"""Processes: how far they are on the page of their record, a page for each run, and what people do with one that waits for them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotFound, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command.input_asked import InputAsked
from metaloom.command.move_process import VERBS, asked_of
from metaloom.command.process_run import RUN, STATUS
from metaloom.command.process_shown import RunShown
from metaloom.lifecycle.run import MANUAL
from metaloom.model import Entity, FieldLevel
from metaloom.plugin.doors import DOORS
from metaloom.record.schema import schema_of
from metaloom.web.case_facts import case_key
from metaloom.web.cells import WORDS, titled
from metaloom.web.code_words import entity_words, number_words
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.decision_form import shown_version
from metaloom.web.detail_page import ABOVE, Above
from metaloom.web.drawn import render_page
from metaloom.web.errors import wants_fragment
from metaloom.web.form_model import FormField, Source, make_field, raw_values
from metaloom.web.form_rules import for_page, input_rules
from metaloom.web.frame import after, record_url
from metaloom.web.frame import refused as say_refused
from metaloom.web.own import Own, register
from metaloom.web.words import listed, moment, t, whole

blueprint = Blueprint("process", __name__)
BELL_TICKS = 10          # every half second: the page waits five seconds for the result
TICKS_MAX = 300
OLD_RUNS = 3
REASON_MAX = 500
BUSY = frozenset({"ready", "calling", "settled"})
MOVING = BUSY | {"again", "waiting"}
COLOURS = {"again": "orange", "waiting": "cyan", "task": "orange", "manual": "red", "done": "green", "failed": "red", "cancelled": "grey"}
LABELS = {"retry": Text("重试", "Try again"), "submit": Text("填写结果", "Enter the result"), "give_up": Text("放弃", "Give up")}
ICONS = {"retry": "refresh", "submit": "edit", "give_up": "x"}


# ---------------------------------------------------------------------------------------------------- on the record's page


@blueprint.get("/e/<entity>/<int:id>/processes")
def standing(entity: str, id: str) -> Any:
    """How far the processes of a record are. For five seconds the page asks often; when nothing moves any more and the record has
    changed meanwhile, it shows itself anew."""
    pinned, key = current(), case_key(id)
    definition = pinned.entity(entity)
    row = pinned.reader.get(definition.address, key, children=False)
    ticks = _number("n")
    html, anew = _standing(pinned, definition, row, ticks, _number("v"))
    answer = make_response(html)
    if anew and ticks <= BELL_TICKS:
        answer.headers["HX-Refresh"] = "true"
    return answer


def _above(pinned: Current, definition: Entity, row: Any) -> Above:
    """The same with the page itself."""
    return Above(_standing(pinned, definition, row, 0, row.row_version)[0] if pinned.catalog.processes_of(definition.address) else "")


def _standing(pinned: Current, definition: Entity, row: Any, ticks: int, seen: int) -> tuple[str, bool]:
    """The strips after so many questions, and whether the record has come to rest in another version than ``seen``."""
    runs = command.runs_shown(pinned.looking(), definition.address, row.id, pinned.conn)
    shown = [run for run in runs if not run.state.ended] or runs[:1]
    busy, moving = any(run.state.status in BUSY for run in shown), any(run.state.status in MOVING for run in shown)
    changed = bool(seen) and seen != row.row_version
    waits = ticks < BELL_TICKS and (busy or ticks == 0 and moving)
    here = record_url(definition.address, row.id)
    again = f"{here}/processes?n={ticks + 1}&v={seen or row.row_version}" if (waits or moving) and ticks < TICKS_MAX else ""
    html = render_template(
        "process/standing.html", runs=[_strip(pinned, run) for run in shown], again=again, pause="500ms" if waits else "5s", waiting=waits,
        changed=changed and not busy, here=here, version=row.row_version,
        startable=[(record_url(definition.address, row.id, f"/process/{one.name}"), say(one.label))
                   for one in command.startable(pinned.looking(), definition.address, row.id, pinned.conn)])
    return html, changed and not busy


ABOVE["process"] = _above


def _number(name: str) -> int:
    return whole(request.args.get(name, ""), 15) or 0


def _strip(pinned: Current, run: RunShown) -> dict[str, Any]:
    """One run as a line of steps."""
    state, row = run.state, run.row
    step = run.process.steps.get(state.step)
    people = [say(pinned.catalog.roles[role].label) for role in run.process.roles_of(state.step) if role in pinned.catalog.roles]
    steps = [one for one in run.steps if one.standing != "ahead" or not state.ended]
    return {
        "id": run.id, "href": url(f"/process/{run.id}"), "label": say(run.process.label), "status": say(STATUS[state.status]),
        "colour": COLOURS.get(state.status, "blue"), "ended": state.ended, "busy": state.status in BUSY,
        "steps": [(one.standing, say(one.label), one.type) for one in steps], "since": moment(pinned, row["since"], seconds=True),
        "step": say(step.label) if step is not None else "",
        "help": say(step.help) if step is not None and step.help and state.status in ("manual", "task") else "",
        "people": listed(people) if state.status in ("manual", "task") else "",
        "due": moment(pinned, row["due_at"], seconds=True) if not state.ended else "",
        "next": moment(pinned, row["wake_at"], seconds=True) if state.status == "again" else "", "tries": state.attempt,
        "why": (row["error"] if locale() == "zh" else row["error_en"]) or "", "started": moment(pinned, row["started_at"], seconds=True),
        "finished": moment(pinned, row["finished_at"], seconds=True), "reference": state.reference,
        "buttons": [(url(f"/process/{run.id}/ask/{verb}"), say(_label(run, verb)), ICONS[verb], verb) for verb in run.may]}


def _label(run: RunShown, verb: str) -> Text:
    return Text("办理", "Do it") if verb == "submit" and run.state.status == "task" else LABELS[verb]


@blueprint.post("/e/<entity>/<int:id>/process/<name>")
def start(entity: str, id: str, name: str) -> Any:
    """Starts a process by hand."""
    pinned = current()
    pinned.entity(entity)
    try:
        done = command.start_process(pinned.context().with_key(request.form.get("_key") or None), entity, case_key(id), name, shown_version())
    except NotPossible as refused:
        if wants_fragment():
            raise
        return say_refused(redirect(record_url(entity, id), 303), refused.message.say(locale()))
    return after(done.message.say(locale()), record_url(entity, id))


# ------------------------------------------------------------------------------------------------------- a run of its own


@blueprint.get("/process/<int:id>")
def show(id: str) -> Any:
    """The page of a run: its steps, its log, what this person may do."""
    pinned, key = current(), case_key(id)
    run = command.run_shown(pinned.looking(), key, pinned.conn)
    title, href = _record(pinned, run)
    return render_page("process/page.html", title=title, href=href, run_url=url(f"/process/{key}"), **_whole(pinned, run),
                       crumbs=[*([(title, href)] if href else []), (say(run.process.label), "")])


@blueprint.get("/process/<int:id>/steps")
def steps(id: str) -> Any:
    """The changing part of that page."""
    pinned, key = current(), case_key(id)
    return render_template("process/whole.html", run_url=url(f"/process/{key}"), **_whole(pinned, command.run_shown(pinned.looking(), key, pinned.conn)))


def _whole(pinned: Current, run: RunShown) -> dict[str, Any]:
    log = command.run_log(pinned.looking(), run.id, pinned.conn)
    people = command.names_in_run(pinned.looking(), run.id, pinned.conn)
    lines = [_line(pinned, run, event, people) for event in log if event["kind"] not in ("entered",)]
    return {"run": _strip(pinned, run), "lines": lines, "starter": people.get(run.state.by, ""), "moving": run.state.status in MOVING,
            "revision": run.row["revision_number"]}


def _line(pinned: Current, run: RunShown, event: Mapping[str, Any], people: Mapping[int, str]) -> dict[str, Any]:
    step, data = run.process.steps.get(event["step"] or ""), event["data"]
    why = data.get("why")
    note = say(command.words_of(why)) if isinstance(why, Mapping) else str(why or "")
    outcome = str(data.get("outcome") or "")
    if outcome in run.process.steps:
        outcome = say(run.process.steps[outcome].label)
    return {"at": moment(pinned, event["at"], seconds=True), "step": say(step.label) if step is not None else "", "kind": event["kind"],
            "who": people.get(event["actor"], ""),
            "note": " · ".join(filter(None, (note, outcome, str(data.get("code") or ""), str(data.get("reference") or "")))),
            "status": say(STATUS[data["status"]]) if event["kind"] == "ended" else ""}


def _record(pinned: Current, run: RunShown) -> tuple[str, str]:
    """The record's title and page, as far as this person may open it."""
    entity = pinned.catalog.entities.get(run.process.entity)
    try:
        if entity is None:
            raise NotFound
        row = titled(pinned, entity, pinned.reader.get(entity.address, run.row["record_id"], children=False))
    except MetaloomError:
        return f"#{run.row['record_id']}", ""
    return f"{say(entity.label)} {row.title}", record_url(entity.address, row.id)


# -------------------------------------------------------------------------------------------------------- what people do


@blueprint.get("/process/<int:id>/ask/<verb>")
def ask(id: str, verb: str) -> Any:
    """The dialog of retrying, entering a result, giving up."""
    pinned = current()
    run = command.run_shown(pinned.looking(), case_key(id), pinned.conn)
    if verb not in VERBS:
        raise NotFound
    if verb not in run.may:
        raise NotPossible(message("process.not_waiting"))
    return _dialog(pinned, run, verb, None, ())


def _dialog(pinned: Current, run: RunShown, verb: str, sent: Any, problems: tuple[Problem, ...], status: int = 200) -> Any:
    step = run.process.steps[run.state.step]
    asked = asked_of(step) if verb == "submit" else {}
    entity = pinned.entity(run.process.entity)
    source = Source("action", {}, {}, dict.fromkeys(asked, FieldLevel.WRITE), sent=sent, problems=problems)
    fields = [_dressed(make_field(pinned, entity, one, source, one.name, False), step.door) for one in asked.values()]
    by_hand = run.state.status == MANUAL and verb == "submit"
    helps = {"retry": Text("按原编号和原内容再次请求。", "Asks again with the same reference and the same request.") if step.type == "call" else None,
             "give_up": Text("流程以失败结束，已完成的步骤按流程规定撤回。", "The run ends without success; what was done is undone as the process says."),
             "submit": step.help or (Text("代替外部结果，记入审计。", "Stands in the place of the outside; it is audited.") if by_hand else None)}
    said = InputAsked(verb, _label(run, verb), asked, verb == "give_up" or by_hand, None, "danger" if verb == "give_up" else "primary", "read", helps[verb])
    trees = input_rules(pinned, entity, f"process/{run.process.name}/{step.name}", asked) if asked else {}
    rules = for_page(pinned, trees, {}, asked)
    title, _ = _record(pinned, run)
    return make_response(render_template(
        "detail/ask.html", asked=said, fields=fields, row={"title": f"{say(step.label)} · {title}"}, post=url(f"/process/{run.id}/{verb}"),
        rules=json.dumps(rules, ensure_ascii=False),
        version=request.form.get("_version") or run.state.seq, key=request.form.get("_key") or secrets.token_hex(16),
        reason=request.form.get("_reason", ""), next=request.form.get("_next", ""),
        problems=[p.message.say(locale()) for p in problems if p.field not in asked]), status)


def _dressed(one: FormField, door: str) -> FormField:
    """The outcome of a call is chosen among those that count."""
    if one.name != "outcome" or not door:
        return one
    return replace(one, widget="choice", options=tuple((code, t(f"process.outcome.{code}")) for code in sorted(DOORS[door].definite)))


@blueprint.post("/process/<int:id>/<verb>")
def move(id: str, verb: str) -> Any:
    """Does it."""
    pinned, key = current(), case_key(id)
    run = command.run_shown(pinned.looking(), key, pinned.conn)
    if verb not in VERBS:
        raise NotFound
    ctx, seen, reason = pinned.context().with_key(request.form.get("_key") or None), shown_version(), request.form.get("_reason", "")[:REASON_MAX]
    back = _back(pinned, run)
    try:
        if verb == "retry":
            done = command.retry_process(ctx, key, seen)
        elif verb == "give_up":
            done = command.give_up_process(ctx, key, reason, seen)
        else:
            asked = asked_of(run.process.steps[run.state.step])
            values = schema_of(pinned.revision, asked, source="form").load(raw_values(asked, request.form, {}), zone=pinned.zone)
            done = command.continue_by_hand(ctx, key, values, reason, seen)
    except Invalid as refused:
        return _dialog(pinned, run, verb, request.form, refused.problems, 400)
    except NotPossible as refused:
        if wants_fragment():
            raise
        return say_refused(redirect(back, 303), refused.message.say(locale()))
    return after(done.message.say(locale()), back)


def _back(pinned: Current, run: RunShown) -> str:
    """To the record where the person may open it, else to the run."""
    _, href = _record(pinned, run)
    return href or url(f"/process/{run.id}")


# --------------------------------------------------------------------------------------------- on the generic screens


def _panel(pinned: Current, row: Any) -> str:
    return render_template("process/whole.html", run_url=url(f"/process/{row.id}"), **_whole(pinned, command.run_shown(pinned.looking(), row.id, pinned.conn)))


def _process_words(pinned: Current, name: str, row: Any) -> str:
    process = pinned.catalog.processes.get(f"{row.values.get('entity')}/{name}")
    return say(process.label) if process is not None else name


def _step_words(pinned: Current, name: str, row: Any) -> str:
    process = pinned.catalog.processes.get(f"{row.values.get('entity')}/{row.values.get('process')}")
    step = process.steps.get(name) if process is not None else None
    return say(step.label) if step is not None else name


register(RUN, Own(panel=_panel))
WORDS[RUN, "process"] = _process_words
WORDS[RUN, "step"] = _step_words
WORDS[RUN, "entity"] = entity_words
WORDS[RUN, "record_id"] = number_words
