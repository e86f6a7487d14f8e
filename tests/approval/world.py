"""A small world for approvals: a pack with one entity, people with roles, and Facts out of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest

from metaloom import expression as ex
from metaloom.approval import Candidates, CaseState
from metaloom.compile import PluginManifest, Source, compile_catalog
from metaloom.compile.build_approval import build_chain
from metaloom.compile.compiler import _names, effective_document
from metaloom.compile.context import Context
from metaloom.compile.load import load
from metaloom.compile.merge import Effective
from metaloom.compile.scope import chain_scope
from metaloom.expression import Env
from metaloom.model import ApprovalChain, Catalog, Who
from tests.compile.shop import ENGINE, sources

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROLES = ("boss", "risk", "legal", "clerk")

PACK = {
    "desk/pack.yaml": "pack: {version: 1.0.0, format: 1, label: {zh: 甲, en: A}, depends: {platform: '>=1.0'}}\nroles:\n"
                      + "".join(f"  {r}: {{label: {{zh: 甲, en: {r}}}}}\n" for r in ROLES),
    "desk/main/module.yaml": "module: {label: {zh: 甲, en: A}}\n",
    "desk/main/ticket/entity.yaml": """entity:
  label: {zh: 工单, en: Ticket}
  title: name
  owned_by: [company, org_unit, user]
  fields:
    name: {type: text, required: true, label: {zh: 名称, en: Name}}
    total: {type: money, label: {zh: 金额, en: Total}}
    docs: {type: boolean, label: {zh: 资料, en: Documents}}
    head: {type: user, label: {zh: 主管, en: Head}}
    other: {type: link, entity: ticket, label: {zh: 关联, en: Other}}
    status: {type: state, label: {zh: 状态, en: Status}}
lifecycle:
  field: status
  initial: draft
  states:
    draft: {label: {zh: 草稿, en: Draft}, editable: true}
    sent: {label: {zh: 审批中, en: Sent}}
    done: {label: {zh: 通过, en: Done}, final: true}
  transitions:
    send: {from: [draft], to: sent}
    back: {from: [sent], to: draft}
    finish: {from: [sent], to: done}
