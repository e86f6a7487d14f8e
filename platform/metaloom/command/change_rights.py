"""The rights of an entity changed by an administrator in the running system: read as they stand, tried, published as an overlay of the site.

Roles live in metadata alone (decision 12), so a change of rights is an overlay operation with the value that it saw: plan, roll back and
explain stay true, and an upgrade below it stops where both changed the same. Nobody grants what they lack (``command.publish``): what
goes beyond is told before, with the text that the owner may publish on the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom import schema_change
from metaloom.access import Widening, beyond, widenings
from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.base.errors import Invalid, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command.context import Context
from metaloom.command.draft_chain import refuse_unless_admin
from metaloom.command.publish import publish
from metaloom.command.run_command import ADMIN
from metaloom.compile import Source
from metaloom.compile.compiler import effective_document
from metaloom.model import AccessGrant, Catalog, FieldLevel
from metaloom.model.levels import grant_levels
from metaloom.storage import Revision

FILE = "site/rights.yaml"
HEAD = "# Written by the page of rights. One operation a line; `was` is what it saw below.\noverlay:\n"
KEEPS = {"platform.user": ("list", "read", "edit"), "platform.role_assignment": ("list", "create", "delete")}     # what an administrator cannot do without

register({
    "rights.nothing": ("没有修改。", "Nothing was changed."),
    "rights.locked": ("“{entity}”由平台锁定，只能增加角色，不能修改已有授权。", "{entity} is locked by the platform: roles may be added, nothing taken away."),
    "rights.lockout": ("不能发布：修改后系统管理员将无法再管理用户与角色。", "Not published: administrators could no longer keep people and roles."),
    "rights.no_grant": ("没有这项授权：{name}。", "There is no such grant: {name}."),
})  # fmt: skip

Value = Mapping[str, Any]


@dataclass(frozen=True)
class Granted:
    """One grant as it is written. ``key``: the role as the file spells it; ``name``: '' where the role has one grant.

    ``base``: what stands below the site's own change, None where nothing does; ``layer``: who wrote what holds.
    """

    key: str
    role: str
    name: str
    value: Value
    base: Value | None
    layer: str
    place: str

    @property
    def id(self) -> str:
        return f"{self.key}/{self.name}" if self.name else self.key


@dataclass(frozen=True)
class Effect:
    """What changes for one role: rights gained and lost, rows, fields. ``beyond``: parts that go beyond the rights of who asks."""

    role: str
    name: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    scope: tuple[str, str] | None
    fields: tuple[tuple[str, FieldLevel, FieldLevel], ...]
    beyond: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A change that is not published: compiled, compared, judged. ``findings``: why it does not compile; then nothing else is said."""

    sources: tuple[Source, ...]
    text: str
    findings: tuple[Diagnostic, ...] = ()
    effects: tuple[Effect, ...] = ()
    beyond: tuple[Widening, ...] = ()
    catalog: Catalog | None = field(default=None, compare=False)


def granted(ctx: Context, entity: str) -> tuple[Granted, ...]:
    """Every grant on the entity as it is published now."""
    refuse_unless_admin(ctx)
    return _granted(ctx, entity, schema_change.sources_of(ctx.tenant, ctx.revision.number))


def _granted(ctx: Context, entity: str, sources: Sequence[Source]) -> tuple[Granted, ...]:
    if entity not in ctx.revision.catalog.entities:
        raise NotFound
    pack = entity.partition(".")[0]
    below = _written([one for one in sources if not _ours(one)], entity)
    found = []
    for (key, name), (value, layer, place) in _written(sources, entity).items():
        role = key if "." in key else f"{pack}.{key}"
        found.append(Granted(key, role, name, value, below[key, name][0] if (key, name) in below else None, layer, place))
    return tuple(found)


def _written(sources: Iterable[Source], entity: str) -> dict[tuple[str, str], tuple[Value, str, str]]:
    folder = effective_document(sources, lambda finding: None).entities.get(entity)
    node = folder.kinds.get("access") if folder is not None else None
    found: dict[tuple[str, str], tuple[Value, str, str]] = {}
    for key, inner in node.items() if node is not None else ():
        grants = {"": inner} if inner.get("scope") is not None else dict(inner.items())
        for name, one in grants.items():
            found[str(key), str(name)] = (one.plain(), one.layer, str(one.key))
    return found


def _ours(source: Source) -> bool:
    return source.layer == "site" and source.path == FILE


