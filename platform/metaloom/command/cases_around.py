"""What happened in the approval cases of a record, for whoever looks at the record: read in a few statements, however many cases there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from metaloom.approval import CaseState, Event, codec
from metaloom.command import approval_rows, rows
from metaloom.command.approval_case import CASE, TASK, pinned_chains
from metaloom.command.context import Context
from metaloom.command.opinion_files import ATTACHMENTS
from metaloom.command.unit import Unit
from metaloom.command.upload_file import FileShown
from metaloom.model import ApprovalChain


@dataclass(frozen=True)
class Around:
    """``events``: (mark, case, instant, event), newest first; ``cases``: of each case its chain, as it began, and where it stands now.
    ``names``: what people are called, by account; ``files``: what came with words, by id."""

    events: tuple[tuple[int, int, datetime, Event], ...]
    cases: Mapping[int, tuple[ApprovalChain, CaseState]]
    names: Mapping[int, str]
    files: Mapping[int, FileShown]


def cases_around(ctx: Context, conn: sa.Connection, entity: str, record_id: int, people: Callable[[Iterable[Event]], Collection[int]], *,
                 without: Collection[str] = (), before: int | None = None, limit: int = 50) -> Around:
    """The latest events of all cases about a record that this person may list and read. ``people``: the accounts that events name;
    ``without``: kinds that are left out; ``before``: only what came before this mark. Nothing without the right to list cases."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    found = approval_rows.events_among(unit, rows.reader(unit).ids(CASE, ("list", "read"), entity=entity, record_id=record_id),
                                       without=without, before=before, limit=limit)
    if not found:
        return Around((), {}, {}, {})
    states = approval_rows.states_of(unit, {row.case_id for row in found})
    chains = pinned_chains(unit, {row.chain_digest for row in states})
    events = tuple((row.id, row.case_id, row.at, Event(row.kind, row.data)) for row in found)
    files = approval_rows.files_of_cases(unit, {row.id for row in states}, TASK, ATTACHMENTS.name)
    return Around(events, {row.id: (chains[row.chain_digest], codec.load_state(row.state)) for row in states},
                  approval_rows.names_of(conn, unit.tables, people(event for *_, event in events)), {row["id"]: FileShown(**row) for row in files})
