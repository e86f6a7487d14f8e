"""Effective document → Trial: a test written in metadata, with everything it names looked up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from metaloom.base.position import Position
from metaloom.compile.checks.look import check_path
from metaloom.compile.checks.screens import action_names
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, string, words
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import USER, target_of
from metaloom.model import Catalog, Expectation, Field, Move, Person, Trial

FIRST_DAY = date(2026, 3, 2)
MOVES = ("create", "change", "do", "archive", "restore", "delete", "find", "days", "start", "decide", "approval", "evaluate", "answers", "process", "hours")
EXPECTATIONS = ("refused", "record", "rows", "said", "waits", "alert", "runs")
BY_PERSON = ("offers", "keeps_back", "clear", "masked", "hidden", "writes")


def build_trial(context: Context, folder: Folder, name: str, node: Node) -> Trial:
    """One test; what it names in entities is queued for the check."""
    return _Build(context, folder.pack, f"{folder.pack}.{name}").trial(node)


class _Build:
    def __init__(self, context: Context, pack: str, address: str) -> None:
        self.context, self.pack, self.address = context, pack, address
        self.people: dict[str, Person] = {}
        self.records: dict[str, str] = {}
        self.places: set[str] = set()

    def trial(self, node: Node) -> Trial:
        self.people = {login: self._person(login, n) for login, n in entries(node.get("people"))}
        self.places = {name for p in self.people.values() for name in (p.company, p.unit) if name}
        given, when = ([(n, self._move(n)) for n in _items(node.get(key))] for key in ("given", "when"))
        then = [(n, self._expectation(n, bool(when))) for n in _items(node.get("then"))]
        self.context.later.append(lambda catalog: _Check(self, catalog).all([*given, *when], then))
        return Trial(self.address, words(node.get("label")), self._day(node.get("date")), MappingProxyType(self.people),
                     tuple(m for _, m in given), tuple(m for _, m in when), tuple(e for _, e in then), MappingProxyType(self.records), node.key)

    def _day(self, node: Node | None) -> date:
        try:
            return date.fromisoformat(string(node)) if node is not None else FIRST_DAY
        except ValueError:
            self.report("ML-TEST-004", node.position if node else Position(""), found=string(node))
            return FIRST_DAY

    def _person(self, login: str, node: Node) -> Person:
        roles = node.get("roles")
        found = tuple(self.context.find("role", n, self.pack, self.address) for n in (roles.value if roles else ()))
        return Person(login, tuple(filter(None, found)), string(node.get("company")), string(node.get("unit")), string(node.get("within")))

    def _move(self, node: Node) -> Move:
        verb = next(v for v in MOVES if v in node.value)
        subject, by = node.value[verb], self._by(node.get("by"))
        if verb == "days":
            return Move(verb, days=int(subject.value), position=node.position)
        if verb == "hours":
            return Move(verb, more=MappingProxyType({"hours": int(subject.value)}), position=node.position)
        if verb == "answers":
            return Move(verb, more=MappingProxyType({"answers": tuple(n.plain() for n in subject.value)}), position=node.position)
        values = MappingProxyType(self._plain(node.get("values") or node.get("input") or node.get("where")))
        if verb in ("create", "find"):
            target = self.context.find("entity", subject, self.pack, self.address)
            return Move(verb, target=target, name=self._new(node.get("as"), target), by=by, values=values, position=node.position)
        if verb == "do":
            return self._do(node, by, values)
        if verb == "evaluate":
            return Move(verb, values=MappingProxyType({"rules": tuple(n.value for n in subject.value)}), position=node.position)
        if verb in ("start", "decide", "approval"):
            return self._approval(verb, node, by, values)
        if verb == "process":
            more = {"process": string(node.get("name"))}
            return Move(verb, self.record(node.value["on"]), name=string(subject), by=by, values=values, reason=string(node.get("words")),
                        more=MappingProxyType(more), position=node.position)
        return Move(verb, on=self.record(subject), by=by, values=values, position=node.position)

    def _do(self, node: Node, by: str, values: Mapping[str, Any]) -> Move:
        on, of = node.get("on"), node.get("of")
        if (on is None) == (of is None):
            self.report("ML-TEST-003", node.position)
        return Move("do", self.record(on) if on is not None else "", self.context.find("entity", of, self.pack, self.address),
                    string(node.get("do")), by, values, string(node.get("reason")), position=node.position)

    def _approval(self, verb: str, node: Node, by: str, values: Mapping[str, Any]) -> Move:
        on, chosen = node.get("on"), node.get("chosen")
        assert on is not None                                     # the schema demands it
        more: dict[str, Any] = {key: n.value for key in ("then", "words", "opinion") if (n := node.get(key)) is not None}
        if chosen is not None:
            more["chosen"] = {step: tuple(self.person(i.value, i.position) for i in n.value) for step, n in chosen.items()}
        to, outputs = node.get("to"), node.get("outputs")
        if to is not None:
            more["to"] = tuple(n.value for n in to.value) if to.is_list else to.value
        if outputs is not None:
            more["outputs"] = self._plain(outputs)
        return Move(verb, self.record(on), name=string(node.get(verb)), by=by, values=values, more=MappingProxyType(more), position=node.position)

    def _expectation(self, node: Node, tried: bool) -> Expectation:
        verb = next(v for v in EXPECTATIONS if v in node.value)
        subject = node.value[verb]
        if verb in ("refused", "said") and not tried:
            self.report("ML-TEST-005", subject.key)
        named = string(subject)
        if verb in ("record", "waits", "runs"):
            named = self.record(subject)
        elif verb == "rows":
            named = self.context.find("entity", subject, self.pack, self.address)
        return Expectation(verb, named, MappingProxyType({k: self._asked(k, n) for k, n in node.items() if k != verb}), node.position)

    def _asked(self, key: str, node: Node) -> Any:
        if key in ("values", "where"):
            return self._plain(node)
        if key in BY_PERSON:
            return {self.person(login, n.key): tuple(i.value for i in n.value) for login, n in node.items()}
        if key in ("seen_by", "unseen_by", "of"):
            return tuple(self.person(n.value, n.position) for n in node.value)
        if key == "on":
            return self.record(node)
        return tuple(n.value for n in node.value) if node.is_list else node.value

    # -- names of the test ----------------------------------------------------------------------------------------------

    def _new(self, node: Node | None, entity: str) -> str:
        name = string(node)
        if node is not None and (name in self.records or name in self.people or name in self.places):
            self.report("ML-TEST-002", node.position, name=name)
        if name:
            self.records[name] = entity
        return name

    def record(self, node: Node) -> str:
        name = str(node.value)
        if name not in self.records:
            self.report("ML-TEST-001", node.position, hint=_did_you_mean(name, self.records), what="record", name=name)
        return name

    def _by(self, node: Node | None) -> str:
        return self.person(node.value, node.position) if node is not None else ""

    def person(self, login: str, where: Position) -> str:
        if login not in self.people:
            self.report("ML-TEST-001", where, hint=_did_you_mean(login, self.people), what="person", name=login)
        return login

    def _plain(self, node: Node | None) -> dict[str, Any]:
        for _, n in entries(node):
            self._references(n)
        return dict(node.plain()) if node is not None else {}

    def _references(self, node: Node) -> None:
        if node.is_map or node.is_list:
            for inner in node.value.values() if node.is_map else node.value:
                self._references(inner)
        elif isinstance(node.value, str) and node.value.startswith("$"):
            name = node.value[1:]
            known = {*self.records, *self.people, *self.places}
            if name not in known:
                self.report("ML-TEST-001", node.position, hint=_did_you_mean(name, known), what="record, person, company or department", name=name)

    def report(self, code: str, where: Position, *, hint: str = "", **slots: object) -> None:
        self.context.report(finding(code, where, address=self.address, hint=hint, **slots))


class _Check:
    """What a test says of entities: fields that exist, actions that exist."""

    def __init__(self, build: _Build, catalog: Catalog) -> None:
        self.build, self.catalog, self.context = build, catalog, build.context

    def all(self, moves: list[tuple[Node, Move]], then: list[tuple[Node, Expectation]]) -> None:
        for node, move in moves:
            entity = move.target or self.build.records.get(move.on, "")
            if move.verb == "do":
                self._action(node.value["do"], entity, move.name)
            elif move.verb == "start":
                self._known(node.value["start"], "chain", entity, move.name, self.catalog.chains)
            elif move.verb == "process":
                if node.get("name") is not None:
                    self._known(node.value["name"], "process", entity, move.more["process"], self.catalog.processes)
            elif move.verb == "evaluate":
                for item in node.value["evaluate"].value:
                    address, _, rule = str(item.value).partition("/")
                    self._known(item, "warning rule", address, rule, self.catalog.warning_rules)
            else:
                for key in ("values", "where"):
                    self._fields(node.get(key), entity)
        for node, expected in then:
            self._expected(node, self.build.records.get(expected.subject, "") if expected.verb == "record" else expected.subject)

    def _known(self, node: Node, what: str, entity: str, name: str, known: Mapping[str, Any]) -> None:
        if f"{entity}/{name}" not in known:
            near = [address.partition("/")[2] for address in known if address.startswith(f"{entity}/")]
            self.build.report("ML-REF-001", node.position, hint=_did_you_mean(name, near), what=what, name=f"{entity}/{name}")

    def _expected(self, node: Node, entity: str) -> None:
        alert, on = node.get("alert"), node.get("on")
        if node.get("runs") is not None:
            if (process := node.get("process")) is not None:
                self._known(process, "process", self.build.records.get(entity, ""), str(process.value), self.catalog.processes)
            return
        if alert is not None and on is not None:
            self._known(alert, "warning rule", self.build.records.get(str(on.value), ""), str(alert.value), self.catalog.warning_rules)
            return
        for key in ("values", "where"):
            self._fields(node.get(key), entity)
        for item in _items(node.get("empty")):
            self._path(entity, str(item.value), item.position)
        for key in BY_PERSON:
            for _, listed in entries(node.get(key)):
                for item in listed.value:
                    if key in ("offers", "keeps_back"):
                        self._action(item, entity, item.value)
                    else:
                        self._path(entity, str(item.value), item.position)

    def _fields(self, node: Node | None, entity: str) -> None:
        for name, n in entries(node):
            field = self._path(entity, name, n.key)
            target = target_of(field) if field is not None else ""
            if target and isinstance(n.value, str) and n.value.startswith("$"):
                self._points(n, name, target)

    def _points(self, node: Node, path: str, target: str) -> None:
        """A link's value must be a record of the entity that the link points to: ids alone would agree by chance."""
        name = node.value[1:]
        entity = USER if name in self.build.people else self.build.records.get(name, target)
        if entity != target:
            self.build.report("ML-TEST-006", node.position, name=name, entity=entity, path=path, target=target)

    def _path(self, entity: str, path: str, where: Position) -> Field | None:
        if entity not in self.catalog.entities:
            return None
        return check_path(self.context, self.catalog, self.catalog.entities[entity], path, where, self.build.address)

    def _action(self, node: Node, entity: str, name: str) -> None:
        if entity not in self.catalog.entities or not self.context.plugins.complete:
            return
        known = action_names(self.catalog, self.context, entity)
        if name not in known:
            self.build.report("ML-REF-001", node.position, hint=_did_you_mean(name, known), what="action", name=name)


def _items(node: Node | None) -> list[Node]:
    return list(node.value) if node is not None else []
