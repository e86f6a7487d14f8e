"""Effective document → Entity, Field, Lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from metaloom import expression as ex
from metaloom.base.text import Text
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, flag, position_of, string, strings, text, words
from metaloom.compile.expressions import EVERYWHERE, FORM, QUERY, SERVER, ScopeOf, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import LINK_TARGETS, entity_scope, field_type, link_filter_scope, where_scope
from metaloom.compile.shared import shared
from metaloom.model import (
    Catalog,
    Entity,
    Field,
    FieldType,
    Index,
    Lifecycle,
    Ownership,
    Rule,
    State,
    Transition,
    UniqueRule,
)
from metaloom.model.entity import LINK_TYPES


def build_entity(context: Context, folder: Folder) -> Entity:
    """The entity of a folder; every expression in it is queued for the check."""
    node = folder.kinds["entity"]
    address = folder.address

    def scope(catalog: Catalog) -> ex.Scope:
        return entity_scope(catalog, address)

    child_of = node.get("child_of")
    storage = string(node.get("storage"), "table")
    return Entity(
        address=address, pack=folder.pack, module=folder.module, name=folder.entity,
        label=words(node.get("label")), help=text(node.get("help")), icon=string(node.get("icon")),
        title=string(node.get("title")), subtitle=string(node.get("subtitle")),
        fields=_frozen({name: _field(context, folder, name, n, scope) for name, n in entries(node.get("fields"))}),
        ownership=Ownership(strings(node.get("owned_by")), _scope_from(node), flag(node.get("shared"))),
        natural_key=strings(node.get("natural_key")), delete=string(node.get("delete"), "archive"), storage=storage,
        table=string(node.get("table")) or f"{folder.pack}__{folder.entity}",
        append_only=flag(node.get("append_only")),
        often_changed=flag(node.get("often_changed")), log_views=flag(node.get("log_views")), bulk=string(node.get("bulk")),
        checked_in_sets=strings(node.get("checked_in_sets")),
        child_of=context.find("entity", child_of.get("entity"), folder.pack, f"{address}/child_of") if child_of else "",
        parent_field=string(child_of.get("field")) if child_of else "",
        rules=_frozen({name: _rule(context, address, name, n, scope) for name, n in entries(node.get("rules"))}),
        unique=_frozen({name: _unique(context, address, name, n, scope) for name, n in entries(node.get("unique"))}),
        indexes=_frozen({name: Index(name, strings(n.get("fields") or n), n.key) for name, n in entries(node.get("indexes"))}),
        header=strings(node.get("header")), related=_frozen(_related(context, folder, node)),
        related_labels=_frozen({name: words(n.get("label")) for name, n in entries(node.get("related")) if n.get("label")}),
        comments=flag(node.get("comments")), locked=context.effective.is_locked(folder), renamed_from=string(node.get("renamed_from")),
        renamed_fields=_frozen({name: string(n) for name, n in entries(node.get("renamed_fields"))}), position=node.key,
    )


def _scope_from(node: Node) -> str:
    """The link that scope follows: declared, or the parent of a child."""
    child_of = node.get("child_of")
    return string(node.get("scope_from")) or (string(child_of.get("field")) if child_of else "")


def _related(context: Context, folder: Folder, node: Node) -> dict[str, str]:
    out = {}
    for name, item in entries(node.get("related")):
        target = context.find("entity", item.get("entity"), folder.pack, f"{folder.address}/related/{name}")
        if target:
            out[name] = f"{target}.{string(item.get('field'))}"
    return out


def _rule(context: Context, address: str, name: str, node: Node, scope: ScopeOf) -> Rule:
    at = f"{address}/rules/{name}"
    return Rule(name, want(context, node.get("check"), at, scope), words(node.get("message")), string(node.get("field")),
                want(context, node.get("when"), at, scope), strings(node.get("on")) or ("create", "change"), node.key)


def _unique(context: Context, address: str, name: str, node: Node, scope: ScopeOf) -> UniqueRule:
    when = want(context, node.get("when"), f"{address}/unique/{name}", scope, targets=EVERYWHERE)
    return UniqueRule(name, strings(node.get("fields")), when, text(node.get("message")), flag(node.get("tell")), node.key)


def _field(context: Context, folder: Folder, name: str, node: Node, scope: ScopeOf) -> Field:
    return shared(node, build_field(context, folder.pack, f"{folder.address}/field/{name}", name, node, scope, folder.address))


def build_field(context: Context, pack: str, address: str, name: str, node: Node, scope: ScopeOf, entity: str = "") -> Field:
    """A field of an entity, or (without ``entity``) an input of an action."""
    get = node.get
    kind = FieldType(string(get("type")))

    def own_type(catalog: Catalog) -> ex.Type | None:
        holder = catalog.entities.get(entity)
        return field_type(catalog, holder, field)

    def set_of_choices(catalog: Catalog) -> ex.Type | None:
        return field_type(catalog, None, replace(field, type=FieldType.MULTI_CHOICE))

    target = context.find("entity", get("entity"), pack, address)
    link_filter = get("filter")
    linked = LINK_TARGETS.get(kind, target)
    if link_filter is not None and linked and kind in LINK_TYPES:
        want(context, link_filter, address, lambda catalog: _filter_scope(catalog, entity, linked, scope), targets=QUERY)
    field = Field(
        name=name, type=kind, label=words(get("label")), address=address, help=text(get("help")), unit=text(get("unit")),
        required=flag(get("required")), required_when=want(context, get("required_when"), address, scope, targets=FORM),
        visible_when=want(context, get("visible_when"), address, scope, targets=FORM),
        read_only=flag(get("read_only")) or kind is FieldType.AUTO_NUMBER or get("computed") is not None,
        read_only_when=want(context, get("read_only_when"), address, scope, targets=FORM),
        fixed=flag(get("fixed")), unique=flag(get("unique")),
        default=want(context, get("default"), address, scope, type=own_type, targets=SERVER),
        computed=want(context, get("computed"), address, scope, type=own_type, targets=SERVER),
        fill=_frozen({other: _fill(context, address, other, n, scope, entity) for other, n in entries(get("fill"))}),
        length=_int(get("length")), min=_decimal(get("min")), max=_decimal(get("max")),
        pattern=string(get("pattern")), pattern_message=text(get("pattern_message")),
        precision=_int(get("precision")), scale=_int(get("scale")), currency=string(get("currency"), "CNY"),
        choices=context.find("choices", get("choices"), pack, address), entity=target,
        choices_in=want(context, get("choices_in"), address, scope, type=set_of_choices, targets=FORM),
        filter=string(link_filter), parent_field=string(get("parent_field")) or _parent_field(context, target if kind is FieldType.CHILD else ""),
        series=context.find("number series", get("series"), pack, address),
        mask=string(get("mask")), encrypted=flag(get("encrypted")), search=string(get("search")), pinyin=flag(get("pinyin")),
        history=flag(get("history"), True), in_capitals=flag(get("in_capitals")), multiple=flag(get("multiple"), True),
        accept=strings(get("accept")), position=node.key,
    )
    return field


def _parent_field(context: Context, child: str) -> str:
    """The link to the parent that a child entity declares."""
    folder = context.effective.entities.get(child)
    node = folder.kinds.get("entity") if folder else None
    child_of = node.get("child_of") if node else None
    return string(child_of.get("field")) if child_of else ""


def _filter_scope(catalog: Catalog, entity: str, target: str, around: ScopeOf) -> ex.Scope:
    """The target's names bare; of an entity's field also ``record.x``, of an action's input whatever the action knows by prefix."""
    if entity:
        return link_filter_scope(catalog, entity, target)
    prefixed = {name: make() for name, make in around(catalog).links.items() if name in ("record", "input")}
    return where_scope(catalog, target, prefixed)


