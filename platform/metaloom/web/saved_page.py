"""The searches that a person keeps of a list: the menu above it, and the dialogs that keep, change, share and delete them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, make_response, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotFound
from metaloom.record.saved_lists import OF_VIEW, OWN_WORDS, PREFIX, SavedList
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.frame import list_url, toast
from metaloom.web.listing import ListState, mode_of
from metaloom.web.words import whole

blueprint = Blueprint("saved", __name__)
ID_MAX = 2**63 - 1


@blueprint.get("/saved/<entity>/<name>")
def menu(entity: str, name: str) -> Any:
    """What there is to choose from, for the menu above the list."""
    pinned = current()
    pinned.entity(entity)
    found = command.saved_lists(pinned.looking(), pinned.conn, entity, name)
    opened, default = request.args.get("saved", ""), _default(pinned, entity, name)
    rows = [(one, address_of(one), str(one.id) == opened, one.id == default, command.may_change(pinned.looking(), one)) for one in found]
    me = pinned.actor.user_id
    return render_template("list/saved_menu.html", own=[r for r in rows if r[0].owner_id == me], shared=[r for r in rows if r[0].owner_id != me],
                           place=list_url(entity, name), here_url=url(f"/saved/{entity}/{name}"), default=default)


@blueprint.get("/saved/<entity>/<name>/new")
def ask_new(entity: str, name: str) -> Any:
    """The dialog that keeps the list as it stands."""
    pinned = current()
    pinned.entity(entity)
    command.saved_lists(pinned.looking(), pinned.conn, entity, name)            # refuses who may not list
    return _dialog(pinned, entity, name, None, {}, ())


@blueprint.post("/saved/<entity>/<name>")
def keep(entity: str, name: str) -> Any:
    """Keep it."""
    pinned = current()
    pinned.entity(entity)
    try:
        done = command.save_list(pinned.context(), entity, name, _given(pinned, entity, name, whole=True))
    except Invalid as refused:
        return _dialog(pinned, entity, name, None, request.form, refused.problems), 400
    if request.form.get("default"):
        _prefer(pinned, entity, name, done.id)
    return _after(pinned, entity, name, done)


@blueprint.get("/saved/<entity>/<name>/<int:id>")
def ask_change(entity: str, name: str, id: int) -> Any:
    """The dialog of one that is kept."""
    pinned = current()
    pinned.entity(entity)
    return _dialog(pinned, entity, name, _one(pinned, entity, name, id), {}, ())


@blueprint.post("/saved/<entity>/<name>/<int:id>")
def change(entity: str, name: str, id: int) -> Any:
    """Rename, share, bring up to date, delete it, or show it first from now on (``do``)."""
    pinned = current()
    pinned.entity(entity)
    one, verb = _one(pinned, entity, name, id), request.form.get("do", "save")
    ctx = pinned.context()
    if verb in ("default", "no_default"):
        _prefer(pinned, entity, name, id if verb == "default" else 0)
        return _back(address_of(one) if verb == "default" else _plain(entity, name))
    if verb == "delete":
        done = command.forget_saved_list(ctx, id)
        return toast(_back(_plain(entity, name)), done.message.say(locale()))
    try:
        done = command.change_saved_list(ctx, id, _given(pinned, entity, name, whole=bool(request.form.get("renew"))))
    except Invalid as refused:
        return _dialog(pinned, entity, name, one, request.form, refused.problems), 400
    if request.form.get("default"):
        _prefer(pinned, entity, name, id)
    return _after(pinned, entity, name, done)


# ------------------------------------------------------------------------------------------------------ what the list asks


def default_address(pinned: Current, state: ListState) -> str:
    """Where the person wants this list to open; empty when it is gone, or no longer theirs to see."""
    try:
        one = command.saved_list(pinned.looking(), pinned.conn, state.default)
    except MetaloomError:
        return ""
    return address_of(one) if (one.entity, one.list) == (state.entity.address, state.view.name) else ""


def opened_name(pinned: Current, state: ListState) -> str:
    """What the kept list is called that the address was opened from."""
    number = whole(state.args.get("saved", ""))
    if not number:
        return ""
    try:
        return command.saved_list(pinned.looking(), pinned.conn, number).name
    except MetaloomError:
        return ""


def address_of(one: SavedList) -> str:
    """The list's address with all that the reader may ask of what is kept."""
    pairs = [(key, ",".join(values)) for key, values in one.query.items() if key == "sort"]
    pairs += [(key, value) for key, values in one.query.items() if key != "sort" for value in values]
    pairs += [("cols", ",".join(one.columns))] if one.columns else []
    return f"{list_url(one.entity, one.list)}?{urlencode([*pairs, ('saved', str(one.id))])}"


