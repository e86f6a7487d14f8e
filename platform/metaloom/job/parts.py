"""Parts of a mass step as rows: ranges of ids that workers take one by one, each under a lease and a fencing number of its own.

A part is finished in the transaction of its effect. Whoever took over a part raised its number, so a worker that slept through its
lease rolls back what it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from metaloom.base.messages import Message
from metaloom.job.outbox import LEASE_SECONDS, LeaseLost
from metaloom.storage.engine import held_record, run_part
from metaloom.storage.types import utc_now

SENTENCE_MAX = 2000


@dataclass(frozen=True)
class Part:
    """A part as a worker took it: the records above ``from_id`` up to ``until_id``, or the one record ``held`` that was held back before."""

    id: int
    run_id: int
    step: int
    no: int
    from_id: int
    until_id: int
    size: int
    held: bool
    attempts: int
    fence: int


def make(conn: sa.Connection, run_id: int, step: int, ranges: Sequence[tuple[int, int, int]], held: Sequence[int]) -> None:
    """The parts of a step, once."""
    shared = {"run_id": run_id, "step": step}
    rows = [{**shared, "no": no, "from_id": start, "until_id": until, "size": size, "held": False} for no, (start, until, size) in enumerate(ranges, 1)]
    rows += [{**shared, "no": len(rows) + no, "from_id": one - 1, "until_id": one, "size": 1, "held": True} for no, one in enumerate(held, 1)]
    if rows:
        conn.execute(run_part.insert(), rows)


def take(conn: sa.Connection, run_id: int, step: int, worker: str, seconds: int = LEASE_SECONDS) -> Part | None:
    """The next part that nobody is at, or whose lease ran out; no part goes to two workers at once."""
    now = utc_now()
    free = sa.or_(run_part.c.state == "waiting", sa.and_(run_part.c.state == "running", run_part.c.lease_until <= now))
    wanted = sa.select(run_part.c.id).where(run_part.c.run_id == run_id, run_part.c.step == step, free).order_by(run_part.c.no, run_part.c.id).limit(1)
    if conn.dialect.name == "postgresql":
        wanted = wanted.with_for_update(skip_locked=True)
    found = conn.scalar(wanted)
    if found is None:
        return None
    row = conn.execute(run_part.update().where(run_part.c.id == found).values(
        state="running", lease_until=utc_now(seconds), worker=worker[:120], fence=run_part.c.fence + 1, attempts=run_part.c.attempts + 1,
        started_at=utc_now(), updated_at=utc_now()).returning(*(run_part.c[name] for name in Part.__dataclass_fields__))).mappings().one()
    return Part(**row)


def finish(conn: sa.Connection, part: Part, *, done: int, failed: int, figures: Mapping[str, int]) -> None:
    """The part is behind, in the transaction of its effect. LeaseLost when somebody else took it over."""
    _must_hit(conn.execute(run_part.update().where(*_mine(part)).values(
        state="done", done=done, failed=failed, figures=dict(figures) or None, lease_until=None, finished_at=utc_now(), updated_at=utc_now())), part)


def put_back(conn: sa.Connection, part: Part, *, counts: bool) -> None:
    """The part waits again for whoever comes next. ``counts``: the try counts as one at which a worker died; it does not where others were in the way."""
    _must_hit(conn.execute(run_part.update().where(*_mine(part)).values(
        state="waiting", lease_until=None, attempts=run_part.c.attempts - (0 if counts else 1), updated_at=utc_now())), part)


def split(conn: sa.Connection, part: Part, middle: int, first: int, second: int) -> None:
    """Two parts instead of one: up to ``middle`` with ``first`` records, and the rest."""
    _must_hit(conn.execute(run_part.update().where(*_mine(part)).values(
        state="waiting", lease_until=None, until_id=middle, size=first, attempts=0, updated_at=utc_now())), part)
    conn.execute(run_part.insert().values(
        run_id=part.run_id, step=part.step, no=part.no, from_id=middle, until_id=part.until_id, size=second, held=part.held))


def open_parts(conn: sa.Connection, run_id: int, step: int) -> int:
    """How many parts of the step are not behind yet."""
    return conn.scalar(sa.select(sa.func.count()).where(run_part.c.run_id == run_id, run_part.c.step == step, run_part.c.state != "done")) or 0


def figures_of(conn: sa.Connection, run_id: int) -> Mapping[int, Mapping[str, Any]]:
    """What each mass step of a run has done so far, added up: parts, records, seconds, and what the function counted."""
    found: dict[int, dict[str, Any]] = {}
    query = sa.select(run_part.c.step, run_part.c.state, run_part.c.size, run_part.c.done, run_part.c.failed, run_part.c.figures, run_part.c.started_at,
                      run_part.c.finished_at, run_part.c.worker).where(run_part.c.run_id == run_id)
    for row in conn.execute(query).mappings():
        step = found.setdefault(row["step"], {"parts": 0, "parts_done": 0, "size": 0, "done": 0, "failed": 0, "figures": {}, "workers": set(),
                                              "started_at": None, "finished_at": None})
        step["parts"] += 1
        for name in ("size", "done", "failed"):
            step[name] += row[name]
        if row["worker"]:
            step["workers"].add(row["worker"])
        if row["started_at"] is not None:
            step["started_at"] = min(filter(None, (step["started_at"], row["started_at"])))
        if row["state"] == "done":
            step["parts_done"] += 1
            step["finished_at"] = max(filter(None, (step["finished_at"], row["finished_at"])))
            for name, count in (row["figures"] or {}).items():
                step["figures"][name] = step["figures"].get(name, 0) + count
    return found


# -- records that are held back -----------------------------------------------------------------------------------------


def hold_back(conn: sa.Connection, mass: str, entity: str, record_id: int, *, run_id: int | None, company_id: int | None, day: date | None,
              said: Message) -> None:
    """The record is left out by this mass function from now on, for this reason; a second time the reason is the newer one."""
    words = {"sentence": said.say("zh")[:SENTENCE_MAX], "sentence_en": said.say("en")[:SENTENCE_MAX], "run_id": run_id, "updated_at": utc_now()}
    again = held_record.update().where(*_open(mass, entity), held_record.c.record_id == record_id).values(**words, tries=held_record.c.tries + 1)
    if conn.execute(again).rowcount == 0:
        conn.execute(held_record.insert().values(mass=mass, entity=entity, record_id=record_id, company_id=company_id, business_date=day, **words))


def let_go(conn: sa.Connection, mass: str, entity: str, record_id: int) -> None:
    """The record went well again."""
    conn.execute(held_record.update().where(*_open(mass, entity), held_record.c.record_id == record_id).values(released_at=utc_now(), updated_at=utc_now()))


def held_ids(mass: str, entity: str) -> sa.Select[Any]:
    """The ids of the records that are held back."""
    return sa.select(held_record.c.record_id).where(*_open(mass, entity))


def _open(mass: str, entity: str) -> tuple[Any, ...]:
    return held_record.c.mass == mass, held_record.c.entity == entity, held_record.c.released_at.is_(None)


def _mine(part: Part) -> tuple[Any, ...]:
    return run_part.c.id == part.id, run_part.c.fence == part.fence, run_part.c.state == "running"


def _must_hit(result: sa.CursorResult[Any], part: Part) -> None:
    if result.rowcount != 1:
        raise LeaseLost(f"part {part.no} of run {part.run_id}: fence {part.fence} is not valid any more")
