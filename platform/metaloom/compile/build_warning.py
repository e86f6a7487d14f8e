"""Effective document → WarningRule. Its expressions are answered by a database in the job and by Python in an explanation."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from metaloom import expression as ex
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import EVERYWHERE, QUERY, SERVER, ScopeOf, hold, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import entity_scope, field_type
from metaloom.model import Absence, Again, AlertEscalation, AlertForm, Catalog, LevelRule, Receiver, WarningRule

ALERT = "platform.alert"
_CAUSES = ("date", "text", "choice", "int", "record")


def build_warning(context: Context, folder: Folder, name: str, node: Node) -> WarningRule:
    """The rule ``name`` of an entity folder; every expression in it is queued for the check."""
    address, at, get = f"{folder.address}/{name}", f"{folder.address}/warnings/{name}", node.get

    def scope(catalog: Catalog) -> ex.Scope:
        return entity_scope(catalog, folder.address)

    def held(key: str, type: ex.Type | None = ex.BOOL) -> str:
        return _held(context, get(key), at, scope, type)

    return WarningRule(
        address=address, entity=folder.address, name=name, label=words(get("label")), help=text(get("help")),
        enabled=flag(get("enabled"), True), when=held("when"), subject=words(get("subject")), due=held("due", ex.DATE),
        missing=_missing(context, folder, at, get("missing"), scope), cause=_cause(context, get("cause"), at, scope),
        levels=tuple(LevelRule(level, _held(context, n, at, scope, ex.BOOL)) for level, n in _pairs(get("level"))),
        values=MappingProxyType(_values(context, folder, at, get("set"))), receivers=_receivers(context, folder, at, get("receivers"), get("notify")),
        actions=strings(get("actions")), forms=MappingProxyType(_forms(context, folder, at, get("forms"))), links=strings(get("links")),
        measures=strings(get("measures")), note_required=string(get("note")) == "required",
        on=strings(get("on")) or ("save", "job"), escalate=tuple(_escalations(context, folder, at, get("escalate"), get("notify"))),
        again=_again(get("again")), position=node.key)


def _held(context: Context, node: Node | None, at: str, scope: ScopeOf, type: ex.Type | None) -> str:
    """As ``want``, and the expression may not ask who is there: a rule has one verdict for everybody."""
    if node is not None:
        context.later.append(lambda catalog: _checked(context, catalog, node, at, scope(catalog), type))
    return expression(node)


def _checked(context: Context, catalog: Catalog, node: Node, at: str, scope: ex.Scope, type: ex.Type | None) -> ex.Checked | None:
    checked = hold(catalog, node, at, scope, type, EVERYWHERE, context.report)
    if checked is not None:
        for asked in sorted({_asked(part) for part in _parts(checked.node)} - {""}):
            context.report(finding("ML-WARN-002", node.position, address=at, what=asked))
    return checked


def _parts(node: ex.Typed) -> Iterator[ex.Typed]:
    yield node
    for arg in node.args:
        yield from _parts(arg)


def _asked(node: ex.Typed) -> str:
    if node.op != "env" or node.value[0] in ("business_date", "now"):
        return ""
    return f"user.{node.value[1]}" if node.value[0] == "user" else f"{node.value[0]}()"


def _cause(context: Context, node: Node | None, at: str, scope: ScopeOf) -> str:
    def check(catalog: Catalog) -> None:
        assert node is not None
        checked = _checked(context, catalog, node, at, scope(catalog), None)
        if checked is not None and checked.type.kind not in _CAUSES:
            context.report(finding("ML-WARN-005", node.position, address=at, what="cause", found=checked.type, expected=", ".join(_CAUSES)))

    if node is not None:
        context.later.append(check)
    return expression(node)


def _missing(context: Context, folder: Folder, at: str, node: Node | None, scope: ScopeOf) -> Absence | None:
    if node is None:
        return None
    target = context.find("entity", node.get("entity"), folder.pack, at)
    found = Absence(target, string(node.get("field")), expression(node.get("where")), string(node.get("at")), expression(node.get("since")))
    if not target:
        return found
    want(context, node.get("where"), at, lambda catalog: entity_scope(catalog, target), targets=EVERYWHERE)
    if (node.get("at") is None) != (node.get("since") is None):
        context.report(finding("ML-WARN-004", node.key, address=at))
    context.later.append(lambda catalog: _check_missing(context, catalog, node, at, found, scope(catalog)))
    return found


def _check_missing(context: Context, catalog: Catalog, node: Node, at: str, found: Absence, scope: ex.Scope) -> None:
    names = entity_scope(catalog, found.entity).fields
    link, entity = names.get(found.field), at.partition("/")[0]
    where = node.get("field")
    if (link is None or link.target != entity) and where is not None:
        near = [name for name, kind in names.items() if kind.target == entity and name != "id"]
        context.report(finding("ML-WARN-003", where.position, address=at, field=found.field, entity=found.entity, target=entity,
                               hint=_did_you_mean(found.field, near)))
    dated = node.get("at")
    if dated is None:
        return
    kind = names.get(found.at)
    if kind is None or kind.kind not in ("date", "datetime"):
        context.report(finding("ML-WARN-005", dated.position, address=at, what=found.at, found=kind or "nothing known", expected="a date or an instant"))
        return
    if (since := node.get("since")) is not None:
        _checked(context, catalog, since, at, scope, kind)


def _values(context: Context, folder: Folder, at: str, node: Node | None) -> dict[str, str]:
    def check(catalog: Catalog) -> None:
        alert = catalog.entities.get(ALERT)
        for name, value in entries(node):
            field = alert.fields.get(name) if alert is not None else None
            if alert is not None and field is None:
                context.report(finding("ML-REF-002", value.key, address=at, path=name, entity=ALERT, hint=_did_you_mean(name, alert.fields)))
            if field is not None and _of_the_engine(context, name):
                context.report(finding("ML-WARN-006", value.key, address=at, field=name))
            _checked(context, catalog, value, at, entity_scope(catalog, folder.address), field_type(catalog, alert, field) if field else None)

    if node is not None:
        context.later.append(check)
    return {name: expression(n) for name, n in entries(node)}


def _of_the_engine(context: Context, name: str) -> bool:
    fields = context.effective.entities[ALERT].kinds["entity"].get("fields")
    node = fields.get(name) if fields else None
    return node is not None and node.layer == "engine"


def _pairs(node: Node | None) -> Iterator[tuple[str, Node]]:
    for item in node.value if node is not None else ():
        yield from item.items()


def _receivers(context: Context, folder: Folder, at: str, node: Node | None, notify: Node | None) -> tuple[Receiver, ...]:
    """``notify``: how the rule tells those receivers who do not say it themselves."""
    def said(n: Node, key: str) -> Node | None:
        return n.get(key) or (notify.get(key) if notify is not None else None)

    return tuple(Receiver(string(n.get("field")), context.find("role", n.get("role"), folder.pack, at), string(n.get("level")),
                          context.find("message template", said(n, "template"), folder.pack, at), strings(said(n, "channels")))
                 for n in (node.value if node is not None else ()))


def _escalations(context: Context, folder: Folder, at: str, node: Node | None, notify: Node | None) -> Iterator[AlertEscalation]:
    for n in node.value if node is not None else ():
        yield AlertEscalation(_days(n.get("after")), _receivers(context, folder, at, n.get("to"), notify), string(n.get("level")))


def _forms(context: Context, folder: Folder, at: str, node: Node | None) -> dict[str, AlertForm]:
    return {name: _form(context, folder, at, name, n) for name, n in entries(node)}


def _form(context: Context, folder: Folder, at: str, name: str, node: Node) -> AlertForm:
    target, values = context.find("entity", node.get("entity"), folder.pack, at), node.get("values")

    def check(catalog: Catalog) -> None:
        entity = catalog.entities[target]
        for field, value in entries(values):
            found = entity.fields.get(field)
            if found is None:
                context.report(finding("ML-REF-002", value.key, address=at, path=field, entity=target, hint=_did_you_mean(field, entity.fields)))
            hold(catalog, value, at, entity_scope(catalog, folder.address), field_type(catalog, entity, found) if found else None, SERVER, context.report)

    if target:
        context.later.append(check)
        want(context, node.get("open"), at, lambda catalog: entity_scope(catalog, target), targets=QUERY)
    return AlertForm(name, words(node.get("label")), target, string(node.get("icon")),
                     MappingProxyType({field: expression(n) for field, n in entries(values)}), expression(node.get("open")))


def _again(node: Node | None) -> Again:
    return Again() if node is None else Again(_days(node.get("after")), flag(node.get("on_rise")))


def _days(node: Node | None) -> int:
    """``7 days`` → 7."""
    return int(str(node.value).split()[0]) if node is not None else 0
