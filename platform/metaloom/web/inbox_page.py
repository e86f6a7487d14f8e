"""What waits for a person and what the person had to do with: the boxes of the approval inbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, NotPossible
from metaloom.base.messages import message
from metaloom.command.approval_case import CASE, TASK
from metaloom.command.approval_words import steps_said
from metaloom.command.boxes import BOXES, COPY, Box
from metaloom.model import ApprovalChain, Decide
from metaloom.record import Page, Row
from metaloom.record.filters import Filter
from metaloom.web.cells import CODES, READS, WORDS
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import after
from metaloom.web.words import age, form_ids, moment, whole
from metaloom.web.words import t as _t

blueprint = Blueprint("inbox", __name__)
ROWS = 20
BULK_MAX = 100
WAITING_SHOWN = 8
OF_CASE = ("id", "subject", "entity", "record_id", "chain", "status", "initiator", "current_steps", "started_at", "finished_at")
OF_TASK = ("step", "step_label", "kind", "due_at", "principal", "decision", "opinion", "read_at")


@dataclass(frozen=True)
class Line:
    """One row of a box, in the reader's words. ``late``: past its time; ``pick``: what a bulk decision names, the task and the version of its
    record that stands on the screen; '' where the step asks for something when it passes."""

    href: str
    subject: str
    chain: str
    step: str
    initiator: str
    at: str
    age: str
    due: str
    late: bool
    status: str
    colour: str
    decision: str
    principal: str
    unread: bool
    pick: str


@blueprint.get("/task/")
def inbox() -> Any:
    """One box, newest first, with its filters; the counts of the boxes come afterwards."""
    pinned = current()
    box = BOXES.get(request.args.get("box", ""), BOXES["todo"])
    g.menu_here = "page:tasks"
    page, problems = _page(pinned, box)
    versions = _versions(pinned, page.rows) if page and box.name == "todo" else {}
    lines = [_line(pinned, box, row, versions.get(row.id)) for row in page.rows] if page else []
    context = {"box": box, "boxes": list(_boxes(pinned)), "lines": lines, "page": page, "asked": request.args, "problems": problems,
               "chains": sorted(((c.address, say(c.label)) for c in pinned.catalog.chains.values()), key=lambda c: c[1]),
               "place": url("/task/"), "link": _link, "filtered": any(request.args.get(n) for n in ("chain", "initiator", "q", "from", "to"))}
    part = wants_fragment() and request.headers.get("HX-Target") == "inboxzone"
    return render_template("approval/lines.html" if part else "approval/inbox.html", **context)


def _boxes(pinned: Current) -> Iterator[Box]:
    """Everybody has the first four; the last is for those whose rights on cases reach further than their own."""
    for box in BOXES.values():
        if pinned.plan.may(box.entity, "list") and (box.name != "all" or _sees_more(pinned)):
            yield box


def _sees_more(pinned: Current) -> bool:
    return any(grant.role != "platform.everybody" and grant.role in pinned.actor.role_addresses and "list" in grant.actions
               for grant in pinned.catalog.grants.get(CASE, ()))


def _page(pinned: Current, box: Box) -> tuple[Page | None, list[str]]:
    paths = [f"{box.case}{name}" for name in OF_CASE if box.case or name != "id"]
    paths += [box.time, *(OF_TASK if box.entity == TASK else ("read_at",) if box.entity == COPY else ())]
    try:
        found = pinned.reader.list(box.entity, view=_view(pinned, box), tab=box.tab, filters=_filters(box), paths=list(dict.fromkeys(paths)),
                                   sort=[f"-{box.time}"], cursor=request.args.get("cursor") or None, limit=ROWS)
    except Invalid as wrong:
        return None, [p.message.say(locale()) for p in wrong.problems]
    return found, []


def _view(pinned: Current, box: Box) -> Any:
    return pinned.catalog.lists[f"{box.entity}/main"]


def _filters(box: Box) -> list[Filter]:
    """What was asked, as filters of the generic list: the same rights, the same refusals."""
    asked, found = request.args, []
    entity, _, chain = asked.get("chain", "").partition("/")
    if entity and chain:
        found += [Filter(f"{box.case}entity", "eq", entity), Filter(f"{box.case}chain", "eq", chain)]
    if (initiator := whole(asked.get("initiator", ""))) is not None:
        found.append(Filter(f"{box.case}initiator", "eq", str(initiator)))
    if asked.get("q", "").strip():
        found.append(Filter(f"{box.case}subject_text", "contains", asked["q"].strip()))
    if asked.get("from") or asked.get("to"):
        found.append(Filter(box.time, "between", [asked.get("from") or None, asked.get("to") or None]))
    return found


def _link(**changed: Any) -> str:
    """This page with some of its questions changed; a cursor never survives."""
    kept = {k: v for k, v in request.args.items() if v and k != "cursor"} | changed
    return "?" + urlencode({k: v for k, v in kept.items() if v})


def _line(pinned: Current, box: Box, row: Row, version: int | None = None) -> Line:
    def of_case(name: str) -> Any:
        return row.id if name == "id" and not box.case else row[f"{box.case}{name}"]

    task = box.entity == TASK
    now, due = pinned.clock.now(), row["due_at"] if task else None
    status, colour = _coded(pinned, "platform.approval_status", of_case("status"))
    step = _said(row["step_label"]) if task else say(steps_said(pinned.catalog, {name: of_case(name) for name in ("entity", "chain", "current_steps")}))
    at = row[box.time]
    case_id = row["case"] if box.case else row.id
    return Line(
        href=url(f"/task/{row.id}") if task else url(f"/case/{case_id}"), subject=_said(of_case("subject")) or f"#{case_id}",
        chain=chain_label(pinned, of_case("entity"), of_case("chain")), step=step, initiator=row.titles.get(f"{box.case}initiator", ""),
        at=moment(pinned, at), age=age(at, now) if box.name == "todo" else "", due=moment(pinned, due), late=due is not None and due < now,
        status=status, colour=colour, decision=_coded(pinned, "platform.approval_decision", row["decision"])[0] if task else "",
        principal=row.titles.get("principal", "") if task else "", unread=row["read_at"] is None and box.entity in (TASK, COPY),
        pick=f"{row.id}.{version or ''}" if task and not _asks(pinned, of_case("entity"), of_case("chain"), row["step"]) else "")


def _asks(pinned: Current, entity: str, chain: str, step: str) -> bool:
    """Whether the step asks for something when it passes, so that it is decided on its own page."""
    found = pinned.catalog.chains.get(f"{entity}/{chain}")
    return found is not None and any(isinstance(one, Decide) and one.name == step and one.filled_in for one in found.every_step())


def chain_label(pinned: Current, entity: str | None, name: str | None) -> str:
    """What people call the chain now; its name where it is gone from the metadata."""
    chain: ApprovalChain | None = pinned.catalog.chains.get(f"{entity}/{name}")
    return say(chain.label) if chain is not None else str(name or "")


def _chain_of_row(pinned: Current, name: str, row: Any) -> str:
    return chain_label(pinned, row.values.get("entity"), name)


def _chains(pinned: Current) -> list[tuple[str, str]]:
    """The names of chains with what they are called, chains of one name together."""
    called: dict[str, dict[str, None]] = {}
    for chain in pinned.catalog.chains.values():
        called.setdefault(chain.name, {})[say(chain.label)] = None
    return [(name, " / ".join(labels)) for name, labels in called.items()]


def _step_of_row(pinned: Current, name: str, row: Any) -> str:
    """What the step was called when the task came; its name where that was not kept."""
    return _said(row.values.get("step_label")) or name


def _steps_of_row(pinned: Current, words: str, row: Any) -> str:
    return say(steps_said(pinned.catalog, {**row.values, "current_steps": words}))


def _steps(pinned: Current) -> list[tuple[str, str]]:
    """The names of steps that people decide, with what they are called, steps of one name together."""
    called: dict[str, dict[str, None]] = {}
    for step in (s for chain in pinned.catalog.chains.values() for s in chain.every_step() if isinstance(s, Decide)):
        called.setdefault(step.name, {})[say(step.label)] = None
    return [(name, " / ".join(labels)) for name, labels in called.items()]


WORDS[CASE, "chain"], READS[CASE, "chain"] = _chain_of_row, ("entity",)
CODES[CASE, "chain"] = _chains
WORDS[CASE, "subject"] = WORDS[TASK, "step_label"] = lambda pinned, words, row: _said(words)
WORDS[CASE, "current_steps"], READS[CASE, "current_steps"] = _steps_of_row, ("entity", "chain")
WORDS[TASK, "step"], READS[TASK, "step"] = _step_of_row, ("step_label",)
CODES[TASK, "step"] = _steps


def _coded(pinned: Current, choices: str, code: Any) -> tuple[str, str]:
    item = pinned.catalog.choices[choices].items.get(code) if code else None
    return (say(item.label), item.colour) if item is not None else (str(code or ""), "")


def _said(words: Any) -> str:
    return str(words.get(locale()) or words.get("zh") or "") if isinstance(words, Mapping) else str(words or "")


# ------------------------------------------------------------------------------------------------------- fragments


@blueprint.get("/task/counts")
def counts() -> Any:
    """How many each box holds, as one fragment."""
    pinned = current()
    numbers = {}
    for entity in (TASK, CASE, COPY):
        boxes = [box for box in _boxes(pinned) if box.entity == entity]
        if boxes:
            found = pinned.reader.tab_counts(entity, _view(pinned, boxes[0]))
            numbers |= {box.name: found[box.tab] for box in boxes if box.tab in found}
    return render_template("approval/counts.html", numbers=numbers)


@blueprint.get("/task/waiting")
def waiting() -> Any:
    """The tasks that have waited longest, for the workbench."""
    lines, more = waiting_lines(current(), WAITING_SHOWN)
    return render_template("approval/waiting.html", lines=lines, more=more)


def waiting_lines(pinned: Current, limit: int) -> tuple[list[Line], bool]:
    """The person's open tasks, longest waiting first, and whether there are more."""
    box = BOXES["todo"]
    page = pinned.reader.list(TASK, view=_view(pinned, box), tab=box.tab, sort=["opened_at"], limit=limit, paths=[
        *(f"case.{name}" for name in OF_CASE), box.time, *OF_TASK])
    return [_line(pinned, box, row) for row in page.rows], page.has_more


