"""Files: uploaded to staging, taken by the command that saves the record (decision 27)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO

import sqlalchemy as sa

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import approval_rows, rows
from metaloom.command.approval_case import CASE, TASK
from metaloom.command.comment import sees_file_of
from metaloom.command.context import Context, Saved
from metaloom.command.file_kind import kind_of
from metaloom.command.limits import limit
from metaloom.command.unit import Unit, perform
from metaloom.record import Reader
from metaloom.record.comments import HOLDER
from metaloom.storage.files import StoredFile

register({
    "file.uploaded": ("文件“{name}”已上传。", "The file “{name}” was uploaded."),
    "file.type": ("不支持这种类型的文件，或内容与扩展名不符。", "Files of this type are not accepted, or the content is of another type."),
    "file.person_quota": ("您一天内上传的文件不能超过 {limit} MB，请明天再试。", "You may upload {limit} MB within a day; please go on tomorrow."),
    "file.tenant_quota": ("文件总量已达 {limit} MB 上限，请联系管理员。", "All files together may hold {limit} MB, and that is full; tell your administrator."),
    "file.name": ("文件名不正确。", "The file name is not acceptable."),
})

NAME_MAX = 255
DAY, MEGABYTE = timedelta(days=1), 1024 * 1024


@dataclass(frozen=True)
class FileShown:
    """What is needed to send a file to somebody who may have it."""

    id: int
    name: str
    media_type: str
    size: int
    digest: str


def upload_file(ctx: Context, name: str, content: bytes | BinaryIO) -> Saved:
    """Stores the bytes and a staging row that belongs to the person; a record takes it when it is saved. Everybody with a
    login may upload; nobody else sees the file before a record took it. Invalid: empty, too large, of a refused type."""
    shown = _clean_name(name)
    size = len(content) if isinstance(content, bytes) else _length(content)
    with ctx.tenant.read() as conn:
        _refuse_over_quota(Unit(ctx, conn, "look", ctx.clock.now()), size)
    ctx.tenant.files.refuse_over_size(size)
    media_type = kind_of(shown, content)
    stored = ctx.tenant.files.put(content)

    def work(unit: Unit) -> Saved:
        if ctx.actor.user_id is not None:
            rows.fetch(unit, "platform.user", ctx.actor.user_id, lock=True)  # uploads of one person are counted one after the other
        _refuse_over_quota(unit, stored.size)
        file_id = _stage(unit, shown, media_type, stored)
        return Saved("platform.file", file_id, 1, shown, message("file.uploaded", name=shown))

    return perform(ctx, "upload", [shown, stored.digest], work)


def store_file(unit: Unit, name: str, content: bytes | str) -> int:
    """A file that a plugin's command made, or (by its digest) that a reply brought, for a record of the same transaction; its id. The
    bytes are durable before the row is; those of a command that was undone are swept. No quota: it is the business's own paper."""
    shown, files = _clean_name(name), unit.ctx.tenant.files
    if isinstance(content, str):
        with files.open(content) as kept:
            media_type, stored = kind_of(shown, kept), StoredFile(content, kept.seek(0, 2))
    else:
        media_type, stored = kind_of(shown, content), files.put(content)
    return _stage(unit, shown, media_type, stored)


def _stage(unit: Unit, shown: str, media_type: str, stored: StoredFile) -> int:
    table, user = unit.tables.engine.file, unit.ctx.actor.user_id
    values = {"name": shown, "media_type": media_type, "size": stored.size, "digest": stored.digest, "state": "staging",
              "created_at": unit.now, "updated_at": unit.now, "created_by": user, "updated_by": user}
    file_id = int(unit.conn.execute(table.insert().values(**values).returning(table.c.id)).scalar_one())
    unit.log(unit.catalog.entities.get("platform.file"), file_id, None,
             {"name": shown, "media_type": media_type, "size": stored.size, "digest": stored.digest})
    return file_id


def _refuse_over_quota(unit: Unit, size: int) -> None:
    """NotPossible when the person uploaded too much within a day, or the tenant's files would grow beyond what it may hold."""
    file, user = unit.tables.engine.file, unit.ctx.actor.user_id
    total = sa.select(sa.func.coalesce(sa.func.sum(file.c.size), 0))
    own = limit(unit.catalog, "upload_mb_per_person")
    if user is not None and not unit.ctx.system:
        lately = unit.conn.scalar(total.where(file.c.created_by == user, file.c.created_at > unit.now - DAY))
        if int(lately) + size > own * MEGABYTE:
            raise NotPossible(message("file.person_quota", limit=own))
    every = limit(unit.catalog, "upload_mb_per_tenant")
    if int(unit.conn.scalar(total)) + size > every * MEGABYTE:
        raise NotPossible(message("file.tenant_quota", limit=every))


def _length(body: BinaryIO) -> int:
    end = body.seek(0, 2)
    body.seek(0)
    return end


def file_for(ctx: Context, file_id: int) -> FileShown:
    """The file, when the person may see it: their own upload, or a file of a record and field they may read. NotFound else."""
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "look", ctx.clock.now())
        file = rows.file(unit, file_id)
        if file is None or not _may_see(unit, file):
            raise NotFound()
    return FileShown(file["id"], file["name"], file["media_type"], file["size"], file["digest"])


def _may_see(unit: Unit, file: Any) -> bool:
    if file["state"] == "staging":
        return bool(file["created_by"] == unit.ctx.actor.user_id)
    if file["entity"] == HOLDER:
        return sees_file_of(unit, file)
    entity = unit.catalog.entities.get(file["entity"] or "")
    if entity is None:
        return False
    address, record_id, field = entity.address, file["record_id"], file["field"]
    if address == TASK:
        return _sees_case_of(unit, record_id)
    if entity.child_of:
        row = rows.fetch(unit, address, record_id)
        parent = row.get(entity.parent_field) if row else None
        if parent is None or not rows.reader(unit).visible(entity.child_of, [parent]):
            return False
    reader: Reader = rows.reader(unit)
    try:
        seen = reader.get(address, record_id, paths=[field])
    except (NotFound, NotAllowed):
        return False
    return file["id"] in (seen.values.get(field) or ())


def _sees_case_of(unit: Unit, task_id: int) -> bool:
    """What came with somebody's words in a case is for whoever may see the case, as the words are."""
    place = approval_rows.case_of_task(unit, task_id)
    return place is not None and (unit.ctx.system or "read" in rows.standing_or_none(unit, CASE, place[0]))


def _clean_name(name: str) -> str:
    shown = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    if not 0 < len(shown) <= NAME_MAX or any(ord(c) < 32 for c in shown) or shown.startswith("."):
        raise Invalid([Problem("", message("file.name"))])
    return shown
