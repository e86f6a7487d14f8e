"""What waits for a person, counted in one statement: unread messages, and approval tasks to be done."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from metaloom.base.errors import LoginRequired
from metaloom.command.context import Context
from metaloom.message.box import IN_APP

CAP = 100


@dataclass(frozen=True)
class Waiting:
    """Counting stops at 100 each. ``newest``: the id of the newest unread message, 0 for none."""

    unread: int
    todo: int
    newest: int


def waiting(ctx: Context, conn: sa.Connection) -> Waiting:
    """The numbers at the bell and at the inbox: tasks that are the person's own, or open to a group the person is in."""
    me = ctx.actor.user_id
    if me is None:
        raise LoginRequired()
    engine = ctx.revision.tables.engine
    note, task, pool = engine.message.c, engine.approval_task.c, engine.approval_pool.c
    mine = sa.or_(task.assignee_id == me, sa.and_(task.assignee_id.is_(None), sa.exists().where(pool.task_id == task.id, pool.user_id == me)))
    notes = sa.select(note.id).where(note.receiver_id == me, note.channel == IN_APP, note.read_at.is_(None), note.status != "suppressed")
    notes = notes.order_by(note.id.desc()).limit(CAP)
    unread = notes.subquery()
    tasks = sa.select(task.id).where(task.status == "open", mine).limit(CAP).subquery()
    row = conn.execute(sa.select(
        sa.select(sa.func.count()).select_from(unread).scalar_subquery(), sa.select(sa.func.count()).select_from(tasks).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(unread.c.id), 0)).scalar_subquery())).one()
    return Waiting(*map(int, row))
