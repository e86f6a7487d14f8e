"""The live half of a form: the entity's conditions as JSON for the browser. The server's verdict remains the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from metaloom.base.errors import MetaloomError
from metaloom.compile import entity_scope, prefixed_scopes, values_scope, with_names
from metaloom.compile.scope import record_scope
from metaloom.expression import BOOL, ExpressionError, Scope, browser_value, compile, to_browser
from metaloom.model import Action, Catalog, Entity, Field, FieldType
from metaloom.model.entity import LINK_TYPES
from metaloom.record.paths import PerRevision, target_of
from metaloom.web.current import Current, locale


class _Trees:
    """Compiled rules of one revision, by what they belong to."""

    def __init__(self, revision: Any) -> None:
        self.catalog: Catalog = revision.catalog
        self.known: dict[str, Mapping[str, Any]] = {}

    def of_entity(self, entity: Entity) -> Mapping[str, Any]:
        if entity.address not in self.known:
            scope = entity_scope(self.catalog, entity.address)
            self.known[entity.address] = _entity_rules(self.catalog, entity, scope)
        return self.known[entity.address]

    def of_action(self, action: Action) -> Mapping[str, Any]:
        if action.address not in self.known:
            base, own = record_scope(self.catalog, action), values_scope(self.catalog, action.input.fields)
            scope = _scope_of_input(base, own, prefixed_scopes(self.catalog, action))
            self.known[action.address] = {"fields": _field_rules(action.input.fields.values(), scope), "checks": []}
        return self.known[action.address]

    def of_input(self, entity: Entity, name: str, fields: Mapping[str, Field]) -> Mapping[str, Any]:
        """What a plugin's command asks for: its conditions see the record and, before it, the other answers."""
        address = f"{entity.address}/{name}"
        if address not in self.known:
            base, own = entity_scope(self.catalog, entity.address), values_scope(self.catalog, fields)
            scope = _scope_of_input(base, own, {"record": base, "input": own})
            self.known[address] = {"fields": _field_rules(fields.values(), scope), "checks": []}
        return self.known[address]


def _scope_of_input(base: Scope, own: Scope, prefixed: Mapping[str, Scope]) -> Scope:
    """What a condition of an input sees, as in the command: the record and, before it, the other answers, bare and behind a prefix."""
    return with_names(Scope({**base.fields, **own.fields}, {**base.links, **own.links}, base.children, base.user), prefixed)


_TREES: PerRevision[_Trees] = PerRevision(_Trees)


def entity_rules(pinned: Current, entity: Entity) -> Mapping[str, Any]:
    """``{fields, sections, checks, children}`` of a form; words in the reader's language are added by ``for_page``."""
    return _TREES.of(pinned.revision).of_entity(entity)


def action_rules(pinned: Current, action: Action) -> Mapping[str, Any]:
    return _TREES.of(pinned.revision).of_action(action)


def input_rules(pinned: Current, entity: Entity, name: str, fields: Mapping[str, Field]) -> Mapping[str, Any]:
    return _TREES.of(pinned.revision).of_input(entity, name, fields)


def for_page(pinned: Current, rules: Mapping[str, Any], record: Mapping[str, Any], types: Mapping[str, Field]) -> dict[str, Any]:
    """The rules with what the page knows: values that stand in no input, environment, linked values."""
    spoken = locale()
    checks = [{**check, "message": check["message"].say(spoken)} for check in rules.get("checks", ())]
    env = pinned.env
    return {
        **rules, "checks": checks, "record": record, "kinds": {name: field.type.value for name, field in types.items()},
        "env": {"business_date": browser_value(env.business_date), "now": browser_value(env.now), "user_id": browser_value(env.user_id),
                "roles": sorted(env.roles), "user": {name: browser_value(value) for name, value in env.user.items()}},
    }


def _entity_rules(catalog: Catalog, entity: Entity, scope: Scope) -> Mapping[str, Any]:
    form = catalog.forms.get(entity.address)
    sections = {s.name: tree for s in form.sections.values() if s.visible_when and (tree := _tree(s.visible_when, scope))} if form else {}
    children = {f.name: {"fields": _field_rules(catalog.entities[f.entity].fields.values(), entity_scope(catalog, f.entity)),
                         "kinds": {c.name: c.type.value for c in catalog.entities[f.entity].fields.values()}}
                for f in entity.fields.values() if f.type is FieldType.CHILD}
    checks = [{"name": r.name, "field": r.field, "check": tree, "when": _tree(r.when, scope) if r.when else None, "message": r.message}
              for r in entity.rules.values() if (tree := _tree(r.check, scope))]
    return {"fields": _field_rules(entity.fields.values(), scope), "sections": sections, "checks": checks, "children": children}


def _field_rules(fields: Iterable[Field], scope: Scope) -> dict[str, Any]:
    found = {}
    for field in fields:
        rules: dict[str, Any] = {}
        for key, text in (("visible", field.visible_when), ("required", field.required_when), ("locked", field.read_only_when)):
            if text and (tree := _tree(text, scope)):
                rules[key] = tree
        if field.computed and (tree := _tree(field.computed, scope, condition=False)):
            rules["computed"] = tree
        if field.choices_in and (tree := _tree(field.choices_in, scope, condition=False)):
            rules["choices"] = tree
        fill = {name: tree for name, text in field.fill.items() if (tree := _tree(text, scope, condition=False))}
        if fill:
            rules["fill"] = fill
        if rules:
            found[field.name] = rules
    return found


def _tree(text: str, scope: Scope, *, condition: bool = True) -> Mapping[str, Any] | None:
    """The expression for the browser; None where a function in it has no browser target (then only the server decides)."""
    try:
        return to_browser(compile(text, scope, BOOL if condition else None, frozenset({"browser"})))
    except ExpressionError:
        return None


# ------------------------------------------------------------------------------------------------- linked values


def linked_paths(rules: Mapping[str, Any], link: str, behind: str = "") -> tuple[str, ...]:
    """Paths behind the link field that the rules read: ``amount_min`` for ``product.amount_min``, with ``behind`` for ``input.product.amount_min``, too."""
    found: dict[str, None] = {}
    for tree in _all_trees(rules):
        for path in tree.get("paths", ()):
            names = path[1:] if behind and path[0] == behind else path
            if len(names) > 1 and names[0] == link:
                found[".".join(names[1:])] = None
    return tuple(found)


def _all_trees(value: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "node" in value and "v" in value:
            yield value
        else:
            for inner in value.values():
                yield from _all_trees(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _all_trees(inner)


def linked_values(pinned: Current, rules: Mapping[str, Any], field: Field, id: int | None, behind: str = "") -> dict[str, Any] | None:
    """The linked record as the rules need it, nested; what the person may not read is null."""
    if id is None or field.type not in LINK_TYPES:
        return None
    paths = linked_paths(rules, field.name, behind)
    nested: dict[str, Any] = {"id": str(id)}
    for path in paths:
        _put(nested, path.split("."), None)
    if not paths:
        return nested
    try:
        row = pinned.reader.get(target_of(field), id, paths=[p for p in paths if p != "id"] or None, children=False)
    except MetaloomError:
        return nested
    for path in paths:
        if path in row.values:
            _put(nested, path.split("."), browser_value(row.values[path]))
    return nested


def _put(nested: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        inner = nested.get(name)
        if not isinstance(inner, dict):
            inner = nested[name] = {"id": inner}
        nested = inner
    if not isinstance(nested.get(names[-1]), dict):
        nested[names[-1]] = value
