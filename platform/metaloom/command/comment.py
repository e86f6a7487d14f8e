"""Talking about a record: saying something, changing it while it is fresh, taking it back.

Who reads the record reads what is said about it; who holds the right ``comment`` on it says something. Nothing is found but through
the record: a comment has no list, no search and no address of its own. The audit says who spoke when, and a keyed digest of the
words, never the words: it is read by people who do not read the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import (
    Invalid,
    LoginRequired,
    MetaloomError,
    NotAllowed,
    NotFound,
    NotPossible,
    Problem,
    Stale,
)
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command import check, rows
from metaloom.command.context import Context, Saved
from metaloom.command.eyes import readings_as
from metaloom.command.notify import notify
from metaloom.command.unit import Unit, perform, permit
from metaloom.model import Entity, Field, FieldType
from metaloom.record import Found
from metaloom.record.comments import HOLDER, Comment, Comments

TEXT_MAX, MENTIONS_MAX, FILES_MAX, PAGE_MAX = 4000, 20, 10, 200
FRESH = timedelta(minutes=15)          # so long the author may still change the words
RIGHT, KIND = "comment", "comment"
FILES = Field("files", FieldType.ATTACHMENT, Text("附件", "Attachments"))
COMMANDS = ("add_comment", "change_comment", "remove_comment")

register({
    "comment.added": ("评论已发布。", "The comment is there."),
    "comment.changed": ("评论已修改。", "The comment was changed."),
    "comment.removed": ("评论已撤回。", "The comment was taken back."),
    "comment.empty": ("请填写评论内容（不超过 {limit} 个字符）。", "Write something, of at most {limit} characters."),
    "comment.mentions": ("一次最多提醒 {limit} 位同事。", "At most {limit} colleagues can be mentioned at once."),
    "comment.cannot_read": ("“{name}”无权查看该记录，不能提醒。", "{name} may not read this record and cannot be mentioned."),
    "comment.nobody": ("没有这位同事，或其账号已停用。", "There is no such colleague, or the account is switched off."),
    "comment.files": ("一条评论最多 {limit} 个附件。", "A comment takes at most {limit} files."),
    "comment.not_yours": ("只能修改或撤回自己的评论。", "You may change and take back only what you said yourself."),
    "comment.late": ("发布超过 {minutes} 分钟，不能再修改，可以撤回后重新发表。",
                     "It is older than {minutes} minutes and stays as it is; you may take it back and say it anew."),
    "comment.gone": ("这条评论已撤回。", "This comment was taken back."),
    "comment.archived": ("记录已归档，不能再评论。", "The record is archived and takes no comments."),
})  # fmt: skip


def comments_of(ctx: Context, conn: sa.Connection, entity: str, record_id: int, *, before: int | None = None, limit: int = 50) -> list[Comment]:
    """What was said about a record, newest first, for who reads the record; NotFound for everybody else."""
    _readable(Unit(ctx, conn, "look", ctx.clock.now()), entity, record_id)
    return Comments(conn).of(entity, record_id, before=before, limit=max(1, min(limit, PAGE_MAX)))


def comment_count(ctx: Context, conn: sa.Connection, entity: str, record_id: int) -> int:
    """How many comments stand there, under the same condition."""
    _readable(Unit(ctx, conn, "look", ctx.clock.now()), entity, record_id)
    return Comments(conn).count(entity, record_id)


def may_change_comment(ctx: Context, one: Comment) -> bool:
    """Whether the words may still be changed by who asks."""
    return one.removed_at is None and one.author_id == ctx.actor.user_id and ctx.clock.now() - one.at <= FRESH


def may_remove_comment(ctx: Context, one: Comment) -> bool:
    """Whether who asks said it, and it still stands."""
    return one.removed_at is None and one.author_id is not None and one.author_id == ctx.actor.user_id


def people_to_mention(ctx: Context, conn: sa.Connection, entity: str, record_id: int, text: str, limit: int = 8) -> list[Found]:
    """Colleagues by name, as far as they read the record themselves: nobody else could follow."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    _readable(unit, entity, record_id)
    hits = [hit for hit in Comments(conn).people(text[:60], 40) if hit.id != ctx.actor.user_id]
    rows.fetch(unit, entity, record_id)         # what its values tell need not be asked for each of them
    readings = [reading for reading in readings_as(unit, [hit.id for hit in hits]).values() if reading is not None]
    may = rows.who_reads(readings, entity, record_id)
    return [hit for hit in hits if hit.id in may][:limit]


