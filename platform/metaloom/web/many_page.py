"""Changing, archiving or deleting many records of a list: what is meant, a trial, the change, and its undo."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, g, render_template, request

from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command.bulk_edit import (
    MANY_MAX,
    VERBS,
    ManyDone,
    change_many,
    choices_left_together,
    editable_together,
    narrowed_by,
    undo_many,
)
from metaloom.model import Entity, Field, FieldLevel
from metaloom.record.encode import display
from metaloom.record.schema import schema_of
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.form_model import FormField, Source, make_field, raw_values
from metaloom.web.frame import list_crumb, list_url, record_url
from metaloom.web.listing import read_state
from metaloom.web.words import t as _t
from metaloom.web.words import whole

blueprint = Blueprint("many", __name__)
SHOWN = 200
ID_MAX = 2**63 - 1


def offered(pinned: Current, entity: Entity) -> list[str]:
    """What this person may do with several records of the entity; kept with the rights."""
    kept = pinned.plan.memory.setdefault("many", {})
    key = (entity.address, pinned.catalog.digest)
    if key not in kept:
        kept[key] = _offered(pinned, entity)
    found: list[str] = kept[key]
    return found


def _offered(pinned: Current, entity: Entity) -> list[str]:
    if entity.storage != "table" or entity.child_of or entity.append_only:
        return []
    found = ["edit"] if pinned.plan.may(entity.address, "edit") and editable_together(pinned.looking(), entity) else []
    verb = "delete" if entity.delete == "physical" else "archive" if entity.archivable else ""
    return [*found, verb] if verb and pinned.plan.may(entity.address, "delete") else found


@blueprint.post("/many/<entity>/<name>/<verb>")
def show(entity: str, name: str, verb: str) -> Any:
    """``_step``: ask (what shall be changed), trial, do."""
    pinned = current()
    definition = pinned.entity(entity)
    _refuse_unless(pinned, definition, verb)
    g.menu_here = f"list:{entity}/{name}"
    step = request.form.get("_step", "ask")
    targets = _targets(pinned, entity, name)
    if not targets:
        raise NotPossible(message("many.none"))
    if len(targets) > MANY_MAX:
        raise NotPossible(message("many.limit", limit=MANY_MAX))
    if step == "ask" and verb == "edit":
        return _page(pinned, definition, name, verb, targets)
    try:
        values = _values(pinned, definition) if verb == "edit" else {}
        ctx = pinned.context().with_key(request.form.get("_key") or None if step == "do" else None)
        done = change_many(ctx, entity, targets, verb, values, request.form.get("_reason", "")[:2000], trial=step != "do")
    except Invalid as refused:
        return _page(pinned, definition, name, verb, targets, problems=refused.problems), 400
    pinned.release()
    return _page(pinned, definition, name, verb, targets, done=done, trial=step != "do", values=values)


@blueprint.post("/many/<entity>/<name>/undo/<int:run>")
def undo(entity: str, name: str, run: int) -> Any:
    """Put back what a run changed."""
    pinned = current()
    definition = pinned.entity(entity)
    verdict = pinned.plan.may(entity, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    if run > ID_MAX:
        raise NotFound
    g.menu_here = f"list:{entity}/{name}"
    done = undo_many(pinned.context(), run)
    pinned.release()
    return _page(pinned, definition, name, "undo", {}, done=done)


def _refuse_unless(pinned: Current, entity: Entity, verb: str) -> None:
    for action in ("list", VERBS.get(verb, "")):
        verdict = pinned.plan.may(entity.address, action) if action else None
        if verdict is not None and not verdict:
            raise NotAllowed(verdict.reason)
    if verb not in offered(pinned, entity):
        raise NotFound


def _targets(pinned: Current, entity: str, name: str) -> dict[int, int]:
    """The chosen records with the versions that were shown, or every record of the search (``_all``)."""
    if not request.form.get("_all"):
        pairs = [text.partition(":")[::2] for text in ",".join(request.form.getlist("ids"))[:60_000].split(",")]
        return {number: shown for id, version in pairs if (number := whole(id)) is not None and (shown := whole(version)) is not None}
    state = read_state(pinned, entity, name)
    found: dict[int, int] = {}
    cursor = None
    while len(found) <= MANY_MAX:
        page = pinned.reader.list(entity, sort=["id"], cursor=cursor, limit=200, paths=[], **state.asked())
        found |= {row.id: row.row_version for row in page.rows}
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _values(pinned: Current, entity: Entity) -> dict[str, Any]:
    fields = editable_together(pinned.looking(), entity)
    chosen = {name: fields[name] for name in request.form.getlist("_set") if name in fields}
    if not chosen:
        raise Invalid([Problem("", message("many.no_field"))])
    sent = raw_values(fields, request.form, {})
    given = {name: sent.get(name) for name in chosen}
    return dict(schema_of(pinned.revision, chosen, source="form").load(given, zone=pinned.zone))


def _said(pinned: Current, entity: Entity, values: dict[str, Any], titles: dict[str, str]) -> list[tuple[str, str]]:
    """Fields and what they are to hold, in words."""
    return [(say(entity.fields[name].label), _t("many.emptied") if value in (None, "", []) else titles.get(name) or display(
        pinned.catalog, entity.fields[name], value, locale(), entity=entity.address, zone=pinned.zone)) for name, value in values.items()]


def _page(pinned: Current, entity: Entity, name: str, verb: str, targets: dict[int, int], *, problems: Any = (), done: ManyDone | None = None,
          trial: bool = False, values: dict[str, Any] | None = None) -> str:
    fields = editable_together(pinned.looking(), entity) if verb == "edit" else {}
    chosen = request.form.getlist("_set")
    titles = _titles(pinned, fields)
    source = Source("action", {}, titles, dict.fromkeys(fields, FieldLevel.WRITE), sent=request.form if chosen else None, problems=problems)
    left = choices_left_together(pinned.looking(), entity, fields, targets, pinned.conn) if done is None else {}
    made = [_field(pinned, entity, one, source, left.get(one.name), fields) for one in fields.values()]
    head = {"edit": _t("many.edit"), "archive": _t("many.archive"), "delete": _t("many.delete"), "undo": _t("many.undo_head")}[verb]
    return render_template(
        "pages/many.html", entity=entity, verb=verb, head=head, fields=made, targets=",".join(f"{id}:{version}" for id, version in targets.items()),
        count=len(targets), problems=[p.message.say(locale()) for p in problems if p.field not in fields], done=done, trial=trial,
        asked=_said(pinned, entity, values or {}, titles),
        rows=_rows(pinned, entity, done) if done else [], sent=_again(), key=secrets.token_hex(16), place=url(f"/many/{entity.address}/{name}"),
        back=list_url(entity.address, name), crumbs=[list_crumb(pinned, entity, name), (head, "")], shown_max=SHOWN,
        reason=request.form.get("_reason", "")[:2000])


@dataclass(frozen=True)
class ManyField:
    """A field with the choices that the records leave. ``beyond``: the others, for whoever gives one of the fields ``by`` another value, too."""

    form: FormField
    chosen: bool
    beyond: tuple[tuple[str, str], ...] = ()
    by: tuple[str, ...] = ()


def _field(pinned: Current, entity: Entity, one: Field, source: Source, left: frozenset[str] | None, fields: Mapping[str, Field]) -> ManyField:
    made, chosen = make_field(pinned, entity, one, source, one.name, False), request.form.getlist("_set")
    if left is None:
        return ManyField(made, one.name in chosen)
    kept = tuple((code, words) for code, words in made.options if code in left or code in made.values)
    by = tuple(sorted(narrowed_by(pinned.looking(), entity, one) & fields.keys()))
    return ManyField(replace(made, options=kept), one.name in chosen, tuple(o for o in made.options if o not in kept) if by else (), by)


def _again() -> list[tuple[str, str]]:
    """What was sent, to be sent once more by whoever has seen the trial."""
    own = ("csrf_token", "_step", "_key", "_all", "ids")
    return [(key, value) for key, value in request.form.items(multi=True) if key not in own]


def _titles(pinned: Current, fields: dict[str, Any]) -> dict[str, str]:
    from metaloom.web.action_page import _titles as titles_of

    return titles_of(pinned, fields, request.form if request.form.getlist("_set") else None, {})


def _rows(pinned: Current, entity: Entity, done: ManyDone) -> list[tuple[str, str, str, str]]:
    """Refusals first: (address, title, how, why)."""
    order = {"refused": 0, "done": 1, "same": 2}
    shown = sorted(done.outcomes, key=lambda o: (order[o.how], o.id))[:SHOWN]
    try:
        titles = {hit.id: hit.title for hit in pinned.reader.lookup(entity.address, ids=[o.id for o in shown], limit=200)}
    except MetaloomError:
        titles = {}
    return [(record_url(entity.address, o.id) if o.id in titles else "", titles.get(o.id, f"#{o.id}"), o.how, o.why.say(locale()) if o.how == "refused" else "")
            for o in shown]