def draft_rights(ctx: Context, entity: str, wanted: Mapping[str, Value | None]) -> Draft:
    """What publishing these grants would do. ``wanted``: by ``<role>`` or ``<role>/<grant>`` the whole grant (scope, actions, fields …),
    None to take it away; grants that are not named stay. Invalid for what cannot be said here; nothing is written."""
    refuse_unless_admin(ctx)
    sources = schema_change.sources_of(ctx.tenant, ctx.revision.number)
    now = {one.id: one for one in _granted(ctx, entity, sources)}
    operations = _operations(sources)
    changed = 0
    for id, value in wanted.items():
        known = now.get(id)
        if known is None and value is None:
            raise Invalid([Problem(id[:60], message("rights.no_grant", name=id[:60]))])
        if known is not None and value is not None and _same(known.value, value):
            continue
        if known is not None and known.base is not None and ctx.revision.catalog.entities[entity].locked:
            raise NotPossible(message("rights.locked", entity=ctx.revision.catalog.entities[entity].label))
        changed += 1
        path = f"{entity}/access/{id}"
        operations.pop(path, None)
        operation = _operation(path, known.base if known is not None else None, value)
        if operation is not None:
            operations[path] = operation
    if not changed:
        raise NotPossible(message("rights.nothing"))
    text = HEAD + "".join(f"  - {json.dumps(one, ensure_ascii=False)}\n" for one in operations.values())
    kept = tuple(one for one in sources if not _ours(one))
    after = (*kept, Source("site", FILE, text)) if operations else kept
    try:
        catalog = ctx.tenant.tenancy.compiler([(one.layer, one.path, one.text) for one in after])
    except MetadataRefused as refused:
        return Draft(after, text, tuple(refused.diagnostics))
    wider = widenings(ctx.revision.catalog, catalog, schema_change.remembered(ctx.tenant))
    out = beyond(ctx.plan, wider) if not ctx.system else ()
    return Draft(after, text, (), tuple(_effects(ctx.revision.catalog, catalog, entity, out)), out, catalog)


def publish_rights(ctx: Context, entity: str, wanted: Mapping[str, Value | None], reason: str, base: int) -> Revision:
    """Publishes them; ``base``: the revision that the administrator looked at. NotPossible when administrators would lock themselves out;
    NotAllowed for what goes beyond the person's own rights; Invalid where it does not compile; Conflict when somebody else was first."""
    draft = draft_rights(ctx, entity, wanted)
    if draft.findings:
        raise Invalid([Problem("", message("draft.finding", place=str(f.position), code=f.code, said=f.said[0])) for f in draft.findings])
    assert draft.catalog is not None
    refuse_lockout(ctx.revision.catalog, draft.catalog)
    return publish(ctx, draft.sources, reason, base=base)


def refuse_lockout(before: Catalog, after: Catalog) -> None:
    """NotPossible when the administrators of the tenant lose what they need to give rights back."""
    for entity, actions in KEEPS.items():
        for action in actions:
            if _holds(before, entity, action) and not _holds(after, entity, action):
                raise NotPossible(message("rights.lockout"))


def _holds(catalog: Catalog, entity: str, action: str) -> bool:
    return any(grant.role == ADMIN and grant.scope == "all" and action in grant.actions for grant in catalog.grants.get(entity, ()))


def _same(one: Value, other: Value) -> bool:
    return _plain(one) == _plain(other)


def _plain(value: Value) -> dict[str, Any]:
    out = {key: one for key, one in value.items() if one not in ({}, [], None, "")}
    return {**out, "actions": sorted(out.get("actions", ()))}


def _operation(path: str, base: Value | None, value: Value | None) -> dict[str, Any] | None:
    """The operation that makes ``value`` of ``base``; None where they are the same."""
    if value is None:
        return {"remove": path, "was": base} if base is not None else None
    clean = {key: one for key, one in value.items() if one not in ({}, [], None, "")}
    if base is None:
        return {"add": path, "value": clean}
    return None if _same(base, clean) else {"set": path, "was": base, "value": clean}


def _operations(sources: Iterable[Source]) -> dict[str, dict[str, Any]]:
    """What the page wrote before, by path."""
    text = next((one.text for one in sources if _ours(one)), "")
    found = [json.loads(line[4:]) for line in text.splitlines() if line.startswith("  - ")]
    return {next(one[verb] for verb in ("add", "set", "remove") if verb in one): one for one in found}


def _effects(before: Catalog, after: Catalog, entity: str, out: Sequence[Widening]) -> Iterable[Effect]:
    old = {grant.address: grant for grant in before.grants.get(entity, ())}
    new = {grant.address: grant for grant in after.grants.get(entity, ())}
    for address in dict.fromkeys((*old, *new)):
        was, now = old.get(address), new.get(address)
        if was is not None and now is not None and replace(was, position=now.position) == now:
            continue
        known = now or was
        assert known is not None
        held, gives = (was.actions if was else frozenset()), (now.actions if now else frozenset())
        levels = _levels(before, was), _levels(after, now)
        fields = tuple((name, levels[0].get(name, FieldLevel.HIDDEN), levels[1].get(name, FieldLevel.HIDDEN)) for name in after.entities[entity].fields
                       if levels[0].get(name, FieldLevel.HIDDEN) != levels[1].get(name, FieldLevel.HIDDEN))
        scope = (was.scope if was else "none", now.scope if now else "none")
        yield Effect(known.role, known.name, tuple(sorted(gives - held)), tuple(sorted(held - gives)), scope if scope[0] != scope[1] else None, fields,
                     tuple(one.what.partition(": ")[2] for one in out if one.what.startswith(f"{address}:")))


def _levels(catalog: Catalog, grant: AccessGrant | None) -> dict[str, FieldLevel]:
    return grant_levels(catalog.entities[grant.entity], grant) if grant is not None else {}
