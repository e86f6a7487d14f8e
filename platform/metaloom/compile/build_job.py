"""Effective document → Job with its steps."""

from __future__ import annotations

import re
from types import MappingProxyType

from metaloom import expression as ex
from metaloom.compile.build_action import addressee
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import QUERY, SERVER, hold, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import USER, USER_NAMES, entity_scope, field_type
from metaloom.expression import Scope
from metaloom.model import Catalog, Field, Job, JobStep, Who

COMPANY = "platform.company"
FACTS = ("done", "failed", "day")
MOST_DAYS = 7
"""A company's date that lags behind by more than a week is moved by a person, who knows why."""
_SLOT = re.compile(r"\{([^{}]*)\}")


def build_job(context: Context, folder: Folder, name: str, node: Node) -> Job:
    """A job; its conditions and inputs are queued for the check."""
    address = f"{folder.pack}.{name}"
    schedule, steps = node.get("schedule"), node.get("steps")
    by_day = schedule is not None and schedule.get("business_date") is not None
    assert steps is not None  # the schema demands it
    return Job(
        address=address, label=words(node.get("label")), help=text(node.get("help")),
        steps=tuple(_step(context, folder, f"{address}/steps/{i}", n) for i, n in enumerate(steps.value)),
        cron=string(schedule.get("cron")).strip() if schedule is not None else "", business_date=by_day,
        per=string(node.get("per"), "company" if by_day else "tenant"), catch_up=string(node.get("catch_up"), "one_by_one"),
        run_as=context.find("role", node.get("run_as"), folder.pack, address),
        paused=flag(schedule.get("paused")) if schedule is not None else False, position=node.key)


def _step(context: Context, folder: Folder, address: str, node: Node) -> JobStep:
    if node.get("action") is not None:
        return _action(context, folder, address, node)
    if node.get("run") is not None:
        return _run(context, address, node)
    if node.get("mass") is not None:
        return _mass(context, address, node)
    if node.get("notify") is not None:
        return _notify(context, folder, address, node)
    if node.get("hold") is not None:
        return JobStep("hold", names=strings(node.get("hold")), to=_roles(context, folder, address, node.get("tell")), position=node.position)
    if node.get("close_months") is not None:
        return _close_months(context, folder, address, node)
    moves = node.get("move_business_date")
    if moves is not None:
        most = moves.get("most")
        return JobStep("move_business_date", most=int(most.value) if most else MOST_DAYS, to=_roles(context, folder, address, node.get("tell")),
                       position=node.position)
    rules = node.get("evaluate_warnings")
    assert rules is not None
    names = tuple(name if "." in name.partition("/")[0] else f"{folder.pack}.{name}" for name in strings(rules))
    return JobStep("evaluate_warnings", names=names, position=node.position)


def _action(context: Context, folder: Folder, address: str, node: Node) -> JobStep:
    written = node.get("action")
    assert written is not None
    entity, _, name = str(written.value).partition("/")
    target = context.find("entity", Node(entity, written.key, written.position, written.layer), folder.pack, address)
    step = JobStep("action", target, name, expression(node.get("where")), _values(node.get("values")), position=node.position)
    if target:
        want(context, node.get("where"), address, lambda catalog: entity_scope(catalog, target), targets=QUERY)
        context.later.append(lambda catalog: _inputs_fit(context, catalog, address, node, _asked(catalog, context, step), entity_scope(catalog, target)))
    return step


def _run(context: Context, address: str, node: Node) -> JobStep:
    name = string(node.get("run"))
    declared = context.plugins.commands.get(name)
    context.later.append(lambda catalog: _inputs_fit(context, catalog, address, node, declared.input if declared else None, Scope(user=USER_NAMES)))
    return JobStep("run", name=name, values=_values(node.get("values")), position=node.position)


def _mass(context: Context, address: str, node: Node) -> JobStep:
    name = string(node.get("mass"))
    known = context.plugins.mass.get(name)
    if known is not None:
        want(context, node.get("where"), address, lambda catalog: entity_scope(catalog, known.on) if known.on in catalog.entities else Scope(), targets=QUERY)
    return JobStep("mass", known.on if known is not None else "", name, expression(node.get("where")), position=node.position)


