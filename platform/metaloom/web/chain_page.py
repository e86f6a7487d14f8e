"""The chains of the tenant, for its administrators: how each is built, where its cases stand, and trying a text of it on past records."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from metaloom import command
from metaloom.approval import Node
from metaloom.approval.compare import Difference
from metaloom.approval.simulate import Asked
from metaloom.base.errors import Invalid, NotFound, Problem
from metaloom.base.messages import message
from metaloom.command.draft_chain import DraftRefused, draft_from_files, draft_from_text
from metaloom.command.draft_chain import chain_text as text_of
from metaloom.command.simulate_chain import LIMIT, ONLINE_MAX, ONLINE_SECONDS, Simulation, Tried, until
from metaloom.expression import ExpressionError
from metaloom.model import ApprovalChain, Catalog, Entity
from metaloom.record.export import csv_table
from metaloom.web.chain_story import drawing
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.download import sent_file
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import record_url
from metaloom.web.words import bracketed, listed, whole
from metaloom.web.words import t as _t

blueprint = Blueprint("chains", __name__)
SOURCES = ("published", "text", "files")
NEW = "new_chain"
EXAMPLE = """{name}:
  label: {{zh: 新流程, en: New chain}}
  subject: {{zh: "{{{title}}}", en: "{{{title}}}"}}
  steps:
    check:
      label: {{zh: 初审, en: Check}}
      who: [{{role: {role}}}]
