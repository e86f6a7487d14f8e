"""Files that came with somebody's words in a case: taken from the person's uploads, shown to whoever may see the case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import approval_rows, check, rows
from metaloom.command.approval_case import TASK
from metaloom.command.case_shown import refuse_unseen
from metaloom.command.context import Context
from metaloom.command.unit import Unit
from metaloom.command.upload_file import FileShown
from metaloom.model import Field, FieldType

ATTACHMENTS = Field("attachments", FieldType.ATTACHMENT, Text("\u9644\u4ef6", "Attachments"))
FILES_MAX = 20


def read_files(unit: Unit, ids: Sequence[Any]) -> list[int]:
    """The person's own uploads that nothing took yet, each once; Invalid names what is none of them."""
    problems: list[Problem] = []
    if len(ids) > FILES_MAX:
        raise Invalid([Problem(ATTACHMENTS.name, message("approval.too_many_files", limit=FILES_MAX))])
    value = check.read_value(unit, ATTACHMENTS, list(dict.fromkeys(ids)), problems, ATTACHMENTS.name)
    if not problems and value:
        check.check_files(unit, ATTACHMENTS, {ATTACHMENTS.name: value}, problems, "", None)
    if problems:
        raise Invalid(problems)
    return list(value or ())


def columns_for(unit: Unit, task_id: int, files: Sequence[int]) -> dict[str, Any]:
    """The column of the task's row: what came with earlier words stays."""
    if not files:
        return {}
    return {ATTACHMENTS.name: [*approval_rows.files_of_task(unit, task_id), *files]}


def take_files(unit: Unit, task_id: int, files: Sequence[int]) -> None:
    """From now on the files belong to the task."""
    for file_id in files:
        rows.attach(unit, file_id, TASK, task_id, ATTACHMENTS.name)


def case_files(ctx: Context, case_id: int, conn: sa.Connection | None = None) -> Mapping[int, FileShown]:
    """Every file that came with words in the case, by id; NotFound for who may not see the case."""
    if conn is None:
        with ctx.tenant.read() as own:
            return case_files(ctx, case_id, own)
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    refuse_unseen(unit, case_id)
    return {row["id"]: FileShown(**row) for row in approval_rows.files_of_cases(unit, (case_id,), TASK, ATTACHMENTS.name)}