def _notify(context: Context, folder: Folder, address: str, node: Node) -> JobStep:
    inner = node.get("notify")
    assert inner is not None
    roles, people, of = inner.get("roles"), inner.get("to"), inner.get("of")
    target = context.find("entity", of, folder.pack, address) if of is not None else ""
    to = (*(Who("role", found) for n in (roles.value if roles else ()) if (found := context.find("role", n, folder.pack, address))),
          *(addressee(context, folder, address, n) for n in (people.value if people else ())))
    if target:
        want(context, inner.get("where"), address, lambda catalog: entity_scope(catalog, target), targets=QUERY)
        context.later.append(lambda catalog: _people_of_record(context, catalog, address, target, people))
    elif of is None:
        _facts_only(context, address, inner)
    return JobStep(
        "notify", target, context.find("message template", inner.get("template"), folder.pack, address), expression(inner.get("where")),
        subject=text(inner.get("subject")), body=text(inner.get("body")), when=string(inner.get("when"), "always"), to=to,
        channels=strings(inner.get("channels")), urgent=flag(inner.get("urgent")), position=node.position)


def _close_months(context: Context, folder: Folder, address: str, node: Node) -> JobStep:
    inner = node.get("close_months")
    assert inner is not None
    want(context, inner.get("automatic"), address, lambda catalog: entity_scope(catalog, COMPANY) if COMPANY in catalog.entities else Scope(), targets=SERVER)
    return JobStep("close_months", where=expression(inner.get("automatic")), to=_roles(context, folder, address, inner.get("offer_to")), position=node.position)


def _roles(context: Context, folder: Folder, address: str, node: Node | None) -> tuple[Who, ...]:
    return tuple(Who("role", found) for n in (node.value if node else ()) if (found := context.find("role", n, folder.pack, address)))


def _facts_only(context: Context, address: str, inner: Node) -> None:
    """Without records the words know what the run did, and people are found without a record."""
    for part in (inner.get("subject"), inner.get("body")):
        for _, said in entries(part):
            for slot in sorted({*_SLOT.findall(str(said.value))} - {*FACTS}):
                context.report(finding("ML-TEXT-002", said.position, address=address, name=slot))


def _people_of_record(context: Context, catalog: Catalog, address: str, target: str, people: Node | None) -> None:
    """Fields and expressions lead to people."""
    for item in people.value if people is not None else ():
        kind, inner = next(iter(item.items()))
        if kind in ("field", "expression"):
            checked = hold(catalog, inner, address, entity_scope(catalog, target), None, SERVER, context.report)
            if checked is not None and checked.type.target != USER:
                context.report(finding("ML-MSG-008", inner.position, address=address, path=inner.value))


def _values(node: Node | None) -> MappingProxyType[str, str]:
    return MappingProxyType({name: expression(n) for name, n in entries(node)})


def _asked(catalog: Catalog, context: Context, step: JobStep) -> dict[str, Field] | None:
    """The input that the action or plugin command of a step asks for; None where it is unknown (told elsewhere)."""
    action = catalog.actions.get(f"{step.entity}/{step.name}")
    if action is not None:
        return dict(action.input.fields)
    found = next((c for name, c in context.plugins.commands.items() if c.on == step.entity and name.rpartition(".")[2] == step.name), None)
    return dict(found.input) if found is not None else None


def _inputs_fit(context: Context, catalog: Catalog, address: str, node: Node, asked: object, scope: Scope) -> None:
    """Every value belongs to an input and has its type; every input that must be given is given."""
    if not isinstance(asked, dict | MappingProxyType):
        return
    for name, value in entries(node.get("values")):
        field = asked.get(name)
        if field is None:
            context.report(finding("ML-JOB-005", value.key, address=address, name=name, known=", ".join(asked) or "nothing"))
        kind: ex.Type | None = field_type(catalog, None, field) if field else None
        hold(catalog, value, address, scope, kind, SERVER, context.report)
    given = {name for name, _ in entries(node.get("values"))}
    missing = [f.name for f in asked.values() if f.required and not f.default and f.name not in given]
    if missing:
        context.report(finding("ML-JOB-006", node.position, address=address, fields=", ".join(missing)))