"""


@dataclass(frozen=True)
class Listed:
    """One chain of the list."""

    label: str
    address: str
    entity: str
    href: str
    steps: int
    open: int
    older: int
    gone: bool


# ---------------------------------------------------------------------------------------------------------- what there is


@blueprint.get("/approval/chains/")
def show_list() -> Any:
    """Every chain with its running cases."""
    pinned = _here()
    found = command.chain_standings(pinned.looking(), pinned.conn)
    rows = [_listed(pinned.catalog, one) for one in found]
    entities = sorted(((e.address, say(e.label)) for e in pinned.catalog.entities.values() if e.storage == "table" and not e.child_of), key=lambda e: e[1])
    return render_template("approval/chains.html", rows=rows, revision=pinned.revision.number, entities=entities, older=sum(one.older for one in found),
                           crumbs=[(_t("chain.title"), "")])


def _here() -> Current:
    g.menu_here = "page:chains"
    return current()


def _listed(catalog: Catalog, one: command.ChainStanding) -> Listed:
    entity = catalog.entities.get(one.address.partition("/")[0])
    label = say(one.chain.label) if one.chain is not None else one.address.rpartition("/")[2]
    return Listed(label, one.address, say(entity.label) if entity is not None else one.address.partition("/")[0],
                  url(f"/approval/chains/{one.address}") if one.chain is not None else "",
                  sum(1 for _ in one.chain.every_step()) if one.chain is not None else 0, one.open, one.older, one.chain is None)


@blueprint.get("/approval/chains/<about>/<chain>")
def show(about: str, chain: str) -> Any:
    """One chain: its drawing, its text, its cases, and the form that tries it."""
    pinned = _here()
    return _page_of(pinned, _chain(pinned, about, chain))


@blueprint.get("/approval/draft/")
def pick_draft() -> Any:
    """On to the draft for the entity that was picked."""
    return redirect(url(f"/approval/draft/{_entity(_here(), request.args.get('entity', '')).address}"))


@blueprint.get("/approval/draft/<about>")
def show_draft(about: str) -> Any:
    """A chain that is not published yet, tried on records of the entity."""
    pinned = _here()
    return _page_of_draft(pinned, _entity(pinned, about))


def _chain(pinned: Current, entity: str, name: str) -> ApprovalChain:
    command.refuse_unless_admin(pinned.looking())
    found = pinned.catalog.chains.get(f"{entity}/{name}")
    if found is None:
        raise NotFound
    return found


def _entity(pinned: Current, address: str) -> Entity:
    command.refuse_unless_admin(pinned.looking())
    found = pinned.catalog.entities.get(address)
    if found is None or found.storage != "table":
        raise NotFound
    return found


def _page_of(pinned: Current, chain: ApprovalChain, **tried: Any) -> str:
    ctx = pinned.looking()
    written = text_of(ctx, chain.address)
    standing = next(one for one in command.chain_standings(ctx, pinned.conn) if one.address == chain.address)
    return _page(pinned, say(chain.label), pinned.catalog.entities[chain.entity], written.text, f"/approval/chains/{chain.address}/simulate", chain=chain,
                 written=written, standing=standing, flow=drawing(pinned.catalog, chain, command.open_by_step(ctx, pinned.conn, chain.address)), **tried)


def _page_of_draft(pinned: Current, entity: Entity, **tried: Any) -> str:
    pack = entity.address.partition(".")[0] + "."
    role = next((address.removeprefix(pack) for address in pinned.catalog.roles if address.startswith(pack)), "staff")
    text = EXAMPLE.format(name=NEW, title=entity.title or "id", role=role)
    return _page(pinned, _t("chain.draft_new"), entity, text, f"/approval/draft/{entity.address}", chain=None, written=None, standing=None, flow=(), **tried)


def _page(pinned: Current, label: str, entity: Entity, text: str, post: str, **more: Any) -> str:
    sent = request.form if request.method == "POST" else {}
    return render_template(
        "approval/chain.html", label=label, entity=entity, text=sent.get("draft", text), post=url(post), source=sent.get("source", "published"),
        where=sent.get("where", ""), limit=sent.get("limit", str(LIMIT)), limit_max=ONLINE_MAX, seconds=int(ONLINE_SECONDS), revision=pinned.revision.number,
        older_url=url("/approval/changed/"), crumbs=[(_t("chain.title"), url("/approval/chains/")), (label, "")],
        **{"tried": False, "findings": (), "problems": (), "result": None, **more})


# ------------------------------------------------------------------------------------------------------------- trying it


@blueprint.post("/approval/chains/<about>/<chain>/simulate")
def try_chain(about: str, chain: str) -> Any:
    """Tries the published text, a typed one or that of the files on past records. Nothing is written."""
    pinned = _here()
    found = _chain(pinned, about, chain)
    return _answer(pinned, found.address, request.form.get("source", "published"), lambda tried: _page_of(pinned, found, **tried))


@blueprint.post("/approval/draft/<about>")
def try_draft(about: str) -> Any:
    """Tries a chain that is not published on records of the entity."""
    pinned = _here()
    definition = _entity(pinned, about)
    name = re.match(r"(?:\s*#[^\n]*\n)*\s*([a-z][a-z0-9_]*)\s*:", request.form.get("draft", "")[:2000])
    return _answer(pinned, f"{definition.address}/{name[1] if name else NEW}", "text", lambda tried: _page_of_draft(pinned, definition, **tried))


def _answer(pinned: Current, address: str, source: str, page: Callable[[dict[str, Any]], str]) -> Any:
    """The outcome below the form: alone where the page asked for it, else in the whole page; or as a file."""
    tried: dict[str, Any] = {"tried": True, "findings": (), "problems": (), "result": None}
    found: Simulation | None = None
    try:
        found = _tried(pinned, address, source)
    except DraftRefused as refused:
        tried["findings"] = [{"line": f.line, "place": f.place, "code": f.code, "message": say(f.message), "hint": say(f.hint)} for f in refused.findings]
    except Invalid as wrong:
        tried["problems"] = [p.message.say(locale()) for p in wrong.problems]
    if found is not None and request.form.get("as") == "csv":
        return _sheet(found)
    tried["result"] = shown(found) if found is not None else None
    if wants_fragment():
        return render_template("approval/simulated.html", **tried)
    return page(tried), 200 if found is not None else 400


def _tried(pinned: Current, address: str, source: str) -> Simulation:
    if source not in SOURCES:
        raise Invalid([Problem("source", message("field.choice"))])
    where, limit = request.form.get("where", "").strip()[:2000], whole(request.form.get("limit", "").strip(), 9)
    if limit is None or not 1 <= limit <= ONLINE_MAX:
        raise Invalid([Problem("limit", message("simulate.limit", limit=ONLINE_MAX))])
    ctx = pinned.looking()
    draft = draft_from_text(ctx, address, request.form.get("draft", "")) if source == "text" else draft_from_files(ctx) if source == "files" else None
    if draft is not None and address not in draft.chains:
        raise Invalid([Problem("source", message("simulate.not_in_files", chain=address))])
    try:
        return command.simulate_chain(ctx, address, draft=draft, where=where, limit=limit, enough=until(ONLINE_SECONDS))
    except ExpressionError as error:
        raise Invalid([Problem("where", message("simulate.where", why=error.said))]) from error


# ----------------------------------------------------------------------------------------------------- what came of it


@dataclass(frozen=True)
class Step:
    """A step that asks people. ``dropped``: who is left out, with the reason."""

    label: str
    people: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    admin: bool


@dataclass(frozen=True)
class Line:
    """One record of the table. ``changes``: what differs, as sentences; ``tone`` of the outcome."""

    title: str
    href: str
    case: str
    really: str
    way: str
    steps: tuple[Step, ...]
    outcome: str
    tone: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A simulation in the reader's words."""

    lines: tuple[Line, ...]
    summary: tuple[tuple[str, int], ...]
    dead: tuple[str, ...]
    nobody: tuple[tuple[str, int], ...]
    stuck: int
    gone: int
    left: int


