"""What waits for a person on a record, found as the person's own inbox shows it: for histories and tests that are played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaloom.command.move_case import DATA
from metaloom.record import Filter, Reader, Row

CASE, TASK = "platform.approval_case", "platform.approval_task"


def waiting_for(reader: Reader, entity: str, record: int) -> Sequence[Row]:
    """Open tasks of the person behind ``reader`` on the record, with their step and who holds them."""
    asked = [Filter("case.entity", "eq", entity), Filter("case.record_id", "eq", record)]
    todo = reader.revision.catalog.lists[f"{TASK}/main"]
    return reader.list(TASK, view=todo, tab="todo", filters=asked, paths=["step", "assignee"], limit=50).rows


def words_of(kind: str, words: str) -> dict[str, Any]:
    """The data of a move that takes one text."""
    return {name: words for name, shape in DATA[kind].items() if shape == "text" and words}
