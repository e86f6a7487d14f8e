"""A case: the record as its step shows it, what can be decided, what was said, and the way it took; decisions and moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, g, make_response, render_template, request
from werkzeug.datastructures import MultiDict

from metaloom import command
from metaloom.approval import Task
from metaloom.base.errors import Invalid, NotFound, NotPossible, Problem, Stale, TooMany
from metaloom.command import CaseShown
from metaloom.command.decide_task import DECISIONS, OPINION_MAX
from metaloom.web.case_facts import case_key, facts_of, record_of, step_of, subject_of, way_of
from metaloom.web.case_moves import dialog, moves_of, sent_data
from metaloom.web.current import Current, current, locale, url
from metaloom.web.decision_form import OUT, decision_form, sent_files, sent_outputs, sent_own_values, shown_version
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import after, toast
from metaloom.web.security import inside
from metaloom.web.words import moment
from metaloom.web.words import t as _t

blueprint = Blueprint("case", __name__)

# ------------------------------------------------------------------------------------------------------------ the page


@blueprint.get("/task/<int:id>")
def task(id: str) -> Any:
    """The case at one of its tasks."""
    pinned = current()
    return _page(pinned, command.case_of_task(pinned.looking(), case_key(id), pinned.conn), int(id))


@blueprint.get("/case/<int:id>")
def case(id: str) -> Any:
    """The case as a whole."""
    return _page(current(), case_key(id))


def _page(pinned: Current, case_id: int, task_id: int | None = None, *, sent: MultiDict[str, str] | None = None,
          problems: Sequence[Problem] = (), notice: str = "", status: int = 200) -> Any:
    shown = command.case_shown(pinned.looking(), case_id, pinned.conn)
    g.menu_here = "page:tasks"
    mine = _mine(pinned, shown, task_id)
    return make_response(render_template("approval/case.html", **facts_of(pinned, shown), **record_of(pinned, shown, mine),
                                         **decision_form(pinned, shown, mine, sent, problems), **way_of(pinned, shown), **moves_of(shown, mine),
                                         notice=notice, crumbs=[(_t("approval.inbox"), url("/task/")), (subject_of(shown), "")]), status)


def _mine(pinned: Current, shown: CaseShown, task_id: int | None) -> Task | None:
    """The task this person would decide: the one named, else the first that offers a decision."""
    offered = [o.task for o in shown.offers if o.task is not None]
    wanted = next((no for no, row in shown.tasks.items() if row == task_id), None)
    decidable = [o.task for o in shown.offers if o.task is not None and o.kind in (*DECISIONS, "answer", "resubmit", "claim")]
    no = wanted if wanted in offered else next(iter(decidable or offered), None)
    return shown.state.tasks[no] if no is not None else None


@blueprint.get("/case/<int:id>/way")
def way(id: str) -> Any:
    """The diagram and the story alone: the page asks again while the case runs."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), case_key(id), pinned.conn)
    return render_template("approval/way.html", **way_of(pinned, shown), **facts_of(pinned, shown))