access:
""" + "".join(f"  {r}: {{scope: all, actions: [list, read, create, edit]}}\n" for r in ROLES),
}


def labelled(name: str, node: Any) -> Any:
    """Steps and branches with labels where the case wrote none."""
    if not isinstance(node, dict):
        return node
    inner = {key: {n: labelled(n, s) for n, s in value.items()} if key in ("steps", "branches") else value for key, value in node.items()}
    return {"label": {"zh": name, "en": name}, **inner}


def chain_text(body: Mapping[str, Any]) -> dict[str, Any]:
    words = {"zh": "甲", "en": "A"}
    steps = {name: labelled(name, step) for name, step in body["steps"].items()}
    return {"label": words, "subject": words, "start": {"roles": ["clerk"]}, **body, "steps": steps}


@lru_cache(maxsize=200)
def compiled(text: str) -> Catalog:
    files = {**PACK, "desk/main/ticket/approval.json": text}
    return compile_catalog((*ENGINE, *sources(files)))


@lru_cache(maxsize=1)
def _desk() -> tuple[Catalog, Effective, dict[str, Any]]:
    found: list[Any] = []
    effective = effective_document((*ENGINE, *sources(PACK)), found.append)
    return compiled('{"approval": {}}'), effective, _names(effective)


def quick(body: Mapping[str, Any], name: str = "c") -> tuple[Catalog, ApprovalChain]:
    """A chain built without the checks of the compiler: for chains by the hundred that are right by construction."""
    catalog, effective, names = _desk()
    node = load(Source("pack", "x.json", json.dumps(chain_text(body))), lambda problem: pytest.fail(str(problem)))
    assert node is not None
    context = Context(effective, PluginManifest(complete=False), lambda problem: pytest.fail(str(problem)), names=names)
    return catalog, build_chain(context, effective.entities["desk.ticket"], name, node)


def catalog_of(**chains: Mapping[str, Any]) -> Catalog:
    """The desk with these chains."""
    return compiled(json.dumps({"approval": {name: chain_text(body) for name, body in chains.items()}}, ensure_ascii=False))


@dataclass
class World:
    """Facts out of tables; people by name, whose ids are their places in ``names`` from 1."""

    catalog: Catalog
    chain: ApprovalChain
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    same: Sequence[Sequence[str]] = ()
    blind: Sequence[str] = ()
    office: Sequence[str] = ("adm",)
    superiors: Mapping[str, str] = field(default_factory=dict)
    heads: Sequence[str] = ()
    posts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stands_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    drawn: str = ""
    names: list[str] = field(default_factory=list)

    def id(self, name: str) -> int:
        if name == "system":
            return 0
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name) + 1

    def name(self, user: int | None) -> str:
        return "-" if user is None else "system" if user == 0 else self.names[user - 1]

    def candidates(self, who: Sequence[Who], weights: Mapping[str, int], state: CaseState) -> Candidates:
        ids = tuple(dict.fromkeys(u for way in who for u in self._found(way, state)))
        heavy = {u: w for u in ids for key, w in weights.items() if key == self.name(u) or u in self._role(key)}
        return Candidates(ids, heavy)

    def _role(self, address: str) -> list[int]:
        return [self.id(n) for n in self.roles.get(address.rpartition(".")[2], ())]

    def _found(self, way: Who, state: CaseState) -> Sequence[int]:
        if way.kind == "role":
            return self._role(way.value)
        if way.kind == "user":
            return [self.id(way.value)]
        if way.kind == "post":
            return [self.id(n) for n in self.posts.get(way.value, ())]
        if way.kind == "field":
            return [self.id(self.record[way.value])] if self.record.get(way.value) else []
        if way.kind == "heads":
            return [self.id(n) for n in self.heads[:way.levels]]
        if way.kind == "head_of":
            return [self.id(n) for n in self.heads[way.up:way.up + 1]]
        if way.kind == "initiator":
            return [state.initiator]
        if way.kind == "expression":
            found = self._value(way.value, state)
            return [] if found is None else [found]
        assert way.kind == "chosen"
        return self.candidates(way.pool, {}, state).ids

    def holds(self, expression: str, state: CaseState) -> bool | None:
        return self._value(expression, state)

    def _value(self, expression: str, state: CaseState) -> Any:
        scope = chain_scope(self.catalog, self.chain)
        checked = ex.compile(expression, scope, None, frozenset({ex.PYTHON}))
        record = dict.fromkeys(scope.fields) | {k: self.id(v) if k in ("head", "owner", "created_by") and v else Decimal(str(v)) if k == "total" else v
                                                         for k, v in self.record.items()}
        outputs = {name: {f: self._plain(v) for f, v in values.items()} for name, values in state.outputs.items()}
        empty = {s.name: dict.fromkeys(s.outputs) for s in self.chain.every_step() if getattr(s, "outputs", None)}
        names = {**record, "record": record, "case": {"initiator": state.initiator},
                 "output": {name: {**fields, **outputs.get(name, {})} for name, fields in empty.items()}}
        return ex.to_python(checked)(names, Env(now=START))

    @staticmethod
    def _plain(value: Any) -> Any:
        return Decimal(value) if isinstance(value, str) and value.replace(".", "").isdigit() else value

    def person(self, user_id: int) -> int:
        for group in self.same:
            if self.name(user_id) in group:
                return self.id(group[0])
        return user_id

    def makers(self, fields: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.id(self.record[name]) for name in fields if self.record.get(name))

    def may_read(self, user_id: int) -> bool:
        return user_id > 0 and user_id <= len(self.names) and self.name(user_id) not in self.blind

    def superior(self, user_id: int) -> int | None:
        found = self.superiors.get(self.name(user_id))
        return self.id(found) if found else None

    def admins(self) -> tuple[int, ...]:
        return tuple(self.id(n) for n in self.office)

    def has_role(self, user_id: int, roles: Sequence[str]) -> bool:
        return any(user_id in self._role(r) for r in roles)

    def substitute(self, user_id: int, at: datetime) -> int | None:
        found = self.stands_in.get(self.name(user_id))
        if not found or not found.get("from", "") <= at.date().isoformat() <= found.get("to", "9999"):
            return None
        return self.id(found["who"])

    def due(self, limit: str, at: datetime) -> datetime:
        number, unit = limit.split()
        return at + int(number) * (timedelta(days=1) if unit.endswith("days") else timedelta(hours=1))

    def moved(self, due: datetime, paused_at: datetime, woken_at: datetime) -> datetime:
        return due + (woken_at - paused_at)

    def draw(self, ids: Sequence[int]) -> int:
        return self.id(self.drawn) if self.drawn else ids[0]

    def sub_record(self, on: str) -> int | None:
        return 1 if on == "self" else self.record.get(on)


def world(body: Mapping[str, Any], name: str = "c", **facts: Any) -> World:
    """The world of a chain written in YAML."""
    if facts.pop("fast", False):
        return _peopled(World(*quick(body, name), **facts))
    catalog = catalog_of(**{name: body}, **facts.pop("chains", {}))
    return _peopled(World(catalog, catalog.chains[f"desk.ticket/{name}"], **facts))


def _peopled(made: World) -> World:
    for people in (*made.roles.values(), made.office, made.blind, made.heads, *made.posts.values(), *made.same):
        for one in people:
            made.id(one)
    return made


__all__ = ["START", "World", "catalog_of", "world"]
