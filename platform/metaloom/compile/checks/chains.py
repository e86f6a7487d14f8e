"""Approval chains: every step can be reached and decided by somebody, every way ends, and four eyes stay four."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from metaloom.base.position import NOWHERE, Position
from metaloom.compile.build_action import _not_writable
from metaloom.compile.build_approval import _mode_of
from metaloom.compile.checks.look import check_path, follow, say, spot
from metaloom.compile.context import Context, entries, string
from metaloom.compile.node import Node, child
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import USER, implicit_links, target_of
from metaloom.model import ApprovalChain, Branch, Catalog, Decide, Entity, Fork, Step, SubChain
from metaloom.model.approval import HOOKS

_COMMON = frozenset({"type", "label", "when", *HOOKS})
_KEYS: Mapping[str, frozenset[str]] = {
    "decide": _COMMON | {"who", "mode", "pass", "weights", "veto", "decisions", "opinion", "attachments", "sign", "signature", "outputs", "fields", "return",
                         "may", "empty", "initiator", "auto", "limit"},
    "branch": _COMMON | {"branches"}, "parallel": _COMMON | {"branches"}, "inclusive": _COMMON | {"branches"},
    "sub": _COMMON | {"chain", "on", "wait"}, "copy": _COMMON | {"who"}, "wait": _COMMON | {"for"},
}
_NEEDS = {"decide": "who", "branch": "branches", "parallel": "branches", "inclusive": "branches", "sub": "chain", "copy": "who", "wait": "for"}
_MODE_KEYS = {"pass": ("vote",), "weights": ("vote",), "veto": ("all", "sequence", "vote")}
_VETO_CURE = {"all": ("none", "write one_rejects or rest_continue"), "sequence": ("none", "write one_rejects or rest_continue"),
              "vote": ("rest_continue", "write none or one_rejects")}
_PLACES = frozenset({"initiator", "previous", "any", "end", "self", "case", "output"})


def steps_are_whole(catalog: Catalog, context: Context) -> None:
    """Each key fits the type of its step, and what the type needs is there; names are unique and mean nothing else."""
    for chain in catalog.chains.values():
        seen: set[str] = set()
        for name, node in _written(context, chain):
            at = f"{chain.address}/{name}"
            if name in seen:
                say(context, "ML-CHAIN-005", node.key, at, step=name)
            if name in _PLACES:
                say(context, "ML-NAME-002", node.key, at, name=name, why="a record is sent to places of this name")
            seen.add(name)
            _keys_fit(context, node, at)


def _keys_fit(context: Context, node: Node, at: str) -> None:
    kind, mode = string(node.get("type"), "decide"), string(node.get("mode"), _mode_of(node.get("who")))
    for key, value in node.items():
        if key not in _KEYS[kind]:
            say(context, "ML-CHAIN-003", value.key, at, key=key, type=kind, hint=_did_you_mean(key, _KEYS[kind]))
        elif mode not in _MODE_KEYS.get(key, (mode,)):
            say(context, "ML-CHAIN-003", value.key, at, key=key, type=f"{kind}, mode {mode}")
    needed = "pass" if mode == "vote" and node.get("who") is not None else _NEEDS[kind]
    if node.get(needed) is None:
        say(context, "ML-CHAIN-004", node.key, at, type=f"{kind}, mode {mode}" if needed == "pass" else kind, key=needed)
    wrong, cure = _VETO_CURE.get(mode, ("", ""))
    if (veto := node.get("veto")) is not None and veto.value == wrong:
        say(context, "ML-CHAIN-014", veto.position, at, key="veto", value=wrong, mode=f"mode {mode}", cure=cure)


def forks_go_somewhere(catalog: Catalog, context: Context) -> None:
    """Exclusive forks say what happens otherwise; no branch is dead by its condition alone."""
    for chain in catalog.chains.values():
        for fork in (s for s in chain.every_step() if isinstance(s, Fork)):
            written = _node(context, chain, fork.name)
            for branch in fork.inner:
                where = _key(written, "branches", branch.name)
                _branch_fits(context, fork, branch, where, f"{chain.address}/{fork.name}")
            if fork.kind == "branch" and not any(b.otherwise or b.when == "true" for b in fork.inner):
                say(context, "ML-CHAIN-007", fork.position, f"{chain.address}/{fork.name}")
            _branches_differ(context, chain, fork, written)


def _branch_fits(context: Context, fork: Fork, branch: Branch, where: Position, at: str) -> None:
    if fork.kind == "parallel":
        for key in ("when", "otherwise"):
            if branch.when and key == "when" or branch.otherwise and key == "otherwise":
                say(context, "ML-CHAIN-003", where, at, key=key, type="parallel")
    elif branch.when and branch.otherwise:
        say(context, "ML-CHAIN-003", where, at, key="when", type=f"{fork.kind}, with otherwise: true")
    elif not branch.when and not branch.otherwise:
        say(context, "ML-CHAIN-004", where, at, type=fork.kind, key=f"branches/{branch.name}/when")


def _branches_differ(context: Context, chain: ApprovalChain, fork: Fork, written: Node | None) -> None:
    seen: dict[str, str] = {}
    for branch in fork.inner:
        where, at = _key(written, "branches", branch.name), f"{chain.address}/{fork.name}"
        why = _why_dead(fork, branch, seen)
        if why:
            say(context, "ML-CHAIN-006", where, at, branch=branch.name, why=why)
        if branch.otherwise and "" in seen:
            say(context, "ML-CHAIN-021", where, at, name=seen[""])
        if branch.when or branch.otherwise:
            seen.setdefault("" if branch.otherwise else branch.when, branch.name)


def _why_dead(fork: Fork, branch: Branch, seen: Mapping[str, str]) -> str:
    if branch.when == "false":
        return "its condition is false"
    if fork.kind == "branch" and branch.when in seen and branch.when:
        return f"{seen[branch.when]} has the same condition and comes first"
    if fork.kind == "branch" and "true" in seen:
        return f"{seen['true']} is always taken"
    return ""


def deciders_exist(catalog: Catalog, context: Context) -> None:
    """Fields hold users, roles may read the record, and who picks can pick."""
    for chain in catalog.chains.values():
        entity = catalog.entities[chain.entity]
        readers = {g.role for g in catalog.grants.get(chain.entity, ()) if "read" in g.actions}
        if not any(isinstance(s, Decide) or isinstance(s, SubChain) and s.wait for s in chain.every_step()):
            say(context, "ML-CHAIN-019", chain.position, chain.address)
        for name, node in _written(context, chain):
            decides = string(node.get("type"), "decide") == "decide"
            for who in _ways(node):
                _way_leads(catalog, context, entity, who, f"{chain.address}/{name}", readers if decides else None)


def _way_leads(catalog: Catalog, context: Context, entity: Entity, who: Node, at: str, readers: set[str] | None) -> None:
    if (path := who.get("field")) is not None:
        _is_person(catalog, context, entity, path, at)
    if (role := who.get("role")) is not None and readers is not None:
        full = str(role.value) if "." in str(role.value) else f"{entity.pack}.{role.value}"
        if full in catalog.roles and full not in readers:
            say(context, "ML-CHAIN-009", role.position, at, why=f"no grant lets the role {role.value} read {entity.address}")
    if (chosen := who.get("chosen")) is not None:
        low, high = chosen.get("min"), chosen.get("max")
        if low is not None and high is not None and low.value > high.value:
            say(context, "ML-CHAIN-018", low.position, at, low=low.value, high=high.value)


def _is_person(catalog: Catalog, context: Context, entity: Entity, path: Node, at: str) -> None:
    name = str(path.value)
    field = check_path(context, catalog, entity, name, path.position, at)
    holder, _, wrong = follow(catalog, entity, name)
    target = target_of(field) if field else implicit_links(holder).get(name.rpartition(".")[2], "")
    if not wrong and target != USER:
        say(context, "ML-CHAIN-015", path.position, at, found=field.type if field else name)


def makers_are_people(catalog: Catalog, context: Context) -> None:
    """Makers are users that the record names, and who last changed it is none: a decision changes it, too."""
    for chain in catalog.chains.values():
        makers = _chain_node(context, chain).get("makers")
        for path in makers.value if makers is not None else ():
            if str(path.value).rpartition(".")[2] == "updated_by":
                say(context, "ML-CHAIN-023", path.position, chain.address, path=path.value)
            else:
                _is_person(catalog, context, catalog.entities[chain.entity], path, chain.address)


def returns_go_back(catalog: Catalog, context: Context) -> None:
    """A record is sent back to steps that can have been before, and where somebody decides."""
    for chain in catalog.chains.values():
        known = {s.name: s for s in chain.every_step()}
        for step in known.values():
            if not isinstance(step, Decide):
                continue
            before = [n for n in chain.before(step.name) if isinstance(known[n], Decide)]
            for name in step.returns.to:
                if name not in ("initiator", "previous", "any", "end") and name not in before:
                    where = _key(_node(context, chain, step.name), "return", "to", name)
                    say(context, "ML-CHAIN-010", where, f"{chain.address}/{step.name}", step=name, here=step.name,
                        known=", ".join(n for n in known if n in before) or "initiator", hint=_did_you_mean(name, before))


def votes_and_limits_count(catalog: Catalog, context: Context) -> None:
    """A vote can be won; escalations stand in the order of time and say to whom."""
    for chain in catalog.chains.values():
        for name, node in _written(context, chain):
            at, share = f"{chain.address}/{name}", node.get("pass")
            if share is not None and not _reachable(str(share.value)):
                say(context, "ML-CHAIN-011", share.position, at, found=share.value)
            then = _below(node, "limit", "then")
            if then is not None:
                _in_time(context, then.value, at)
                for escalation in then.value:
                    _goes_to_somebody(context, escalation, at)


def _reachable(share: str) -> bool:
    top, slash, bottom = share.partition("/")
    if slash:
        return int(bottom) > 0 and 0 < Fraction(int(top), int(bottom)) <= 1
    return int(top) > 0


def _in_time(context: Context, escalations: Iterable[Node], at: str) -> None:
    last: dict[str, int] = {}
    for node in escalations:
        after = node.value["after"]
        number, _, unit = str(after.value).partition(" ")
        if int(number) < last.get(unit, 0):
            say(context, "ML-CHAIN-012", after.position, at, later=f"{last[unit]} {unit}", earlier=after.value)
        last[unit] = int(number)


def _goes_to_somebody(context: Context, node: Node, at: str) -> None:
    do, to = string(node.get("do")), node.get("to")
    if do == "transfer" and to is None:
        say(context, "ML-CHAIN-004", node.position, at, type="escalation, do transfer", key="to")
    if to is not None and do not in ("transfer", "remind"):
        say(context, "ML-CHAIN-003", to.key, at, key="to", type=f"escalation, do {do}")


def sub_chains_exist(catalog: Catalog, context: Context) -> None:
    """A sub-step names a chain of the entity its link leads to; chains do not start each other without end."""
    for chain in catalog.chains.values():
        for step in (s for s in chain.every_step() if isinstance(s, SubChain) and s.chain):
            _sub_fits(catalog, context, chain, step)
        circle = _circle(catalog, chain)
        if circle:
            say(context, "ML-CHAIN-013", chain.position, chain.address, cycle=" → ".join(circle))


def _sub_fits(catalog: Catalog, context: Context, chain: ApprovalChain, step: SubChain) -> None:
    at, where = f"{chain.address}/{step.name}", _key(_node(context, chain, step.name), "chain")
    entity, _, name = step.chain.partition("/")
    if step.chain not in catalog.chains:
        say(context, "ML-CHAIN-001", where, at, entity=entity, name=name, hint=_did_you_mean(step.chain, catalog.chains))
        return
    about = chain.entity
    if step.on != "self":
        holder, field, wrong = follow(catalog, catalog.entities[chain.entity], step.on)
        about = "" if wrong else target_of(field) if field else implicit_links(holder).get(step.on.rpartition(".")[2], "")
    if about != entity:
        say(context, "ML-CHAIN-022", _key(_node(context, chain, step.name), "on"), at, path=step.on, entity=chain.entity, chain=step.chain)


def _circle(catalog: Catalog, start: ApprovalChain) -> list[str]:
    def walk(address: str, seen: tuple[str, ...]) -> list[str]:
        if address in seen:
            return [*seen, address] if address == start.address else []
        chain = catalog.chains.get(address)
        subs = [s.chain for s in chain.every_step() if isinstance(s, SubChain)] if chain else []
        return next((found for sub in subs if (found := walk(sub, (*seen, address)))), [])
    return walk(start.address, ())


def step_fields_fit(catalog: Catalog, context: Context) -> None:
    """Rights of a step name fields, and let nobody write what only the engine writes."""
    for chain in catalog.chains.values():
        entity = catalog.entities[chain.entity]
        for step in (s for s in chain.every_step() if isinstance(s, Decide)):
            for name, right in step.fields.items():
                where, at = _key(_node(context, chain, step.name), "fields", name), f"{chain.address}/{step.name}"
                field = entity.fields.get(name)
                if field is None:
                    say(context, "ML-REF-002", where, at, path=name, entity=entity.address, hint=_did_you_mean(name, entity.fields))
                elif right in ("write", "required") and (why := _not_writable(field)):
                    say(context, "ML-CHAIN-017", where, at, field=name, right=right, why=why)


def protected_records_keep_four_eyes(catalog: Catalog, context: Context) -> None:
    """On a locked entity nobody approves alone, himself, or by waiting (reliability §2, 27)."""
    for chain in catalog.chains.values():
        entity = catalog.entities[chain.entity]
        pack = catalog.packs.get(entity.pack)
        if not entity.locked and not (pack and pack.locked):
            continue
        if chain.forbid_repeat == "none":
            where = spot(context, chain.entity, "approval", chain.name, "people", "forbid_repeat")
            say(context, "ML-CHAIN-016", where, chain.address, key="forbid_repeat", value="none", entity=chain.entity, cure="write chain or step")
        if "created_by" not in chain.makers:
            where, named = spot(context, chain.entity, "approval", chain.name, "makers"), f"[{', '.join(chain.makers)}]"
            say(context, "ML-CHAIN-016", where, chain.address, key="makers", value=named, entity=chain.entity, cure="let created_by be one of them")
        for step in (s for s in chain.every_step() if isinstance(s, Decide)):
            _keeps_four_eyes(context, chain, step)


def _keeps_four_eyes(context: Context, chain: ApprovalChain, step: Decide) -> None:
    node, at = _node(context, chain, step.name), f"{chain.address}/{step.name}"

    def refuse(key: str, value: str, cure: str, *path: str) -> None:
        say(context, "ML-CHAIN-016", _key(node, *path), at, key=key, value=value, entity=chain.entity, cure=cure)

    if step.initiator in ("allow", "skip"):
        refuse("initiator", step.initiator, "write forbid or superior", "initiator")
    if step.empty == "skip":
        refuse("empty", "skip", "write admin", "empty")
    for escalation in step.limit.then if step.limit else ():
        if escalation.do == "pass":
            refuse("do", "pass", "remind, transfer or call the administrators", "limit", "then")


def chains_are_started(catalog: Catalog, context: Context) -> None:
    """A chain that nothing starts is dead; without the plugins nothing can be said."""
    if not context.plugins.complete:
        return
    started = {name for action in catalog.actions.values() for name in _started(action.entity, action.steps)}
    started |= {name for chain in catalog.chains.values() for steps in chain.effects.values() for name in _started(chain.entity, steps)}
    started |= {name for process in catalog.processes.values() for steps in process.every_steps() for name in _started(process.entity, steps)}
    started |= {s.chain for chain in catalog.chains.values() for s in chain.every_step() if isinstance(s, SubChain)}
    for chain in catalog.chains.values():
        if chain.start is None and chain.address not in started and f"*/{chain.name}" not in started:
            say(context, "ML-CHAIN-020", chain.position, chain.address)


def _started(entity: str, steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        if step.verb == "start_approval":
            yield f"*/{step.name}" if step.target else f"{entity}/{step.name}"
        yield from _started(entity, (*step.steps, *step.otherwise))


# -- where things are written ------------------------------------------------------------------------------------------


def _written(context: Context, chain: ApprovalChain) -> Iterator[tuple[str, Node]]:
    """Every step as written, nested ones too."""
    return _steps(_chain_node(context, chain).get("steps"))


def _chain_node(context: Context, chain: ApprovalChain) -> Node:
    node: Node = context.effective.entities[chain.entity].kinds["approval"].value[chain.name]
    return node


def _steps(node: Node | None) -> Iterator[tuple[str, Node]]:
    for name, step in entries(node):
        yield name, step
        for _, branch in entries(step.get("branches")):
            yield from _steps(branch.get("steps"))


def _node(context: Context, chain: ApprovalChain, step: str) -> Node | None:
    return next((node for name, node in _written(context, chain) if name == step), None)


def _key(node: Node | None, *path: str) -> Position:
    """Position of the name at ``path`` below ``node``, or of the nearest above it."""
    where = node.key if node is not None else NOWHERE
    for segment in path:
        node = child(node, segment) if node is not None else None
        if node is None:
            break
        where = node.key
    return where


def _ways(step: Node) -> Iterator[Node]:
    """Every way to find people that a step speaks of."""
    for written in (step.get("who"), _below(step, "empty", "who")):
        yield from _flat(written)
    then = _below(step, "limit", "then")
    for escalation in then.value if then is not None else ():
        yield from _flat(escalation.get("to"))


def _flat(node: Node | None) -> Iterator[Node]:
    for way in node.value if node is not None and node.is_list else ():
        yield way
        yield from _flat(_below(way, "chosen", "from"))


def _below(node: Node, *path: str) -> Node | None:
    inner: Node | None = node
    for name in path:
        inner = inner.get(name) if inner is not None else None
    return inner
