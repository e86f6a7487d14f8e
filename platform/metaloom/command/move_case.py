"""Everything else that people do in a case: withdraw, take back, transfer, delegate, add signers, ask, urge, claim, terminate, …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.command import approval_rows
from metaloom.command.approval_case import Case, done, locked_case, make_move
from metaloom.command.context import ActionDone, Context
from metaloom.command.decide_task import OPINION_MAX, as_json, refuse_strangers, said, task_of
from metaloom.command.opinion_files import columns_for, read_files, take_files
from metaloom.command.store import check_version
from metaloom.command.unit import Unit, perform

# kind → what its data may hold; ``to`` as one account, several accounts, or the name of a step
DATA: Mapping[str, Mapping[str, str]] = {
    "withdraw": {"reason": "text"}, "take_back": {}, "resubmit": {"opinion": "text", "attachments": "files"},
    "claim": {}, "unclaim": {}, "read": {}, "urge": {},
    "transfer": {"to": "person", "opinion": "text", "attachments": "files"}, "delegate": {"to": "person", "opinion": "text", "attachments": "files"},
    "add_before": {"to": "people", "opinion": "text", "attachments": "files"}, "add_after": {"to": "people", "opinion": "text", "attachments": "files"},
    "remove": {}, "copy": {"to": "people"}, "ask": {"to": "person", "question": "text", "attachments": "files"},
    "answer": {"opinion": "text", "attachments": "files"}, "hold": {"opinion": "text", "outputs": "json"}, "terminate": {"reason": "text"},
    "jump": {"to": "step", "reason": "text"}, "wake": {}, "pause": {"opinion": "text"},
}
CASE_MOVES = frozenset({"withdraw", "terminate", "jump", "urge", "read", "wake"})
WHOLE = CASE_MOVES - {"read", "wake"}     # about the case even where a task was named
PEOPLE_MAX = 50


def move_case(ctx: Context, kind: str, *, case_id: int | None = None, task_id: int | None = None, data: Mapping[str, Any] | None = None,
              record_version: int | None = None) -> ActionDone:
    """Makes a move of ``kind`` in the case, or with the task, that is named.

    NotFound for somebody without part in the case, NotAllowed for a move that is not this person's, NotPossible for one that the
    case does not allow now, Invalid for data that the move does not take. Nothing is stored then.
    """
    body = [kind, case_id, task_id, data or {}, record_version]
    return perform(ctx, f"approval.{kind}"[:160], body, lambda unit: move_in(unit, kind, case_id, task_id, data or {}, record_version))


def move_in(unit: Unit, kind: str, case_id: int | None, task_id: int | None, data: Mapping[str, Any], record_version: int | None) -> ActionDone:
    """The same inside a running unit."""
    if kind not in DATA:
        raise Invalid([Problem("kind", message("approval.no_such_move", kind=kind[:40]))])
    case, no = _found(unit, kind, case_id, task_id)
    if record_version is not None and not unit.ctx.system:
        check_version(unit, case.chain.entity, case.record, record_version)
    given, user = read_data(case, kind, data), unit.ctx.actor.user_id or 0
    if kind == "read" and no is None and case.state.finished:
        approval_rows.read_copy(unit, case.id, user)      # the log of a finished case is closed; having read a copy is not of it
    else:
        files = given.get("attachments", [])
        make_move(case, kind, user, no, given, columns_for(unit, task_id, files) if task_id is not None else None)
        if task_id is not None:
            take_files(unit, task_id, files)
    return done(case, said(kind), **({"task": task_id} if task_id is not None else {}))


def _found(unit: Unit, kind: str, case_id: int | None, task_id: int | None) -> tuple[Case, int | None]:
    if task_id is not None:
        case, no = task_of(unit, task_id)
        return case, None if kind in WHOLE else no
    if case_id is None or kind not in CASE_MOVES:
        raise Invalid([Problem("task", message("approval.no_task"))])
    case = locked_case(unit, case_id)
    refuse_strangers(case)
    return case, None


def read_data(case: Case, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a move in its types; Invalid names everything that does not fit."""
    problems = [Problem(name, message("field.unknown")) for name in given if name not in DATA[kind]]
    found: dict[str, Any] = {}
    for name, shape in DATA[kind].items():
        found[name] = _READERS[shape](case, name, given.get(name), problems)
    if problems:
        raise Invalid(problems)
    return {name: value for name, value in found.items() if value is not None}


def _text(case: Case, name: str, value: Any, problems: list[Problem]) -> str | None:
    if value is None or isinstance(value, str) and len(value) <= OPINION_MAX:
        return value.strip() if value is not None else None
    problems.append(Problem(name, message("field.length", limit=OPINION_MAX)))
    return None


def _people(case: Case, name: str, value: Any, problems: list[Problem]) -> list[int] | None:
    ids = [value] if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(ids, (list, tuple)) or not 0 < len(ids) <= PEOPLE_MAX or not all(
            isinstance(user, int) and not isinstance(user, bool) and 0 < user < 2**63 for user in ids):
        problems.append(Problem(name, message("approval.needs_people")))
        return None
    if len(case.facts.people.active(ids)) != len(set(ids)):
        problems.append(Problem(name, message("approval.unknown_person")))
        return None
    return list(dict.fromkeys(ids))


def _person(case: Case, name: str, value: Any, problems: list[Problem]) -> int | None:
    people = _people(case, name, value, problems)
    if people is not None and len(people) != 1:
        problems.append(Problem(name, message("approval.needs_people")))
        return None
    return people[0] if people else None


def _files(case: Case, name: str, value: Any, problems: list[Problem]) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        problems.append(Problem(name, message("field.type")))
        return None
    try:
        return read_files(case.unit, value) or None
    except Invalid as wrong:
        problems.extend(wrong.problems)
        return None


def _step(case: Case, name: str, value: Any, problems: list[Problem]) -> str | None:
    known = {step.name for step in case.chain.every_step()}
    if value in known:
        return str(value)
    problems.append(Problem(name, message("field.choice")))
    return None


def _json(case: Case, name: str, value: Any, problems: list[Problem]) -> Any:
    """What was typed so far; it is looked at when the decision is made."""
    if value is None:
        return None
    if isinstance(value, Mapping) and len(value) <= 100 and all(map(_is_small, value.values())):
        return {str(key)[:60]: as_json(inner) for key, inner in value.items()}
    problems.append(Problem(name, message("field.type")))
    return None


def _is_small(value: Any) -> bool:
    return isinstance(value, (str, int, type(None))) and len(str(value)) <= OPINION_MAX


_READERS = {"text": _text, "people": _people, "person": _person, "step": _step, "json": _json, "files": _files}
