"""Approval: the inbox, a case with its log and its way, decisions and every other move, starting a case."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Response

from metaloom.api.answer import answer, done, in_utc
from metaloom.api.body import json_object, only, refused
from metaloom.api.bulk import ITEMS_MAX
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters, read_question, single_parameters
from metaloom.api.records import context, known_entity, list_page, one, reader, record_id, wanted_version
from metaloom.api.shapes import object_of
from metaloom.api.speech import locale, say
from metaloom.approval import Node
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.base.text import LOCALES
from metaloom.command import (
    CaseShown,
    FileShown,
    case_files,
    case_log,
    case_shown,
    decide_task,
    decide_tasks,
    move_case,
    output_defaults,
    start_approval,
)
from metaloom.command.approval_case import CASE, TASK
from metaloom.command.boxes import BOXES, Box
from metaloom.command.decide_task import DECISIONS, OPINION_MAX
from metaloom.command.move_case import DATA
from metaloom.model import FieldLevel
from metaloom.model.approval import Decide
from metaloom.record import Filter, Reader

BOX_KEYS = ("box", "filter", "q", "sort", "cursor", "page", "limit", "fields", "include", "count")
DECIDE_KEYS = ("decision", "opinion", "outputs", "fields", "attachments", "record_version", "to", "then", "password", "signature")
BOTH = set(LOCALES)
BULK_KEYS = ("decision", "opinion", "items")


def tasks() -> Response:
    """GET /task?box=todo|done|mine|copied|all: what waits for the person, what the person did, started, got a copy of.

    Filters, sorting and pages as in every list.
    """
    given = single_parameters()
    box = given.get("box", "todo")
    if box not in BOXES:
        raise refused("box", message("field.choice"))
    found = BOXES[box]
    entity = pinned().revision.catalog.entities[found.entity]
    asked = read_question(pinned().revision, entity, BOX_KEYS)
    page = list_page(reader(), entity, replace(asked, asked={**asked.asked, "tab": found.tab}))
    return answer({**page, "items": _titled(found, page["items"])})


def _titled(box: Box, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a box whose titles, and those of their cases, say what steps and chains are called; words kept in both languages are the reader's."""
    cases = {item["case"]["id"] if box.case else item["id"] for item in items if not box.case or item.get("case")}
    source = reader()
    rows = source.list(CASE, filters=[Filter("id", "in", sorted(cases))], paths=["entity", "chain"], limit=len(cases)) if cases else ()
    chains = {row.id: say(chain.label) for row in rows if (chain := source.plan.catalog.chains.get(f"{row['entity']}/{row['chain']}")) is not None}
    steps = _step_words(source, [item["id"] for item in items]) if box.entity == TASK else {}
    for item in items:
        if box.case and item.get("case"):
            item["case"] = {**item["case"], "title": chains.get(item["case"]["id"], item["case"]["title"])}
        item["title"] = steps.get(item["id"], item["title"]) if box.case else chains.get(item["id"], item["title"])
        item |= {name: value[locale()] for name, value in item.items() if isinstance(value, dict) and set(value) == BOTH}
    return items


def _step_words(source: Reader, ids: list[int]) -> dict[int, str]:
    """What the steps of tasks were called when they came."""
    rows = source.list(TASK, filters=[Filter("id", "in", ids)], paths=["step_label"], limit=len(ids)) if ids else ()
    return {row.id: said for row in rows if (said := (row.values.get("step_label") or {}).get(locale()))}


def decide(id: str) -> Response:
    """POST /task/<id>/decide"""
    no_other_parameters()
    body = json_object()
    only(body, DECIDE_KEYS)
    outputs = _map(body, "outputs") if "outputs" in body else None
    return done(decide_task(context(), record_id(id), _decision(body), _opinion(body), outputs, _map(body, "fields"),
                            _ids(body, "attachments"), _version(body), _name(body, "to"), _name(body, "then"), _text(body, "password")[:256],
                            _text(body, "signature")))


def decide_many() -> Response:
    """POST /task/decide: the same decision on several tasks, each with its own outcome."""
    no_other_parameters()
    body = json_object()
    only(body, BULK_KEYS)
    decision, opinion = _decision(body), _opinion(body)
    items = body.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= ITEMS_MAX or not all(isinstance(item, dict) for item in items):
        raise refused("items", message("api.bulk_items", limit=ITEMS_MAX))
    wanted: dict[int, int | None] = {}
    for item in items:
        only(item, ("task", "record_version"))
        wanted[_id(item, "task")] = _version(item)
    found = decide_tasks(context(), wanted, decision, opinion)
    rows = [{"task": o.id, "status": o.error.status if o.error else 200, "message": o.message.say(locale()),
             **({"code": o.error.message.code} if o.error else {})} for o in found]
    failed = sum(1 for o in found if o.error)
    return answer({"done": len(found) - failed, "failed": failed, "items": rows})


def move_task(id: str, verb: str) -> Response:
    """POST /task/<id>/<verb>: claim, transfer, ask and every other move with a task."""
    no_other_parameters()
    key, body = record_id(id), json_object(empty=True)
    _known(verb)
    return done(move_case(context(), verb, task_id=key, data=body))


def move(id: str, verb: str) -> Response:
    """POST /case/<id>/<verb>: withdraw, terminate, jump, urge, read, wake; any other move needs the task it is about."""
    no_other_parameters()
    key, body = record_id(id), json_object(empty=True)
    _known(verb)
    return done(move_case(context(), verb, case_id=key, data=body))


