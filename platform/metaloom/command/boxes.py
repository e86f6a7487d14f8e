"""The boxes of the approval inbox (A07): what waits for a person, what the person decided, started, got a copy of, may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metaloom.command.approval_case import CASE, TASK

COPY = "platform.approval_copy"


@dataclass(frozen=True)
class Box:
    """A tab of an entity's list. ``case``: the path from a row to its case ('' where the row is one); ``time``: the column that orders it."""

    name: str
    entity: str
    tab: str
    case: str
    time: str


BOXES: Mapping[str, Box] = {box.name: box for box in (
    Box("todo", TASK, "todo", "case.", "opened_at"), Box("done", TASK, "done", "case.", "closed_at"), Box("mine", CASE, "mine", "", "started_at"),
    Box("copied", COPY, "mine", "case.", "created_at"), Box("all", CASE, "all", "", "started_at"))}
