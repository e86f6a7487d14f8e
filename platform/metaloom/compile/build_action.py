"""Effective document → Action with its steps. Each step sees the names that the steps before it made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from metaloom import expression as ex
from metaloom.base.position import Position
from metaloom.compile.build_entity import build_field
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import QUERY, SERVER, ScopeOf, hold, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import (
    USER,
    action_scope,
    entity_scope,
    field_type,
    prefixed_scopes,
    record_scope,
    values_scope,
    where_scope,
    with_names,
)
from metaloom.model import Action, Catalog, Decide, Entity, Field, FieldType, Input, Step, Who

VERBS = ("update", "check", "set", "transition", "create", "get", "for_each", "if", "run", "start_approval",
         "start_process", "notify", "send")  # update first: it has a key set, too
RESERVED_LETS = frozenset({"record", "input", "user", "id", "null", "true", "false"})


def build_action(context: Context, folder: Folder, name: str, node: Node) -> Action:
    """An action; its expressions and step targets are queued for the check."""
    address = f"{folder.address}/action/{name}"
    on = string(node.get("on"), "record")
    inputs = {}
    for field, n in entries(node.get("input")):
        inputs[field] = build_field(context, folder.pack, f"{address}/input/{field}", field, n, _input_scope(lambda: action))
    action: Action = Action(
        address=address, entity=folder.address, name=name, label=words(node.get("label")), on=on, icon=string(node.get("icon")),
        style=string(node.get("style")), permission=string(node.get("permission"), name),
        when=want(context, node.get("when"), address, lambda catalog: record_scope(catalog, action)),
        message=text(node.get("message")), confirm=text(node.get("confirm")), asks_reason=flag(node.get("asks_reason")),
        done=text(node.get("done")), opens=string(node.get("opens")), input=Input(MappingProxyType(inputs)),
        steps=_steps(context, folder, address, node.get("steps")),
        bulk=flag(node.get("bulk")), maker_is_not=",".join(_makers(node)), help=text(node.get("help")), position=node.key)
    steps = node.get("steps")
    assert steps is not None  # the schema demands it
    context.later.append(lambda catalog: _Walk(context, catalog, action, folder.pack).steps(steps, action.steps, {}))
    opens = node.get("opens")
    if opens is not None and action.opened is None:
        made = [step.let for step in action.steps if step.let and step.entity]
        context.report(finding("ML-ACTION-014", opens.position, address=address, name=action.opens, hint=_did_you_mean(action.opens, made)))
    return action


def _makers(node: Node) -> tuple[str, ...]:
    """The user fields of ``maker_is_not``: a list, or names separated by commas."""
    return tuple(name.strip() for part in strings(node.get("maker_is_not")) for name in part.split(","))


def _input_scope(action: Callable[[], Action]) -> ScopeOf:
    """Conditions of an input see its siblings bare, and everything an action sees behind prefixes."""
    def scope(catalog: Catalog) -> ex.Scope:
        own = action()
        inputs = values_scope(catalog, own.input.fields)
        base = record_scope(catalog, own)
        merged = ex.Scope({**base.fields, **inputs.fields}, {**base.links, **inputs.links}, base.children, base.user, base.functions)
        return with_names(merged, prefixed_scopes(catalog, own))
    return scope


def build_steps(context: Context, folder: Folder, address: str, node: Node | None) -> tuple[Step, ...]:
    """Steps of an action that stand elsewhere, such as the results of an approval."""
    return _steps(context, folder, address, node)


def check_steps(context: Context, catalog: Catalog, action: Action, node: Node, pack: str, lets: Lets) -> None:
    """Hold the steps of ``action``, written at ``node``, against the catalog; ``lets`` are names they know besides."""
    _Walk(context, catalog, action, pack).steps(node, action.steps, dict(lets))


def _steps(context: Context, folder: Folder, address: str, node: Node | None) -> tuple[Step, ...]:
    if node is None:
        return ()
    return tuple(_step(context, folder, f"{address}/steps/{i}", n) for i, n in enumerate(node.value))


def _step(context: Context, folder: Folder, address: str, node: Node) -> Step:
    verb = next(v for v in VERBS if v in node.value)
    get = node.get
    common: dict[str, Any] = {"position": node.position, "message": text(get("message")), "let": string(get("let"))}
    when = expression(get("when"))
    if verb == "check":
        return Step(verb, expression=expression(get("check")), when=when, **common)
    if verb == "set":
        return Step(verb, values=_values(get("set")), when=when, **common)
    if verb == "transition":
        return Step(verb, name=string(get("transition")), target=string(get("of")), when=when, **common)
    if verb == "create":
        return Step(verb, entity=context.find("entity", get("create"), folder.pack, address), values=_values(get("values")), when=when, **common)
    if verb == "get":
        return Step(verb, entity=context.find("entity", get("get"), folder.pack, address), where=expression(get("where")), when=when, **common)
    if verb == "update":
        return Step(verb, entity=context.find("entity", get("update"), folder.pack, address), where=expression(get("where")),
                    values=_values(get("set")), expect=string(get("expect"), "any"), when=when, **common)
    inner = _steps(context, folder, address, get("steps"))
    if verb == "for_each":
        return Step(verb, over=string(get("for_each")), steps=inner, when=when, **{**common, "let": string(get("as"))})
    if verb == "if":
        return Step(verb, when=expression(get("if")), steps=inner, otherwise=_steps(context, folder, address, get("otherwise")), **common)
    if verb == "start_approval":
        return Step(verb, name=string(get("start_approval")), target=string(get("of")), values=_values(get("chosen")), when=when, **common)
    if verb == "start_process":
        return Step(verb, name=string(get("start_process")), target=string(get("of")), when=when, **common)
    if verb in ("notify", "send"):
        return _telling(context, folder, address, verb, node)
    return Step(verb, name=string(get("run")), values=_values(get("values")), when=when, **common)


def _telling(context: Context, folder: Folder, address: str, verb: str, node: Node) -> Step:
    """A step that tells people (``notify``) or writes to an address outside (``send``)."""
    get = node.get
    when = expression(get("when"))
    if verb == "send":
        template = context.find("message template", get("send"), folder.pack, address)
        return Step(verb, name=template, target=expression(get("to")), channel=string(get("channel")), when=when, position=node.position)
    people = get("notify")
    assert people is not None  # the schema demands it
    return Step(verb, name=context.find("message template", get("template"), folder.pack, address),
                to=tuple(addressee(context, folder, address, n) for n in people.value), subject=text(get("subject")),
                body=text(get("body")), urgent=flag(get("urgent")), when=when, position=node.position)


def addressee(context: Context, folder: Folder, address: str, node: Node) -> Who:
    """One way to find people. Those that only a case knows (initiator, chosen, heads) are refused when the steps are checked."""
    kind, inner = next(iter(node.items()))
    if kind == "role":
        return Who(kind, context.find("role", inner, folder.pack, address))
    up = node.get("up")
    return Who(kind, expression(inner) if not inner.is_map else "", up=int(up.value) if up else 0)


def _values(node: Node | None) -> Mapping[str, str]:
    return MappingProxyType({name: expression(n) for name, n in entries(node)})


Lets = dict[str, ex.Scope]


class _Walk:
    """Checks the steps of one action in order; ``lets`` grows on the way."""

    def __init__(self, context: Context, catalog: Catalog, action: Action, pack: str) -> None:
        self.context, self.catalog, self.action, self.pack = context, catalog, action, pack
        self.entity = catalog.entities[action.entity]
        self.unknown: set[str] = set()  # results of commands of plugins that are not loaded: nothing can be said about them

    def steps(self, node: Node, steps: tuple[Step, ...], lets: Lets) -> None:
        for item, step in zip(node.value, steps, strict=True):
            getattr(self, f"_{step.verb}")(item, step, lets)
            if step.verb != "if":
                self._hold(item.get("when"), lets, ex.BOOL)
            self._let(item, step, lets)

    def _let(self, node: Node, step: Step, lets: Lets) -> None:
        written = node.get("let")
        if written is None:
            return
        if step.verb == "run":
            command = self.context.plugins.commands.get(step.name)
            if command is None:
                self.unknown.add(step.let)
            lets[step.let] = values_scope(self.catalog, command.output if command else {})
        elif step.entity:
            lets[step.let] = entity_scope(self.catalog, step.entity)
        self._let_name(written)

    def _let_name(self, node: Node) -> None:
        if node.value in RESERVED_LETS or node.value in self.entity.fields:
            why = "it means something else in expressions" if node.value in RESERVED_LETS else "a field of the record is called so"
            self._report("ML-NAME-002", node.position, name=node.value, why=why)

    def _check(self, node: Node, step: Step, lets: Lets) -> None:
        self._hold(node.get("check"), lets, ex.BOOL)

    def _set(self, node: Node, step: Step, lets: Lets) -> None:
        if self.action.on == "list":
            self._report("ML-ACTION-005", node.position, verb="set")
            return
        self._assign(self.entity, node.get("set"), lambda n, kind: self._hold(n, lets, kind))

    def _transition(self, node: Node, step: Step, lets: Lets) -> None:
        entity = self._moved(node, lets)
        if entity is None:
            return
        lifecycle = self.catalog.lifecycles.get(entity.address)
        known = lifecycle.transitions if lifecycle else {}
        if step.name not in known:
            written = node.get("transition")
            assert written is not None
            self._report("ML-ACTION-001", written.position, hint=_did_you_mean(step.name, known), name=step.name, entity=entity.address)

    def _start_approval(self, node: Node, step: Step, lets: Lets) -> None:
        for _, value in entries(node.get("chosen")):
            self._hold(value, lets, None)
        entity = self._moved(node, lets, "start_approval")
        if entity is None:
            return
        chain = self.catalog.chains.get(f"{entity.address}/{step.name}")
        if chain is None:
            known = [c.name for c in self.catalog.chains_of(entity.address)]
            written = node.value["start_approval"]
            self._report("ML-CHAIN-001", written.position, hint=_did_you_mean(step.name, known), entity=entity.address, name=step.name)
            return
        asked = {s.name for s in chain.every_step() if isinstance(s, Decide) and any(w.kind == "chosen" for w in s.who)}
        for name, value in entries(node.get("chosen")):
            if name not in asked:
                self._report("ML-CHAIN-002", value.key, hint=_did_you_mean(name, asked), step=name, chain=chain.address)

    def _start_process(self, node: Node, step: Step, lets: Lets) -> None:
        entity = self._moved(node, lets, "start_process")
        if entity is not None and f"{entity.address}/{step.name}" not in self.catalog.processes:
            known = [p.name for p in self.catalog.processes_of(entity.address)]
            written = node.value["start_process"]
            self._report("ML-PROC-017", written.position, hint=_did_you_mean(step.name, known), entity=entity.address, name=step.name)

    def _moved(self, node: Node, lets: Lets, verb: str = "transition") -> Entity | None:
        """The entity whose record a transition moves, or an approval is about."""
        of = node.get("of")
        if of is None:
            if self.action.on == "list":
                self._report("ML-ACTION-005", node.position, verb=verb)
                return None
            return self.entity
        checked = self._hold(of, lets, None)
        target = checked.type.target if checked and checked.type.kind == "record" else None
        if checked is not None and (target is None or target not in self.catalog.entities):
            self._report("ML-ACTION-002", of.position, name=of.value)
        return self.catalog.entities.get(target) if target else None

    def _create(self, node: Node, step: Step, lets: Lets) -> None:
        target = self.catalog.entities.get(step.entity)
        if target is None:
            return
        self._no_engine(target, node, "create")
        self._assign(target, node.get("values"), lambda n, kind: self._hold(n, lets, kind))
        missing = [f.name for f in target.fields.values() if f.required and not f.default and not f.computed and f.name not in step.values
                   and f.type not in (FieldType.AUTO_NUMBER, FieldType.STATE, FieldType.CHILD) and not _filled(target, f, step.values)]
        if missing:
            self._report("ML-ACTION-003", node.position, entity=target.address, fields=", ".join(missing))

    def _get(self, node: Node, step: Step, lets: Lets) -> None:
        self._where(node, step, lets)

    def _update(self, node: Node, step: Step, lets: Lets) -> None:
        target = self.catalog.entities.get(step.entity)
        if target is None:
            return
        self._no_engine(target, node, "update")
        if target.append_only:
            self._report("ML-ACTION-006", node.position, entity=target.address)
        scope = self._where(node, step, lets)
        if scope is not None:
            self._assign(target, node.get("set"), lambda n, kind: self._hold_in(scope, n, kind, SERVER))

    def _where(self, node: Node, step: Step, lets: Lets) -> ex.Scope | None:
        if not step.entity:
            return None
        scope = where_scope(self.catalog, step.entity, self._prefixed(lets))
        self._hold_in(scope, node.get("where"), ex.BOOL, QUERY)
        return scope

    def _for_each(self, node: Node, step: Step, lets: Lets) -> None:
        over, name = node.get("for_each"), node.get("as")
        assert over is not None and name is not None
        child = self.entity.fields.get(step.over.removeprefix("record."))
        if child is None or child.type is not FieldType.CHILD or child.entity not in self.catalog.entities:
            near = [f.name for f in self.entity.fields.values() if f.type is FieldType.CHILD]
            self._report("ML-ACTION-004", over.position, hint=_did_you_mean(step.over, near), name=step.over, entity=self.entity.address)
            return
        self._let_name(name)
        inner = node.get("steps")
        assert inner is not None
        self.steps(inner, step.steps, {**lets, step.let: entity_scope(self.catalog, child.entity)})

    def _if(self, node: Node, step: Step, lets: Lets) -> None:
        self._hold(node.get("if"), lets, ex.BOOL)
        for key, steps in (("steps", step.steps), ("otherwise", step.otherwise)):
            inner = node.get(key)
            if inner is not None:
                self.steps(inner, steps, dict(lets))

    def _run(self, node: Node, step: Step, lets: Lets) -> None:
        name = node.get("run")
        assert name is not None
        command = self.context.plugins.commands.get(step.name)
        if command is None:
            if self.context.plugins.complete:
                self._report("ML-REF-001", name.position, hint=_did_you_mean(step.name, self.context.plugins.commands), what="plugin command", name=step.name)
            for _, value in entries(node.get("values")):
                self._hold(value, lets, None)
            return
        for key, value in entries(node.get("values")):
            field = command.input.get(key)
            if field is None:
                self._report("ML-ACTION-007", value.key, hint=_did_you_mean(key, command.input), name=key, command=step.name)
            self._hold(value, lets, field_type(self.catalog, None, field) if field else None)
        missing = [f.name for f in command.input.values() if f.required and not f.default and f.name not in step.values]
        if missing:
            self._report("ML-ACTION-008", name.position, command=step.name, fields=", ".join(missing))

    def _notify(self, node: Node, step: Step, lets: Lets) -> None:
        if node.get("template") is None and step.subject is None:
            self._report("ML-MSG-007", node.position)
        people = node.get("notify")
        assert people is not None
        for item, who in zip(people.value, step.to, strict=True):
            inner = item.get(who.kind)
            if who.kind in ("initiator", "chosen", "heads") or who.value == "initiator_unit":
                self._report("ML-MSG-009", item.position, who=who.kind)
            elif who.kind in ("field", "head_of") and self.action.on == "list":
                self._report("ML-ACTION-005", item.position, verb="notify")
            elif who.kind in ("field", "expression"):
                checked = self._hold(inner, lets, None)
                if checked is not None and checked.type.target != USER:
                    self._report("ML-MSG-008", inner.position, path=who.value)

    def _send(self, node: Node, step: Step, lets: Lets) -> None:
        to = node.get("to")
        assert to is not None
        checked = self._hold(to, lets, None)
        if checked is not None and checked.type.kind not in ("text", "record"):
            self._report("ML-EXPR-003", to.position, detail="an address is text, or a record that has one")

    def _no_engine(self, target: Entity, node: Node, verb: str) -> None:
        if target.storage == "engine":
            self._report("ML-ACTION-009", node.position, entity=target.address, verb=verb)

    def _assign(self, target: Entity, values: Node | None, hold_value: Callable[[Node, ex.Type | None], object]) -> None:
        """Every value must belong to a field that may be written, and have its type."""
        for name, node in entries(values):
            field = target.fields.get(name)
            if field is None and not self._owner(target, name):
                self._report("ML-REF-002", node.key, hint=_did_you_mean(name, target.fields), path=name, entity=target.address)
                hold_value(node, None)
                continue
            why = _not_writable(field) if field else ""
            if why:
                self._report("ML-ACTION-010", node.key, field=name, entity=target.address, why=why)
            scope = entity_scope(self.catalog, target.address)
            hold_value(node, field_type(self.catalog, target, field) if field else scope.fields.get(name))

    @staticmethod
    def _owner(target: Entity, name: str) -> bool:
        return {"owner": "user"}.get(name, name) in target.ownership.owned_by

    def _prefixed(self, lets: Lets) -> dict[str, ex.Scope]:
        return prefixed_scopes(self.catalog, self.action, lets)

    def _hold(self, node: Node | None, lets: Lets, expected: ex.Type | None) -> ex.Checked | None:
        return self._hold_in(action_scope(self.catalog, self.action, lets), node, expected, SERVER)

    def _hold_in(self, scope: ex.Scope, node: Node | None, expected: ex.Type | None, targets: frozenset[str]) -> ex.Checked | None:
        if node is None or any(re.search(rf"\b{name}\b", str(node.value)) for name in self.unknown):
            return None
        return hold(self.catalog, node, self.action.address, scope, expected, targets, self.context.report)

    def _report(self, code: str, position: Position, *, hint: str = "", **slots: object) -> None:
        self.context.report(finding(code, position, address=self.action.address, hint=hint, **slots))


def _not_writable(field: Field) -> str:
    if field.type is FieldType.STATE:
        return "a state moves by transitions only"
    if field.type is FieldType.CHILD:
        return "child rows are created one by one"
    if field.computed:
        return "it is computed"
    if field.type is FieldType.AUTO_NUMBER:
        return "its number series gives it"
    return ""


def _filled(target: Entity, field: Field, values: Mapping[str, str]) -> bool:
    """Whether a value given to another field fills this one."""
    return any(field.name in other.fill and other.name in values for other in target.fields.values())