def _fill(context: Context, address: str, other: str, node: Node, scope: ScopeOf, entity: str) -> str:
    def type_of_other(catalog: Catalog) -> ex.Type | None:
        holder = catalog.entities.get(entity)
        field = holder.fields.get(other) if holder else None
        if field is None:
            if holder is not None:
                context.report(finding("ML-REF-002", node.key, address=address, path=other, entity=entity))
            return None
        return field_type(catalog, holder, field)

    return want(context, node, address, scope, type=type_of_other, targets=SERVER)


def _int(node: Node | None) -> int | None:
    return None if node is None else int(node.value)


def _decimal(node: Node | None) -> Decimal | None:
    return None if node is None else Decimal(node.value)


def build_lifecycle(context: Context, folder: Folder) -> Lifecycle:
    """The lifecycle of an entity folder."""
    node, address = folder.kinds["lifecycle"], folder.address
    states = {name: State(name, words(n.get("label")), string(n.get("colour"), "grey"), flag(n.get("editable")), flag(n.get("final")))
              for name, n in entries(node.get("states"))}
    transitions = {name: _transition(context, address, name, n, states) for name, n in entries(node.get("transitions"))}
    return Lifecycle(address, string(node.get("field")), string(node.get("initial")), _frozen(states), _frozen(transitions), node.key)


def _transition(context: Context, address: str, name: str, node: Node, states: Mapping[str, State]) -> Transition:
    to_state = string(node.get("to"))
    label = text(node.get("label")) or (states[to_state].label if to_state in states else Text(name, name))
    when = want(context, node.get("when"), f"{address}/transition/{name}", lambda catalog: entity_scope(catalog, address))
    return Transition(name, strings(node.get("from")), to_state, label, when, text(node.get("message")), position_of(node))


def _frozen(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(values))
