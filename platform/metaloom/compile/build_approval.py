"""Effective document → ApprovalChain. Its expressions and the steps of its results are queued for the check."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from metaloom import expression as ex
from metaloom.compile.build_action import build_steps, check_steps
from metaloom.compile.build_entity import build_field
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import hold
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import USER, chain_scope, entity_scope, values_scope
from metaloom.model import (
    Action,
    Allowed,
    ApprovalChain,
    Branch,
    Catalog,
    ChainStep,
    CopyTo,
    Decide,
    Escalation,
    Field,
    Fork,
    Limit,
    ReturnRule,
    StartRule,
    SubChain,
    WaitFor,
    Who,
)
from metaloom.model.approval import DECISIONS, HOOKS, POWERS

T = TypeVar("T")

WAKE = "wake"
_VETO = {"all": "one_rejects", "sequence": "one_rejects", "vote": "none"}


def build_chain(context: Context, folder: Folder, name: str, node: Node) -> ApprovalChain:
    """One chain of an entity folder."""
    build = _Builder(context, folder, f"{folder.address}/{name}")
    chain = ApprovalChain(
        address=build.address, entity=folder.address, name=name, label=words(node.get("label")), subject=words(node.get("subject")),
        steps=build.steps(node.get("steps")), one_open=flag(node.get("one_open"), True), start=build.start(node.get("start")),
        forbid_repeat=string(_below(node, "people", "forbid_repeat"), "chain"), repeated=string(node.get("repeated"), "ask"),
        makers=strings(node.get("makers")) if node.get("makers") is not None else ("created_by",),
        allow=build.allowed(node.get("allow")), results=_frozen({r: build_steps(context, folder, f"{build.address}/{r}", n)
                                                                for r, n in entries(node.get("results"))}),
        position=node.key)
    build.chain = chain
    written = {**dict(entries(node.get("results"))), **build.hooks}
    context.later.append(partial(_check_effects, context, folder.pack, written, chain))
    return chain


class _Builder:
    """Builds the parts of one chain; ``chain`` is the finished one, for what is checked later."""

    def __init__(self, context: Context, folder: Folder, address: str) -> None:
        self.context, self.folder, self.address = context, folder, address
        self.chain: ApprovalChain | None = None
        self.hooks: dict[str, Node] = {}

    def steps(self, node: Node | None) -> Mapping[str, ChainStep]:
        return _frozen({name: self._step(name, n) for name, n in entries(node)})

    def _step(self, name: str, node: Node) -> ChainStep:
        kind = string(node.get("type"), "decide")
        if kind == "decide":
            return self._decide(name, node)
        label, when, position = words(node.get("label")), self._want(node.get("when"), name), node.key
        hooks = self._hooks(name, node)
        if kind == "sub":
            return SubChain(name=name, label=label, when=when, position=position, **hooks, chain=self._chain(node.get("chain")),
                            on=string(node.get("on"), "self"), wait=flag(node.get("wait"), True))
        if kind == "copy":
            return CopyTo(name=name, label=label, when=when, position=position, **hooks, who=self._people(node.get("who"), name))
        if kind == "wait":
            waited = node.get("for")
            condition = "" if waited is not None and waited.value == WAKE else self._want(waited, name)
            return WaitFor(name=name, label=label, when=when, position=position, **hooks, condition=condition)
        branches = {b: self._branch(name, b, n) for b, n in entries(node.get("branches"))}
        return Fork(name=name, label=label, when=when, position=position, **hooks, kind=kind, branches=_frozen(branches))

    def _branch(self, fork: str, name: str, node: Node) -> Branch:
        return Branch(name, words(node.get("label")), self.steps(node.get("steps")), self._want(node.get("when"), fork), flag(node.get("otherwise")))

    def _decide(self, name: str, node: Node) -> Decide:
        get = node.get
        mode, empty, returns = string(get("mode"), _mode_of(get("who"))), get("empty"), get("return")
        others = empty is not None and empty.is_map
        return Decide(
            name=name, label=words(get("label")), when=self._want(get("when"), name), position=node.key, **self._hooks(name, node),
            who=self._people(get("who"), name), mode=mode, share=string(get("pass")), weights=self._weights(get("weights")),
            veto=string(get("veto"), _VETO.get(mode, "one_rejects")), decisions=strings(get("decisions")) or DECISIONS,
            opinion=string(get("opinion"), "on_reject"), attachments=string(get("attachments"), "optional"),
            outputs=self._outputs(get("outputs"), name), fields=_frozen({f: string(n) for f, n in entries(get("fields"))}),
            returns=ReturnRule(strings(returns.get("to")), string(returns.get("then"), "rerun")) if returns is not None else ReturnRule(),
            may=strings(get("may")) if get("may") is not None else POWERS,
            empty="who" if others else string(empty, "admin"), empty_who=self._people(empty.get("who"), name) if empty is not None and others else (),
            initiator=string(get("initiator"), "forbid"), auto_pass=self._want(_below(node, "auto", "pass"), name),
            auto_reject=self._want(_below(node, "auto", "reject"), name), limit=self._limit(get("limit"), name),
            sign=flag(get("sign"), False), signature=string(get("signature")))

    def _hooks(self, name: str, node: Node) -> dict[str, Any]:
        """What the record undergoes at this step, as steps of an action."""
        written = {hook: n for hook in HOOKS if (n := node.get(hook)) is not None}
        self.hooks |= {f"{name}/{hook}": n for hook, n in written.items()}
        return {hook: build_steps(self.context, self.folder, f"{self._at(name)}/{hook}", n) for hook, n in written.items()}

    def _people(self, node: Node | None, step: str) -> tuple[Who, ...]:
        return tuple(self._who(n, step) for n in node.value) if node is not None else ()

    def _who(self, node: Node, step: str) -> Who:
        kind, value = next((k, v) for k, v in node.items() if k != "up")
        if kind == "role":
            return Who(kind, self.context.find("role", value, self.folder.pack, self._at(step)))
        if kind == "head_of":
            return Who(kind, string(value), up=_int(node.get("up"), 0))
        if kind == "heads":
            return Who(kind, string(value.get("of")), levels=_int(value.get("levels"), 1))
        if kind == "initiator":
            return Who(kind)
        if kind == "chosen":
            low = _int(value.get("min"), 1)
            return Who(kind, pool=self._people(value.get("from"), step), min=low, max=_int(value.get("max"), max(low, 1)))
        return Who(kind, self._want(value, step, _is_user) if kind == "expression" else string(value))

    def _weights(self, node: Node | None) -> Mapping[str, int]:
        """Roles by their address, logins as they stand."""
        roles = self.context.names["role"]
        named = {(name if "." in name else f"{self.folder.pack}.{name}"): (name, n) for name, n in entries(node)}
        return _frozen({full if full in roles else name: int(n.value) for full, (name, n) in named.items()})

    def _outputs(self, node: Node | None, step: str) -> Mapping[str, Field]:
        built: dict[str, Field] = {}
        for name, n in entries(node):
            built[name] = build_field(self.context, self.folder.pack, f"{self._at(step)}/outputs/{name}", name, n, partial(self._output_scope, built))
        return _frozen(built)

    def _output_scope(self, outputs: Mapping[str, Field], catalog: Catalog) -> ex.Scope:
        """Conditions of an output see its siblings bare, like the inputs of an action."""
        siblings, around = values_scope(catalog, outputs), self._scope(catalog)
        return ex.Scope({**around.fields, **siblings.fields}, {**around.links, **siblings.links}, around.children, around.user)

    def _limit(self, node: Node | None, step: str) -> Limit | None:
        if node is None:
            return None
        then = node.get("then")
        return Limit(string(node.get("within")), tuple(self._escalation(n, step) for n in then.value) if then is not None else ())

    def _escalation(self, node: Node, step: str) -> Escalation:
        to = node.get("to")
        superior = to is not None and to.value == "superior"
        return Escalation(string(node.get("after")), string(node.get("do")), () if superior else self._people(to, step), superior)

    def _chain(self, node: Node | None) -> str:
        """The address of a chain: a bare name is one of this entity, a bare entity one of this pack."""
        if node is None:
            return ""
        entity, slash, name = str(node.value).rpartition("/")
        address = self.folder.address if not slash else entity if "." in entity else f"{self.folder.pack}.{entity}"
        return f"{address}/{name}"

    def start(self, node: Node | None) -> StartRule | None:
        if node is None:
            return None
        return StartRule(self._roles(node.get("roles")), self._want(node.get("when"), "", scope=lambda c: entity_scope(c, self.folder.address)),
                         text(node.get("message")))

    def allowed(self, node: Node | None) -> Allowed:
        if node is None:
            return Allowed()
        return Allowed(string(node.get("withdraw"), "before_decision"), flag(node.get("take_back"), True), self._roles(node.get("terminate")),
                       flag(node.get("urge"), True))

    def _roles(self, node: Node | None) -> tuple[str, ...]:
        named = node.value if node is not None else ()
        return tuple(filter(None, (self.context.find("role", n, self.folder.pack, self.address) for n in named)))

    def _want(self, node: Node | None, step: str, expected: ex.Type | Callable[[ex.Type], bool] | None = ex.BOOL,
              scope: Callable[[Catalog], ex.Scope] | None = None) -> str:
        """The expression at ``node``; checked later against the record, ``case`` and the outputs of earlier steps."""
        if node is not None:
            self.context.later.append(partial(self._hold, node, step, expected, scope or self._scope))
        return expression(node)

    def _hold(self, node: Node, step: str, expected: ex.Type | Callable[[ex.Type], bool] | None,
              scope: Callable[[Catalog], ex.Scope], catalog: Catalog) -> None:
        wanted = None if callable(expected) else expected
        checked = hold(catalog, node, self._at(step), scope(catalog), wanted, frozenset({ex.PYTHON}), self.context.report)
        if checked is not None and callable(expected) and not expected(checked.type):
            self.context.report(finding("ML-CHAIN-015", node.position, address=self._at(step), found=checked.type))
        assert self.chain is not None
        before = self.chain.before(step)
        for name in outputs_named(expression(node)):
            if name not in before and any(s.name == name for s in self.chain.every_step()):
                self.context.report(finding("ML-CHAIN-008", node.position, address=self._at(step), step=name))

    def _scope(self, catalog: Catalog) -> ex.Scope:
        assert self.chain is not None
        return chain_scope(catalog, self.chain)

    def _at(self, step: str) -> str:
        return f"{self.address}/{step}" if step else self.address


def outputs_named(text: str) -> set[str]:
    """The steps whose outputs an expression speaks of."""
    return set(re.findall(r"\boutput\.([a-z][a-z0-9_]*)", text))


def _mode_of(who: Node | None) -> str:
    """Heads decide one after another where nothing else is said."""
    heads = who is not None and any(n.get("heads") is not None for n in who.value)
    return "sequence" if heads else "any"


def _is_user(kind: ex.Type) -> bool:
    one = kind.of if kind.kind == "multi" and kind.of is not None else kind
    return one.kind == "record" and one.target in (USER, None)


def _check_effects(context: Context, pack: str, written: Mapping[str, Node], chain: ApprovalChain, catalog: Catalog) -> None:
    """Effects are steps of an action on the record that knows ``case`` and ``output`` as well."""
    for name in chain.effects:
        check_steps(context, catalog, effect_action(chain, name), written[name], pack, chain_names(catalog, chain))
        step, _, hook = name.partition("/")
        known = {s.name for s in chain.every_step()} if hook else set()
        decided = chain.before(step) | {step} if hook == "passed" else chain.before(step)
        for node in _texts(written[name]) if known else ():
            for later in sorted((outputs_named(str(node.value)) & known) - decided):
                context.report(finding("ML-CHAIN-008", node.position, address=f"{chain.address}/{name}", step=later))


def _texts(node: Node) -> Iterator[Node]:
    """Every text at or under a node."""
    if not (node.is_map or node.is_list):
        yield node
    for inner in node.value if node.is_list else [value for _, value in node.items()] if node.is_map else ():
        yield from _texts(inner)


def effect_action(chain: ApprovalChain, name: str) -> Action:
    """The effect ``name`` of a chain as the action that it is; its steps also know ``chain_names``."""
    return Action(f"{chain.address}/{name}", chain.entity, name, chain.label, steps=chain.effects.get(name, ()), position=chain.position)


def chain_names(catalog: Catalog, chain: ApprovalChain) -> dict[str, ex.Scope]:
    """``case`` and ``output`` as lets of the steps of results."""
    scope = chain_scope(catalog, chain)
    return {name: scope.links[name]() for name in ("case", "output")}


def _below(node: Node, *path: str) -> Node | None:
    inner: Node | None = node
    for name in path:
        inner = inner.get(name) if inner is not None else None
    return inner


def _int(node: Node | None, default: int) -> int:
    return default if node is None else int(node.value)


def _frozen(values: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(values))
