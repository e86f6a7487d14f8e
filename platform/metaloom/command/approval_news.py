"""Telling people about a case: what waits for them, what they got a copy of, what became of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metaloom.approval import CaseState, Event, Task
from metaloom.base.text import Text
from metaloom.command import approval_rows
from metaloom.command.live import Live
from metaloom.command.notify import Telling, tell_all
from metaloom.message import fill, slots_in
from metaloom.model import ApprovalChain, Entity, FieldLevel
from metaloom.record.encode import display
from metaloom.record.paths import PATHS, UnknownPath

if TYPE_CHECKING:
    from metaloom.command.approval_case import Case
    from metaloom.command.unit import Unit

UNSEEN = "-"
WAITING = {"decide": Text("待您审批：", "Waiting for your decision: "), "delegated": Text("委派给您：", "Delegated to you: "),
           "added": Text("请您加签：", "Your signature is asked for: "), "answer": Text("请您答复：", "Your answer is asked for: "),
           "resubmit": Text("被退回，请修改后重新提交：", "Returned to you: correct and submit again: "),
           "admin": Text("需要管理员处理：", "Needs the administrator: ")}
COPIED, URGED, LATE = Text("抄送给您：", "Copied to you: "), Text("催办：", "Please hurry: "), Text("已超时，请尽快处理：", "Overdue: ")
ENDED = {"approved": Text("审批通过：", "Approved: "), "rejected": Text("审批不通过：", "Rejected: "),
         "withdrawn": Text("审批已撤回：", "Withdrawn: "), "terminated": Text("审批被终止：", "Ended by an administrator: ")}
LAPSED = Text("审批已自动撤回：", "Withdrawn by the system: ")


def tell(case: Case, before: CaseState, events: Sequence[Event], new: Mapping[int, int]) -> None:
    """One message to each person whom a change concerns; who acts is not told of the own act."""
    tell_all(case.unit, _tellings(case, before, events, dict(new)))


def _tellings(case: Case, before: CaseState, events: Sequence[Event], ids: dict[int, int]) -> Iterator[tuple[Iterable[int], Telling]]:
    actor = case.unit.ctx.actor.user_id
    for no, task in case.state.tasks.items():
        if task.status == "open" and task.kind in WAITING and _arrived(task, before.tasks.get(no)):
            yield _said(case, _people(case, task), "approval.task", WAITING[task.kind], _link(case, ids, no))
    for event in events:
        data = event.data
        if event.kind == "copied":
            yield _said(case, data["to"], "approval.copy", COPIED, f"/case/{case.id}")
        elif event.kind == "urged":
            for no in data["tasks"]:
                yield _said(case, _people(case, case.state.tasks[no]), "approval.urged", URGED, _link(case, ids, no))
        elif event.kind == "reminded":
            to = data.get("to") or ()
            yield _said(case, to if isinstance(to, (list, tuple)) else [to], "approval.late", LATE, _link(case, ids, data["task"]))
        elif event.kind == "finished" and data["result"] in ENDED and case.state.initiator not in (actor, 0):
            by_itself = data["result"] == "withdrawn" and not data.get("by")
            yield _said(case, [case.state.initiator], "approval.result", LAPSED if by_itself else ENDED[data["result"]], f"/case/{case.id}")


def _arrived(task: Task, was: Task | None) -> bool:
    """Newly open, or open for somebody else now."""
    return was is None or was.status != "open" or (was.assignee, was.pool) != (task.assignee, task.pool)


def _people(case: Case, task: Task) -> Iterable[int]:
    return (task.assignee,) if task.assignee else approval_rows.pool_of(task, case.facts.admins)


def _link(case: Case, ids: dict[int, int], no: int) -> str:
    if no not in ids:
        ids.update(approval_rows.task_ids(case.unit, case.id))
    return f"/task/{ids[no]}"


def _said(case: Case, to: Iterable[int], kind: str, words: Text, link: str) -> tuple[Iterable[int], Telling]:
    subject = case.chain.subject
    text = Text(words.zh + subject.zh, words.en + subject.en)
    people = [user for user in to if user and user != case.unit.ctx.actor.user_id]
    return people, Telling(kind=kind, subject=text, entity=case.chain.entity, record_id=case.record["id"], link=link)


def safe_subject(unit: Unit, chain: ApprovalChain, record: Mapping[str, Any]) -> dict[str, str]:
    """The subject as everybody may read it: a slot that some role reads masked or not at all prints ``-``."""
    live = Live(unit, unit.entity(chain.entity), record)
    names = [name for name in slots_in(chain.subject) if _open_to_all(unit, unit.entity(chain.entity), name)]
    return {locale: fill(chain.subject, {name: _word(unit, chain.entity, live, name, locale) for name in names}, locale).rstrip(" -") or UNSEEN
            for locale in ("zh", "en")}


def _word(unit: Unit, entity: str, live: Live, name: str, locale: str) -> str:
    """The value as lists show it: amounts with separators, codes in words."""
    found: Any = live
    for part in name.split("."):
        found = found[part] if isinstance(found, Mapping) and part in found else None
    if found is None or isinstance(found, Mapping):
        return UNSEEN
    path = PATHS.of(unit.revision).path(entity, name)
    return display(unit.catalog, path.field, found, locale, entity=entity, zone=unit.ctx.tenant.zone)


def _open_to_all(unit: Unit, entity: Entity, name: str) -> bool:
    """Whether every grant that reads the entity reads the first field of the path, and no field on the way is masked."""
    try:
        path = PATHS.of(unit.revision).path(entity.address, name)
    except UnknownPath:
        return False
    if path.field.mask or path.field.encrypted:
        return False
    first = name.split(".")[0]
    readers = [grant for grant in unit.catalog.grants.get(entity.address, ()) if "read" in grant.actions]
    return all(min(g.fields.get(first, g.fields.get("*", FieldLevel.READ)), FieldLevel.READ) is FieldLevel.READ for g in readers)
