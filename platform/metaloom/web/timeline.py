"""What happened around a record, in one order: what people said, what was changed, what was decided, who was told.

Each part is read with the rights of whoever looks: comments through the record, changes through its history, decisions through the
cases they may see, messages through the message log. A part that is not theirs leaves no hole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import render_template, request

from metaloom import command
from metaloom.command.comment import COMMANDS, FRESH, TEXT_MAX
from metaloom.model import Entity
from metaloom.record.comments import Comment
from metaloom.record.filters import Filter
from metaloom.web.case_story import QUIET, Story, people_in
from metaloom.web.current import Current, url
from metaloom.web.frame import record_url
from metaloom.web.record_history import link_titles, moment_of, titles_now
from metaloom.web.words import moment, whole

KINDS = ("comment", "change", "approval", "message")
ROWS = 20
CASE, MESSAGE = "platform.approval_case", "platform.message"
UNSAID = frozenset({*COMMANDS, "view_record", "print"})        # comments stand here themselves; that somebody looked is no event of the record


@dataclass(frozen=True)
class Item:
    """One thing that happened. ``mark``: its place among those of its kind, newest highest. ``body``: what its kind's template draws."""

    kind: str
    mark: int
    at: datetime
    when: str
    body: Any


@dataclass(frozen=True)
class Spoken:
    """A comment on the page. ``parts``: its words, with the names of mentioned colleagues apart."""

    comment: Comment
    parts: list[tuple[str, bool]]
    may_change: bool
    may_remove: bool
    left: str
    edited: str


def timeline_panel(pinned: Current, definition: Entity, row: Any) -> str:
    """The tab: a place to say something, what to see, and the newest things; with ``after`` only the older ones that follow."""
    wanted = request.args.get("kind", "")
    places = _places(request.args.get("after", ""))
    shown, more = _merged(pinned, definition, row, [wanted] if wanted in KINDS else KINDS, places)
    here = record_url(definition.address, row.id, "/tab/timeline")
    older = f"{here}?kind={wanted if wanted in KINDS else ''}&after={more}" if more else ""
    return render_template("detail/timeline.html", items=shown, older=older, part="after" in request.args, kind=wanted, here=here, text_max=TEXT_MAX,
                           kinds=kinds_of(pinned, definition, row), may_comment="comment" in row.actions and not row.archived,
                           post=record_url(definition.address, row.id, "/comments"), people=record_url(definition.address, row.id, "/comments/people"))


def kinds_of(pinned: Current, definition: Entity, row: Any) -> list[str]:
    """What this person may see of it at all, for the buttons above."""
    chains = any(chain.entity == definition.address for chain in pinned.catalog.chains.values()) and CASE in pinned.catalog.entities
    return [kind for kind, there in zip(KINDS, (True, "history" in row.actions, chains and bool(pinned.plan.may(CASE, "list")),
                                                bool(pinned.plan.may(MESSAGE, "read"))), strict=True) if there]


def _merged(pinned: Current, definition: Entity, row: Any, kinds: Sequence[str], places: Mapping[str, int]) -> tuple[list[Item], str]:
    """The next ``ROWS`` of all kinds, newest first, and the place where they end ('' when nothing is left).

    Within a kind the order is that of the marks; between kinds that of the time.
    """
    allowed = kinds_of(pinned, definition, row)
    parts = {kind: list(_SOURCES[kind](pinned, definition, row, places.get(kind))) for kind in kinds if kind in allowed}
    shown: list[Item] = []
    while len(shown) < ROWS:
        heads = [part[0] for part in parts.values() if part]
        if not heads:
            break
        first = max(heads, key=lambda item: (item.at, item.kind))
        shown.append(parts[first.kind].pop(0))
    if not any(parts.values()):
        return shown, ""
    last = dict(places)
    for item in shown:
        last[item.kind] = item.mark
    return shown, ".".join(f"{kind}-{mark}" for kind, mark in last.items())