# ------------------------------------------------------------------------------------------------------ in one go


@blueprint.post("/task/decide")
def decide_several() -> Any:
    """The same decision on the tasks that were picked, each by itself; what was refused says why. A record that somebody changed since
    the list was shown is refused as it is on its own page."""
    pinned = current()
    picked = _picked(request.form.getlist("ids"))
    if not picked:
        raise Invalid([], message("approval.nothing_picked"))
    if len(picked) > BULK_MAX:
        raise NotPossible(message("command.bulk_limit", limit=BULK_MAX))
    subjects = _subjects(pinned, list(picked))
    outcomes = command.decide_tasks(pinned.context(), picked, request.form.get("decision", "pass"), request.form.get("opinion", ""))
    failed = [(subjects.get(o.id, f"#{o.id}"), o.message.say(locale())) for o in outcomes if o.error is not None]
    said = _t("approval.bulk_done", done=len(outcomes) - len(failed), failed=len(failed))
    if failed:
        return render_template("approval/bulk_done.html", said=said, failed=failed, back=url("/task/"))
    return after(said, url("/task/"))


def _picked(values: Sequence[str]) -> dict[int, int | None]:
    """Task → version of its record, of what the list sent; without one the command says why it refuses."""
    pairs = (value.partition(".") for value in values)
    return {task: next(iter(form_ids([version])), None) for id, _, version in pairs for task in form_ids([id])}


def _subjects(pinned: Current, ids: Sequence[int]) -> dict[int, str]:
    page = pinned.reader.list(TASK, filters=[Filter("id", "in", list(ids))], paths=["case.subject"], limit=BULK_MAX)
    return {row.id: _said(row["case.subject"]) for row in page.rows}


def _versions(pinned: Current, rows: Sequence[Row]) -> dict[int, int | None]:
    """Task → version of its record as it stands while the list is made: one statement for each entity."""
    records: dict[str, list[int]] = {}
    for row in rows:
        records.setdefault(row["case.entity"], []).append(row["case.record_id"])
    seen = {entity: pinned.reader.versions(entity, of_it) for entity, of_it in records.items()}
    return {row.id: seen[row["case.entity"]].get(row["case.record_id"]) for row in rows}
