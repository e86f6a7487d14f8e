"""Who may do what now. The same questions decide what is offered and what is refused."""

from __future__ import annotations

from collections.abc import Iterable

from metaloom.approval.event import SYSTEM, Move
from metaloom.approval.people import acts_for, barred, persons, takes_part, unfit
from metaloom.approval.state import VOICES, Task
from metaloom.approval.story import Story
from metaloom.approval.words import never, no
from metaloom.model import Decide


def live(task: Task | None) -> Task:
    """The task, which still wants an answer."""
    if task is None:
        no("unknown_task")
    if not task.live:
        no("task_closed")
    return task


def open_task(story: Story, by: int, task: Task | None, kinds: Iterable[str] = VOICES) -> Task:
    """A task that is open, of one of ``kinds``, and answered by ``by``."""
    task = live(task)
    if task.kind not in kinds:
        no("wrong_task")
    if task.assignee is None and task.pool:
        no("claim_first")
    if not acts_for(story, task, by):
        never("not_yours")
    if task.status == "waiting":
        no("task_waits")
    if task.paused_at:
        no("task_paused")
    return task


def voice(story: Story, by: int, task: Task | None, decision: str) -> Task:
    """A task on which ``by`` may say ``decision`` as a person who has not acted elsewhere."""
    task = open_task(story, by, task)
    step = story.step(task.step)
    if story.state.runs[task.step].stuck or not isinstance(step, Decide) and decision == "return":
        no("not_offered")
    if isinstance(step, Decide):
        if decision not in step.decisions:
            no("not_offered")
        why = barred(story, step, persons(story, by, task.assignee, task.principal))
        if why:
            no(why)
        if by not in (task.assignee, SYSTEM) and task.kind != "admin" and takes_part(story, task.step, by, task.no):
            no("own_seat")
    return task


def power(story: Story, by: int, task: Task | None, name: str) -> Task:
    """A deciding task whose step allows ``name`` (转办, 委派, …); an administrator's task may always be handed on."""
    task = open_task(story, by, task)
    step = story.step(task.step)
    allowed = step.may if isinstance(step, Decide) else ()
    if name not in allowed and not (task.kind == "admin" and name == "transfer" and isinstance(step, Decide)):
        no("not_offered")
    return task


def fit(story: Story, task: Task, user: int, *, principal: int | None = None, instead: bool = False) -> None:
    """Refuse ``user`` as holder of a task beside, or instead of, ``task``."""
    why = unfit(story, task.step, user, principal=principal, instead_of=task.no if instead else None)
    if why in ("initiator", "maker", "acted"):
        no("barred")
    if why:
        no(why)


def one_person(value: object) -> int:
    if type(value) is not int or value <= SYSTEM:
        no("whom")
    return value


def several(value: object) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        no("whom")
    return tuple(dict.fromkeys(one_person(v) for v in value))


def written(value: object, refusal: str) -> str:
    """A text that says something."""
    if not isinstance(value, str) or not value.strip():
        no(refusal)
    return value


def brought(story: Story, move: Move, task: Task) -> dict[str, list[int]]:
    """The files that came with somebody's words, as the event tells them; refused where the step takes none."""
    files = list(move.data.get("attachments") or ())
    step = story.step(task.step) if task.step else None
    if files and isinstance(step, Decide) and step.attachments == "none":
        no("no_files")
    return {"attachments": files} if files else {}


def running(story: Story) -> None:
    if story.state.finished:
        no("finished")


def admin(story: Story, by: int) -> None:
    if by not in story.facts.admins():
        never("only_admin")


def initiator(story: Story, by: int) -> None:
    """The account that started the case, or holds its resubmission now."""
    holds = any(t.kind == "resubmit" and acts_for(story, t, by) for t in story.state.live_tasks())
    if by != story.state.initiator and not holds:
        never("only_initiator")