def _places(text: str) -> dict[str, int]:
    """The place of ``after``: what was not written by us is no place."""
    found = {}
    for part in text[:200].split("."):
        kind, _, mark = part.partition("-")
        if kind in KINDS and (number := whole(mark)) is not None:
            found[kind] = number
    return found


# ------------------------------------------------------------------------------------------------------------ its parts


def _comments(pinned: Current, definition: Entity, row: Any, before: int | None) -> Iterator[Item]:
    ctx = pinned.looking()
    for one in command.comments_of(ctx, pinned.conn, definition.address, row.id, before=before, limit=ROWS + 1):
        yield Item("comment", one.id, one.at, moment(pinned, one.at), spoken(pinned, one))


def spoken(pinned: Current, one: Comment) -> Spoken:
    """A comment for the page."""
    ctx, now = pinned.looking(), pinned.clock.now()
    minutes = max(1, int((FRESH - (now - one.at)) / timedelta(minutes=1)) + 1) if command.may_change_comment(ctx, one) else 0
    return Spoken(one, marked(one.text, one.mentions), bool(minutes), command.may_remove_comment(ctx, one), str(minutes),
                  moment(pinned, one.edited_at))


def marked(text: str, mentions: Mapping[int, str]) -> list[tuple[str, bool]]:
    """The words in parts, each with whether it is a mentioned name; longer names first, so that 张三 does not cut 张三丰."""
    names = sorted({f"@{name}" for name in mentions.values()}, key=len, reverse=True)
    if not names:
        return [(text, False)]
    return [(part, part in names) for part in re.split(f"({'|'.join(map(re.escape, names))})", text) if part]


def _changes(pinned: Current, definition: Entity, row: Any, before: int | None) -> Iterator[Item]:
    entries = pinned.reader.history(definition.address, row.id, limit=ROWS + 1, before=before, without=UNSAID)
    titles = {**link_titles(pinned, definition, entries), **titles_now(definition, row)}
    for entry in entries:
        yield Item("change", entry.id, entry.at, moment(pinned, entry.at), moment_of(pinned, definition, entry, titles))


def _approvals(pinned: Current, definition: Entity, row: Any, before: int | None) -> Iterator[Item]:
    """What people did in the cases of the record, however many there are."""
    around = command.cases_around(pinned.looking(), pinned.conn, definition.address, row.id, lambda events: people_in(events, ()), without=QUIET,
                                  before=before, limit=ROWS + 1)
    stories = {case: Story(pinned, chain, state, around.names, around.files) for case, (chain, state) in around.cases.items()}
    for mark, case, at, event in around.events:
        (said,) = stories[case].moments([event])
        yield Item("approval", mark, at, said.at, (said, url(f"/case/{case}")))


def _messages(pinned: Current, definition: Entity, row: Any, before: int | None) -> Iterator[Item]:
    """Messages about the record that this person may read: for most people their own."""
    where = () if before is None else (lambda frame: frame.table.c.id < before,)
    page = pinned.reader.list(MESSAGE, filters=[Filter("entity", "eq", definition.address), Filter("record_id", "eq", row.id)], sort=["-id"], where=where,
                              paths=["subject", "kind", "channel", "receiver", "status", "created_at"], limit=ROWS + 1, action="read")
    for one in page.rows:
        yield Item("message", one.id, one["created_at"], moment(pinned, one["created_at"]), told(pinned, one))


def told(pinned: Current, one: Any) -> dict[str, str]:
    """A message in words: to whom, how, what of it may be read."""
    from metaloom.web.cells import cell, resolve

    entity = pinned.catalog.entities[MESSAGE]
    words = {name: cell(pinned, path, one).text for name in ("subject", "channel", "receiver", "status", "kind")
             if name in one.values and (path := resolve(pinned, entity, name)) is not None}
    return {**dict.fromkeys(("subject", "channel", "receiver", "status", "kind"), ""), **words}


_SOURCES = {"comment": _comments, "change": _changes, "approval": _approvals, "message": _messages}