def shown(found: Simulation) -> Shown:
    """The table and what the records together say of the chain."""
    labels = {step.name: say(step.label) for step in found.chain.every_step()}
    branches = {(step.name, way.name): say(way.label) for step in found.chain.every_step() for way in step.inner}
    survey = found.survey
    dead = [_t("simulate.dead_branch", fork=labels[fork], branch=branches[fork, name]) for fork, name in survey.dead_ways]
    dead += [_t("simulate.dead_step", step=labels[step]) for step in survey.dead_steps]
    return Shown(tuple(_line(found, one, labels, branches) for one in found.tried),
                 (("records", len(found.tried)), *((what, len(found.changed(what))) for what in ("deciders", "result", "way"))),
                 tuple(dead) if found.tried else (), tuple((labels[step], len(keys)) for step, keys in survey.nobody.items()), len(survey.stuck),
                 len(found.gone), found.left)


def _line(found: Simulation, one: Tried, labels: dict[str, str], branches: dict[tuple[str, str], str]) -> Line:
    outcome = one.outcome
    if outcome.refused is not None:
        said, tone = outcome.refused.say(locale()), "bad"
    elif outcome.result:
        said, tone = _status(outcome.result), "good" if outcome.result == "approved" else "bad"
    else:
        said, tone = _t("simulate.stops", steps=listed(labels.get(name, name) for name in outcome.stops_at)), "back"
    return Line(one.title, record_url(found.chain.entity, one.record), url(f"/case/{one.case}") if one.case is not None else "",
                _status(one.really) if one.really else "", " → ".join(_walked(outcome.path)),
                tuple(_step(found, asked, labels) for asked in {asked.step: asked for asked in outcome.asked}.values()), said, tone,
                tuple(_told(found, d, labels, branches) for d in one.differences))


def _step(found: Simulation, asked: Asked, labels: dict[str, str]) -> Step:
    return Step(labels.get(asked.step, asked.step), tuple(_name(found, user) for user in asked.people),
                tuple((_name(found, user), _t(f"simulate.why.{why}")) for user, why in asked.dropped.items()), asked.admin)


def _name(found: Simulation, user: Any) -> str:
    return found.names.get(user, f"#{user}")


def _status(code: str) -> str:
    item = current().catalog.choices["platform.approval_status"].items.get(code)
    return say(item.label) if item is not None else code


def _walked(nodes: Iterable[Node]) -> Iterable[str]:
    """The labels of the steps passed through; of a fork its branches."""
    for node in nodes:
        if node.status in ("done", "now"):
            for way in (way for way in node.children if way.status in ("done", "now")):
                yield say(way.label)
                yield from _walked(way.children)
            if not node.children:
                yield say(node.label)


def _told(found: Simulation, one: Difference, labels: dict[str, str], branches: dict[tuple[str, str], str]) -> str:
    before, after = (_side(found, one, side, branches) for side in (one.before, one.after))
    return _t(f"simulate.differs.{one.what}", where=labels.get(one.where, one.where), before=before, after=after)


def _side(found: Simulation, one: Difference, side: Iterable[Any], branches: dict[tuple[str, str], str]) -> str:
    if one.what == "deciders":
        words = [_name(found, user) for user in side]
    elif one.what == "way":
        words = [branches.get((one.where, name), str(name)) for name in side]
    else:
        words = [_status(str(code)) if code else _t("simulate.no_end") for code in side]
    return listed(words) or _t("simulate.not_passed")


def _sheet(found: Simulation) -> Any:
    """The table as a file, a line for each record and step."""
    heads = [_t(f"simulate.head.{name}") for name in ("record", "really", "outcome", "step", "people", "dropped", "changes")]
    rows = []
    for line in shown(found).lines:
        for number, step in enumerate(line.steps or (Step("", (), (), False),)):
            rows.append([line.title, line.really, line.outcome, step.label, listed(step.people) + (bracketed(_t("simulate.admins")) if step.admin else ""),
                         listed(f"{who}: {why}" for who, why in step.dropped), "; ".join(line.changes) if number == 0 else ""])
    return sent_file(io.BytesIO(csv_table(heads, rows)), "text/csv", f"{say(found.chain.label)}-{_t('simulate.title')}.csv", "simulation")