@blueprint.get("/case/<int:id>/record")
def show_record(id: str) -> Any:
    """The record's own fields again, after another of its tabs was looked at."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), case_key(id), pinned.conn)
    found = record_of(pinned, shown, _mine(pinned, shown, None))
    if found["record"] is None:
        raise NotFound
    return render_template("detail/info.html", blocks=found["blocks"], entity=found["entity"], row=found["record"], own_panel="")


@blueprint.get("/case/<int:id>/print")
def print_form(id: str) -> Any:
    """The approval form for paper: the record and every opinion, without anything to press."""
    pinned = current()
    shown = command.case_shown(pinned.looking(), case_key(id), pinned.conn)
    return render_template("approval/print.html", **facts_of(pinned, shown), **record_of(pinned, shown, _mine(pinned, shown, None)),
                           **way_of(pinned, shown), printed=moment(pinned, pinned.clock.now()), number=shown.id)


# --------------------------------------------------------------------------------------------------------- the dialogs


@blueprint.get("/task/<int:id>/ask/<kind>")
def ask_of_task(id: str, kind: str) -> Any:
    """The dialog of a move with a task."""
    pinned = current()
    case_id = command.case_of_task(pinned.looking(), case_key(id), pinned.conn)
    return dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), kind, int(id))


@blueprint.get("/case/<int:id>/ask/<kind>")
def ask_of_case(id: str, kind: str) -> Any:
    """The dialog of a move with the case as a whole."""
    pinned = current()
    return dialog(pinned, command.case_shown(pinned.looking(), case_key(id), pinned.conn), kind, None)


# ------------------------------------------------------------------------------------------------------------ deciding


@blueprint.post("/task/<int:id>/decide")
def decide(id: str) -> Any:
    """A decision on the version that was shown; what does not fit comes back with everything that was typed."""
    pinned, key, form = current(), case_key(id), request.form
    case_id = command.case_of_task(pinned.looking(), key, pinned.conn)
    shown = command.case_shown(pinned.looking(), case_id, pinned.conn)
    wanted = form.get("decision", "")
    if wanted == "hold":
        return _hold(pinned, shown, key)
    no = next((n for n, row in shown.tasks.items() if row == key), None)
    step = step_of(shown, shown.state.tasks[no]) if no is not None else None
    try:
        outputs = sent_outputs(pinned, step) if wanted in ("pass", "resolve") else {}
        own = sent_own_values(pinned, shown, step) if wanted == "pass" else {}
        ctx = pinned.context().with_key(form.get("_key") or None)
        done = command.decide_task(ctx, key, wanted, form.get("opinion", "")[:OPINION_MAX + 1], outputs, own, sent_files(), shown_version(),
                                   form.get("to") or None, form.get("then") or None, form.get("password", "")[:256], form.get("signature", ""))
    except Invalid as wrong:
        pinned.release()
        if wants_fragment():
            return dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), "return", key, wrong.problems, 400)
        return _page(pinned, case_id, key, sent=form, problems=wrong.problems, status=400)
    except TooMany as locked:
        pinned.release()
        if wants_fragment():
            raise
        return _page(pinned, case_id, key, sent=form, notice=locked.message.say(locale()), status=429)
    except NotPossible as refused:
        return _refused(pinned, case_id, key, refused)
    return after(done.message.say(locale()), _next())


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


# -------------------------------------------------------------------------------------------------------- other moves


@blueprint.post("/task/<int:id>/<kind>")
def move_task(id: str, kind: str) -> Any:
    """Every other move with a task."""
    pinned = current()
    case_id = command.case_of_task(pinned.looking(), case_key(id), pinned.conn)
    return _moved(pinned, case_id, kind, int(id), sent_data(kind), url("/task/") if kind in ("transfer", "answer", "resubmit") else url(f"/case/{case_id}"))


@blueprint.post("/case/<int:id>/<kind>")
def move_case(id: str, kind: str) -> Any:
    """Every other move with the case as a whole."""
    return _moved(current(), case_key(id), kind, None, sent_data(kind), url(f"/case/{id}"))


def _moved(pinned: Current, case_id: int, kind: str, task_id: int | None, data: Mapping[str, Any], target: str) -> Any:
    ctx = pinned.context().with_key(request.form.get("_key") or None)
    try:
        given = {"task_id": task_id} if task_id is not None else {"case_id": case_id}
        done = command.move_case(ctx, kind, data={k: v for k, v in data.items() if v is not None}, **given)
    except Invalid as wrong:
        pinned.release()
        if not wants_fragment():
            return _page(pinned, case_id, task_id, problems=wrong.problems, notice=" ".join(p.message.say(locale()) for p in wrong.problems), status=400)
        return dialog(pinned, command.case_shown(pinned.looking(), case_id, pinned.conn), kind, task_id, wrong.problems, 400)
    except NotPossible as refused:
        return _refused(pinned, case_id, task_id, refused)
    return after(done.message.say(locale()), target)
