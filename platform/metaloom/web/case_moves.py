"""The moves of a case that are no decision: which are open to a person, and what each asks for first."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import make_response, render_template, request

from metaloom.approval import Offer, Task
from metaloom.base.errors import NotFound, Problem
from metaloom.base.text import Text
from metaloom.command import CaseShown
from metaloom.command.decide_task import OPINION_MAX
from metaloom.command.move_case import DATA
from metaloom.model import Decide
from metaloom.web.case_facts import names_of, step_of, subject_of
from metaloom.web.current import Current, locale, say, url
from metaloom.web.decision_form import ASKED_FILES, FILES, files_field, sent_drawing, sent_files
from metaloom.web.form_model import FormField
from metaloom.web.words import form_ids
from metaloom.web.words import t as _t

USER = "platform.user"


@dataclass(frozen=True)
class Verb:
    """One move that is not a decision. ``asks``: person | people | step | '' ; ``text``: name of its words, '' where it takes none."""

    icon: str
    asks: str = ""
    text: str = ""
    needed: bool = False
    danger: bool = False


# In the order in which they are offered; those before the bar stand beside the decisions.


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


def moves_of(shown: CaseShown, mine: Task | None) -> dict[str, Any]:
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


def dialog(pinned: Current, shown: CaseShown, kind: str, task_id: int | None, problems: Sequence[Problem] = (), status: int = 200) -> Any:
    offer = next((o for o in shown.offers if o.kind == kind and (task_id is None or o.task is None or shown.tasks.get(o.task) == task_id)), None)
    verb = VERBS.get(kind) or (Verb("arrow-back-up", "step", "opinion", True) if kind == "return" else None)
    if verb is None or offer is None:
        raise NotFound
    where = url(f"/task/{task_id}" if task_id is not None else f"/case/{shown.id}")
    return make_response(render_template(
        "approval/ask.html", kind=kind, verb=verb, label=_t(f"approval.move.{kind}"), subject=subject_of(shown), text=_text_name(verb),
        post=f"{where}/decide" if kind == "return" else f"{where}/{kind}", targets=_targets(shown, offer), then=_then(shown, task_id),
        people=_people_offered(pinned, shown, kind, task_id),
        sign=kind == "return" and _signed(shown, task_id), draw=kind == "return" and _drawn(shown, task_id),
        drawn=sent_drawing(request.form), lookup=url(f"/lookup/{USER}"), version=shown.record_version,
        files=_files(pinned, shown, kind, task_id, problems), key=secrets.token_hex(16),
        given=request.form, opinion=request.args.get("opinion", "")[:OPINION_MAX],
        problems=[p.message.say(locale()) for p in problems]), status)


def _files(pinned: Current, shown: CaseShown, kind: str, task_id: int | None, problems: Sequence[Problem]) -> FormField | None:
    """Files that go along with what is said; those that stand on the page already come along."""
    if kind != "return" and FILES.name not in DATA[kind]:
        return None
    step = _step_at(shown, task_id) or (Decide("", Text("", "")) if kind == "resubmit" else None)
    made = files_field(pinned, step, request.values.get(ASKED_FILES) or request.values.get(FILES.name, ""), problems)
    return replace(made, html=ASKED_FILES) if made is not None else None


def _text_name(verb: Verb) -> str:
    return _t(f"approval.text.{verb.text}") if verb.text else ""


def _signed(shown: CaseShown, task_id: int | None) -> bool:
    step = _step_at(shown, task_id)
    return step is not None and step.sign


def _drawn(shown: CaseShown, task_id: int | None) -> bool:
    step = _step_at(shown, task_id)
    return step is not None and step.signature == "drawn"


def _step_at(shown: CaseShown, task_id: int | None) -> Decide | None:
    no = next((n for n, row in shown.tasks.items() if row == task_id), None)
    return step_of(shown, shown.state.tasks[no]) if no is not None else None


def _then(shown: CaseShown, task_id: int | None) -> str:
    step = _step_at(shown, task_id)
    return step.returns.then if step is not None else "rerun"


def _targets(shown: CaseShown, offer: Offer | None) -> list[tuple[str, str]]:
    labels = {step.name: say(step.label) for step in shown.chain.every_step()}
    words = {"initiator": _t("approval.to_initiator"), "previous": _t("approval.to_previous"), "end": _t("approval.to_end")}
    return [(name, words.get(name) or labels.get(name, name)) for name in offer.targets] if offer is not None else []


def _people_offered(pinned: Current, shown: CaseShown, kind: str, task_id: int | None) -> list[tuple[int, str]]:
    """Whom 减签 may take out: the signers of the step; every other move looks people up."""
    if kind != "remove":
        return []
    no = next((n for n, row in shown.tasks.items() if row == task_id), None)
    step = shown.state.tasks[no].step if no is not None else ""
    ids = [t.assignee for t in shown.state.live_tasks(step) if t.assignee and t.no != no]
    names = names_of(pinned, shown, ids)
    return [(one, names.get(one, f"#{one}")) for one in ids]


def sent_data(kind: str) -> dict[str, Any]:
    verb = VERBS.get(kind)
    if verb is None:
        raise NotFound
    form, data = request.form, {}
    if verb.asks in ("person", "people"):
        ids = form_ids(form.getlist("to"))
        data["to"] = (ids[0] if ids else None) if verb.asks == "person" else ids
    elif verb.asks == "step":
        data["to"] = form.get("to", "")
    if verb.text:
        data[verb.text] = form.get("text", "")[:OPINION_MAX + 1]
    if FILES.name in DATA[kind]:
        data[FILES.name] = sent_files() or None
    return data