def _known(verb: str) -> None:
    if verb not in DATA:
        raise NotFound


def case(id: str) -> Response:
    """GET /case/<id>: where it stands, its tasks, and what the person may do with it now."""
    no_other_parameters()
    found = _shown(id)
    row = reader().get(CASE, found.id)
    state, mine = found.state, {o.task for o in found.offers if o.kind in DECISIONS}
    tasks_ = [{"id": found.tasks.get(no), "number": no, "step": t.step, "kind": t.kind, "status": t.status, "assignee": t.assignee, "pool": t.pool,
               "opened_at": in_utc(t.opened_at), "closed_at": in_utc(t.closed_at) or None, "due_at": in_utc(t.due), "decision": t.decision or None,
               "opinion": t.opinion or None,
               "asks": _asks(found, t.step) if no in mine else None}
              for no, t in state.tasks.items()]
    offers = [{"kind": o.kind, "task": found.tasks.get(o.task) if o.task is not None else None, "targets": o.targets} for o in found.offers]
    return answer({"id": found.id, "entity": found.row["entity"], "record_id": found.row["record_id"], "chain": found.row["chain"],
                   "chain_label": say(found.chain.label), "status": state.status, "subject": (row.values.get("subject") or {}).get(locale()),
                   "initiator": state.initiator or None, "started_at": in_utc(state.started_at), "finished_at": in_utc(state.finished_at) or None,
                   "record_readable": found.readable, "record_version": found.record_version if found.readable else None,
                   "tasks": tasks_, "offers": offers})


def _asks(found: CaseShown, name: str) -> dict[str, Any] | None:
    """What a decision of the step takes: schemas of ``outputs`` and ``fields``, first values, and what must come with it."""
    step = next((one for one in found.chain.every_step() if one.name == name and isinstance(one, Decide)), None)
    if not isinstance(step, Decide):
        return None
    catalog = pinned().catalog
    entity, outputs = catalog.entities[found.row["entity"]], list(step.outputs.values())
    levels = reader().get(entity.address, found.row["record_id"], children=False).levels if found.readable and step.fields else {}
    open_ = [entity.fields[one] for one, how in step.fields.items() if how in ("write", "required") and levels.get(one, FieldLevel.HIDDEN) >= FieldLevel.READ]
    return {"outputs": object_of(catalog, None, outputs, required=[one.name for one in outputs if one.required and not one.default]),
            "defaults": output_defaults(context(), found, step, pinned().conn),
            "fields": object_of(catalog, entity, open_, required=[one.name for one in open_ if step.fields[one.name] == "required"]),
            "opinion": step.opinion, "attachments": step.attachments, "password": step.sign, "signature": bool(step.signature)}


def case_path(id: str) -> Response:
    """GET /case/<id>/path: the steps of the chain as a tree, with what became of each."""
    no_other_parameters()
    return answer({"items": [_node(node) for node in _shown(id).path]})


def _node(node: Node) -> dict[str, Any]:
    return {**{name: in_utc(value) for name, value in asdict(node).items() if name not in ("children", "label")}, "label": say(node.label),
            "children": [_node(child) for child in node.children]}


def events(id: str) -> Response:
    """GET /case/<id>/events: the log, oldest first; ``files`` tells of what came with somebody's words."""
    no_other_parameters()
    key = record_id(id)
    log, files = case_log(context(), key), case_files(context(), key)
    return answer({"items": [{"seq": seq, "kind": event.kind, "data": {name: in_utc(value) for name, value in event.data.items()},
                              "files": [_file(files[one]) for one in event.data.get("attachments") or () if one in files]}
                             for seq, event in enumerate(log, 1)]})


def _file(found: FileShown) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "size": found.size, "media_type": found.media_type}


def _shown(id: str) -> CaseShown:
    return case_shown(context(), record_id(id))


def start(entity: str, id: str, chain: str) -> Response:
    """POST /<entity>/<id>/approval/<chain>"""
    no_other_parameters()
    found, key, version = known_entity(entity), record_id(id), wanted_version()
    body = json_object(empty=True)
    only(body, ("chosen",))
    one(found, key)
    return done(start_approval(context(), found.address, key, chain, _map(body, "chosen"), version))


# -- reading bodies


def _decision(body: dict[str, Any]) -> str:
    decision = _text(body, "decision")
    if decision not in DECISIONS:
        raise refused("decision", message("field.choice"))
    return decision


def _opinion(body: dict[str, Any]) -> str:
    opinion = _text(body, "opinion")
    if len(opinion) > OPINION_MAX:
        raise refused("opinion", message("record.too_long", limit=OPINION_MAX, found=len(opinion)))
    return opinion


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise refused(name, message("record.not_text"))
    return value


def _name(body: dict[str, Any], name: str) -> str | None:
    return _text(body, name) or None if body.get(name) is not None else None


def _map(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise refused(name, message("api.json_object"))
    return value or {}


def _ids(body: dict[str, Any], name: str) -> list[int]:
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        raise refused(name, message("field.type"))
    return value


def _id(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise refused(name, message("field.type"))
    return value


def _version(body: dict[str, Any]) -> int | None:
    return _id(body, "record_version") if body.get("record_version") is not None else None