def add_comment(ctx: Context, entity: str, record_id: int, values: Mapping[str, Any]) -> Saved:
    """Says something about a record. ``values``: ``text``; ``mentions``, accounts of colleagues who read the record; ``files``, the
    person's own uploads. Those who are mentioned are told, without the words. NotFound for who does not read the record, NotAllowed
    without the right ``comment`` on it."""

    def work(unit: Unit) -> Saved:
        definition = _commentable(unit, entity, record_id)
        given = _given(values)
        files = _files(unit, given["files"], ())
        _mentionable(unit, entity, record_id, given["mentions"])
        id = Comments(unit.conn).add({
            "entity": entity, "record_id": record_id, **given, "files": files, "created_at": unit.now, "created_by": _me(ctx),
            "updated_at": unit.now, "updated_by": _me(ctx)})
        for file in files:
            rows.attach(unit, file, HOLDER, id, FILES.name)
        _tell(unit, definition, record_id, given["mentions"])
        _log(unit, definition, record_id, id, None, {**given, "files": files})
        return Saved(entity, id, 1, "", message("comment.added"))

    return perform(ctx, COMMANDS[0], [entity, record_id, values], work)


def change_comment(ctx: Context, entity: str, record_id: int, comment_id: int, values: Mapping[str, Any], row_version: int | None = None) -> Saved:
    """Changes one's own words for ``FRESH``; they are marked as changed. Colleagues who were not mentioned before are told."""

    def work(unit: Unit) -> Saved:
        definition = _commentable(unit, entity, record_id)
        before = _own(unit, entity, record_id, comment_id, row_version)
        given = _given(values)
        if unit.now - before.at > FRESH:
            raise NotPossible(message("comment.late", minutes=int(FRESH.total_seconds() // 60)))
        kept = [one.id for one in before.files]
        files = _files(unit, given["files"], kept)
        _mentionable(unit, entity, record_id, [user for user in given["mentions"] if user not in before.mentions])
        Comments(unit.conn).change(comment_id, {**given, "files": files, "edited_at": unit.now, "updated_at": unit.now, "updated_by": _me(ctx)})
        for file in files:
            if file not in kept:
                rows.attach(unit, file, HOLDER, comment_id, FILES.name)
        _tell(unit, definition, record_id, [user for user in given["mentions"] if user not in before.mentions])
        said = {"text": before.text, "mentions": list(before.mentions), "files": kept}
        _log(unit, definition, record_id, comment_id, said, {**given, "files": files})
        return Saved(entity, comment_id, before.row_version + 1, "", message("comment.changed"))

    return perform(ctx, COMMANDS[1], [entity, record_id, comment_id, values, row_version], work)


def remove_comment(ctx: Context, entity: str, record_id: int, comment_id: int) -> Saved:
    """Takes one's own words back, at any time: that somebody spoke and took it back stays to be seen, the words and files do not."""

    def work(unit: Unit) -> Saved:
        definition = _readable(unit, entity, record_id)
        before = _own(unit, entity, record_id, comment_id, None)
        Comments(unit.conn).change(comment_id, {"removed_at": unit.now, "updated_at": unit.now, "updated_by": _me(ctx)})
        _log(unit, definition, record_id, comment_id, {"text": before.text, "mentions": list(before.mentions), "files": [f.id for f in before.files]}, None)
        return Saved(entity, comment_id, before.row_version + 1, "", message("comment.removed"))

    return perform(ctx, COMMANDS[2], [entity, record_id, comment_id], work)


def sees_file_of(unit: Unit, file: Mapping[str, Any]) -> bool:
    """A file of a comment is for who reads the record, as long as the comment stands and holds it."""
    one = Comments(unit.conn).one(file["record_id"])
    if one is None or file["id"] not in {kept.id for kept in one.files}:
        return False
    try:
        _readable(unit, one.entity, one.record_id)
    except MetaloomError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ who may


def _me(ctx: Context) -> int:
    if ctx.actor.user_id is None:
        raise LoginRequired
    return ctx.actor.user_id


def _readable(unit: Unit, entity: str, record_id: int) -> Entity:
    """The entity, when it takes comments and the person reads the record."""
    definition = unit.catalog.entities.get(entity)
    if definition is None or not definition.comments:
        raise NotFound
    rows.reader(unit).require(entity, record_id)
    return definition


def _commentable(unit: Unit, entity: str, record_id: int) -> Entity:
    definition = _readable(unit, entity, record_id)
    permit(unit, entity, RIGHT)
    if RIGHT not in rows.standing(unit, entity, record_id)[0]:
        raise NotAllowed(message("command.row_denied", action=unit.ctx.plan.action_label(entity, RIGHT)))
    stored = rows.fetch(unit, entity, record_id, lock=False) or {}
    if stored.get("archived_at") is not None:
        raise NotPossible(message("comment.archived"))
    return definition


def _own(unit: Unit, entity: str, record_id: int, comment_id: int, row_version: int | None) -> Comment:
    """The comment, locked, when it stands at this record and the person said it."""
    found = Comments(unit.conn).one(comment_id, lock=True)
    if found is None or (found.entity, found.record_id) != (entity, record_id):
        raise NotFound
    if found.author_id != _me(unit.ctx):
        raise NotAllowed(message("comment.not_yours"))
    if found.removed_at is not None:
        raise NotPossible(message("comment.gone"))
    if row_version is not None and found.row_version != row_version:
        raise Stale
    return found


# ---------------------------------------------------------------------------------------------------------- what is said


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored; Invalid with everything that is wrong with them."""
    problems: list[Problem] = []
    text = values.get("text")
    text = text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""
    if not 0 < len(text) <= TEXT_MAX or any(ord(c) < 32 and c not in "\n\t" for c in text):
        problems.append(Problem("text", message("comment.empty", limit=TEXT_MAX)))
    mentions = _numbers(values.get("mentions"), "mentions", problems)
    files = _numbers(values.get("files"), "files", problems)
    if len(mentions) > MENTIONS_MAX:
        problems.append(Problem("mentions", message("comment.mentions", limit=MENTIONS_MAX)))
    if len(files) > FILES_MAX:
        problems.append(Problem("files", message("comment.files", limit=FILES_MAX)))
    if problems:
        raise Invalid(problems)
    return {"text": text, "mentions": mentions, "files": files}


def _numbers(given: Any, name: str, problems: list[Problem]) -> list[int]:
    values = given if isinstance(given, Sequence) and not isinstance(given, str) else [] if given is None else [given]
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**63 for one in values):
        problems.append(Problem(name, message("field.file") if name == "files" else message("comment.nobody")))
        return []
    return list(dict.fromkeys(values))


def _mentionable(unit: Unit, entity: str, record_id: int, people: Sequence[int]) -> None:
    """Invalid for who could not follow: a mention must not tell somebody of a record that is not theirs."""
    problems = []
    for user_id, reading in readings_as(unit, people).items():
        if reading is None:
            problems.append(Problem("mentions", message("comment.nobody")))
        elif "read" not in rows.standing_or_none(reading, entity, record_id):
            problems.append(Problem("mentions", message("comment.cannot_read", name=reading.ctx.actor.display_name or f"#{user_id}")))
    if problems:
        raise Invalid(problems)


def _files(unit: Unit, ids: Sequence[int], kept: Sequence[int]) -> list[int]:
    """The person's own uploads that nothing took yet, and those that the comment holds already."""
    problems: list[Problem] = []
    new = [id for id in ids if id not in kept]
    if new:
        check.check_files(unit, FILES, {FILES.name: new}, problems, "", None)
    if problems:
        raise Invalid(problems)
    return list(ids)


def _tell(unit: Unit, entity: Entity, record_id: int, people: Sequence[int]) -> None:
    """Those who are mentioned hear where and by whom; the words are read at the record."""
    others = [one for one in people if one != unit.ctx.actor.user_id]
    if not others:
        return
    who = (unit.ctx.actor.display_name or unit.ctx.actor.username).replace("{", "（").replace("}", "）")
    said = Text(f"{who}在{entity.label.zh}“{{title}}”的评论中提到了您", f"{who} mentioned you in a comment on {entity.label.en} “{{title}}”")
    notify(unit, others, kind=KIND, subject=said, entity=entity.address, record_id=record_id, link=f"/e/{entity.address}/{record_id}?tab=timeline")


def _log(unit: Unit, entity: Entity, record_id: int, comment_id: int, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    def plain(said: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if said is None else {f"comment#{comment_id}": {
            "digest": unit.ctx.tenant.secrets.blind(f"{HOLDER}/text", f"{comment_id}:{said['text']}"), "mentions": list(said["mentions"]),
            "files": list(said["files"])}}

    unit.log(entity, record_id, plain(before), plain(after))