# --------------------------------------------------------------------------------------------------------------- pieces


def _one(pinned: Current, entity: str, name: str, id: int) -> SavedList:
    if id > ID_MAX:
        raise NotFound
    found = command.saved_list(pinned.looking(), pinned.conn, id)
    if (found.entity, found.list) != (entity, name):
        raise NotFound
    return found


def _given(pinned: Current, entity: str, name: str, *, whole: bool) -> dict[str, Any]:
    """What the dialog says. ``whole``: also search, order, columns and way of looking, as the address of the list holds them."""
    from urllib.parse import parse_qsl

    form = request.form
    given: dict[str, Any] = {"name": form.get("name", ""), "shared": form.get("shared", "nobody"), "roles": form.getlist("roles")}
    if not whole:
        return given
    query: dict[str, list[str]] = {}
    columns: list[str] = []
    for key, value in parse_qsl(form.get("query", "")[:8000].lstrip("?"), max_num_fields=300):
        if key == "cols":
            columns = [c for c in value.split(",") if c]
        elif key.startswith(PREFIX) or key in OWN_WORDS:
            query.setdefault(key, []).append(value.strip())
    kept = pinned.visit.preferences.get(f"list:{entity}/{name}") if pinned.visit else None
    modes, mode = mode_of(pinned, entity, name, next(iter(query.pop("view", ())), ""))
    others = frozenset().union(*(words for view, words in OF_VIEW.items() if view != mode))
    query = {key: values for key, values in query.items() if key not in others} | ({"view": [mode]} if len(modes) > 1 else {})
    columns = columns or list((kept or {}).get("columns") or ()) if isinstance(kept, dict) or columns else []
    return {**given, "query": query, "columns": columns}


def _dialog(pinned: Current, entity: str, name: str, one: SavedList | None, sent: Any, problems: Any) -> str:
    looking = pinned.looking()
    roles = [(address, say(role.label)) for address, role in pinned.catalog.roles.items()] if command.may_share(looking, entity) else []
    shown = {"name": one.name if one else "", "shared": one.shared if one else "nobody", "roles": one.roles if one else ()}
    if sent:
        shown = {"name": sent.get("name", ""), "shared": sent.get("shared", "nobody"), "roles": tuple(sent.getlist("roles"))}
    post = url(f"/saved/{entity}/{name}" + (f"/{one.id}" if one else ""))
    return render_template("list/saved_ask.html", one=one, shown=shown, roles=roles, post=post, may_change=one is None or command.may_change(looking, one),
                           default=one is not None and _default(pinned, entity, name) == one.id, problems=[p.message.say(locale()) for p in problems])


def _default(pinned: Current, entity: str, name: str) -> int:
    kept = pinned.visit.preferences.get(f"list:{entity}/{name}") if pinned.visit else None
    return int(kept.get("default") or 0) if isinstance(kept, dict) else 0


def _prefer(pinned: Current, entity: str, name: str, id: int) -> None:
    """The person's own choice of what the list shows first."""
    assert pinned.visit is not None
    kept = dict(pinned.visit.preferences.get(f"list:{entity}/{name}") or {})
    kept.pop("default", None)
    if id:
        kept["default"] = id
    pinned.release()
    site().logins.save_preference(pinned.tenant, pinned.visit.user_id, f"list:{entity}/{name}", kept or None)


def _plain(entity: str, name: str) -> str:
    return list_url(entity, name) + "?saved=0"


def _after(pinned: Current, entity: str, name: str, done: Any) -> Any:
    pinned.release()
    return toast(_back(address_of(command.saved_list(pinned.looking(), pinned.conn, done.id))), done.message.say(locale()))


def _back(to: str) -> Any:
    """To a list, with a page of its own where the dialog was opened in the browser."""
    if request.headers.get("HX-Request"):
        answer = make_response("", 204)
        answer.headers["HX-Redirect"] = to
        return answer
    answer = make_response("", 303)
    answer.headers["Location"] = to
    return answer
