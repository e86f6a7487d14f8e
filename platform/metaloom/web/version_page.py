"""Two versions of a record side by side, and entering one of them again."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from metaloom.base.errors import Invalid, NotFound, NotPossible
from metaloom.command.restore_version import restore_version, version, versions_of
from metaloom.command.versions import Version, differences, put_back
from metaloom.model import Entity
from metaloom.record.paths import UnknownPath, field_of, target_of
from metaloom.web.code_words import command_words, doer_words
from metaloom.web.current import Current, current, locale, say
from metaloom.web.detail_page import MAX_ID
from metaloom.web.frame import list_crumb, record_url, toast
from metaloom.web.record_history import said
from metaloom.web.words import listed, moment, whole
from metaloom.web.words import t as _t

blueprint = Blueprint("version", __name__)


@blueprint.get("/e/<entity>/<int:id>/versions")
def compare(entity: str, id: int) -> Any:
    """``a`` and ``b``: the versions, by the number of their change; without them the last change and what stood before it."""
    pinned = current()
    return _page(pinned, pinned.entity(entity), id)


@blueprint.post("/e/<entity>/<int:id>/versions/<int:entry>/restore")
def restore(entity: str, id: int, entry: int) -> Any:
    """Enter that version again."""
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    reader, given = pinned.reader, request.form.get("_version", "")
    row, found = versions_of(reader, entity, id)
    version(found, entry)
    shown = whole(given)
    try:
        pinned.release()
        ctx = pinned.context()
        done = restore_version(ctx, pinned.reader, entity, id, entry, shown)
    except (NotPossible, Invalid) as refused:
        pinned.release()
        said = [p.message.say(locale()) for p in getattr(refused, "problems", ())] or [refused.message.say(locale())]
        return _page(pinned, definition, id, refusal=said), refused.status
    said = done.saved.message.say(locale())
    if done.left:
        said += _t("version.left_as_is", fields=listed(say(field_of(definition, name).label) for name in done.left))
    return toast(redirect(record_url(entity, id) + "?tab=history", 303), said)


def _page(pinned: Current, definition: Entity, id: int, refusal: Any = ()) -> str:
    if id > MAX_ID:
        raise NotFound
    row, found = versions_of(pinned.reader, definition.address, id)
    if not found:
        raise NotFound
    g.menu_here = f"list:{definition.address}/main"
    later = version(found, int(request.args["b"])) if _number("b") else found[0]
    earlier = version(found, int(request.args["a"])) if _number("a") else found[min(1, len(found) - 1)]
    changed = differences(earlier, later)
    titles = _titles(pinned, definition, changed)
    lines = [(say(field_of(definition, name).label), *(said(pinned, definition, name, value, titles) or "-" for value in pair))
             for name, pair in changed.items() if _known(definition, name)]
    values, left = put_back(definition, row, differences(earlier, found[0]))
    names = [(v.entry, f"#{number} · {_called(pinned, definition, v)}") for number, v in zip(range(len(found), 0, -1), found, strict=True)]
    return render_template(
        "detail/versions.html", entity=definition, row=row, versions=names, earlier=earlier.entry, later=later.entry, lines=lines, refusal=refusal,
        may_restore="edit" in row.actions and not row.archived and bool(values), here_url=record_url(definition.address, id),
        left=listed(say(field_of(definition, name).label) for name in left), n=len(values),
        crumbs=[list_crumb(pinned, definition), (row.title, record_url(definition.address, id)), (_t("version.title"), "")])


def _number(name: str) -> bool:
    text = request.args.get(name, "")
    return text.isascii() and text.isdigit() and len(text) < 19


def _known(definition: Entity, name: str) -> bool:
    try:
        return field_of(definition, name) is not None
    except UnknownPath:
        return False


def _called(pinned: Current, definition: Entity, one: Version) -> str:
    who = one.who if one.by_hand else doer_words(pinned, one.who)
    return f"{moment(pinned, one.at)} · {command_words(pinned, one.command, definition.address)} · {who}"


def _titles(pinned: Current, definition: Entity, changed: Any) -> dict[tuple[str, int], str]:
    """The words for linked records of both sides, as far as this person may find them."""
    from metaloom.base.errors import MetaloomError
    from metaloom.model.entity import LINK_TYPES

    found: dict[tuple[str, int], str] = {}
    for name, pair in changed.items():
        one = field_of(definition, name) if _known(definition, name) else None
        if one is not None and one.type in LINK_TYPES:
            ids = [value for value in pair if isinstance(value, int)]
            try:
                found |= {(target_of(one), hit.id): hit.title for hit in pinned.reader.lookup(target_of(one), ids=ids, limit=2)} if ids else {}
            except MetaloomError:
                continue
    return found
