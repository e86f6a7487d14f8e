"""What an administrator may learn by trying a chain: nothing of a record that the person may not read.

The way that a case took, its subject and its people are shown to administrators anyway; a condition of one's own making would tell
more. So a condition that picks records speaks of fields that the person reads, in rows where the person reads them, and a draft's
conditions speak of fields that the published chain speaks of already, or that the person reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metaloom.access import AccessPlan
from metaloom.base.errors import Invalid, MetaloomError, Problem
from metaloom.base.messages import message, register
from metaloom.command import approval_rows, rows
from metaloom.command.context import Context
from metaloom.command.evaluate import PYTHON
from metaloom.command.unit import Unit
from metaloom.compile.scope import chain_scope
from metaloom.expression import Checked, ExpressionError
from metaloom.expression import compile as checked_expression
from metaloom.model import ApprovalChain, Catalog, ChainStep, Decide, FieldLevel, FieldType, WaitFor
from metaloom.record.paths import target_of

PREFIXES = ("case", "output")

register({
    "simulate.hidden": ("条件用到了您无权查看的字段：{fields}。", "The condition speaks of fields that you may not read: {fields}."),
    "simulate.limit": ("单据数应为 1 至 {limit}。", "Between 1 and {limit} records."),
    "simulate.where": ("单据条件有误：{why}", "The condition is wrong: {why}"),
    "simulate.not_in_files": ("配置文件中没有流程 {chain}。", "The files hold no chain {chain}."),
    "simulate.new_secret": (
        "草稿的条件用到了您无权查看、且已发布流程没有用到的字段：{fields}。",
        "The draft's conditions speak of fields that you may not read and that the published chain does not speak of: {fields}."),
})  # fmt: skip


def visible(unit: Unit, entity: str, wanted: Checked) -> list[Any]:
    """Clauses that keep a person to rows in which every field of the condition is readable; none for the engine itself.

    Invalid where a field is readable in no row, or where what lies behind a link is not readable in every row.
    """
    if unit.ctx.system:
        return []
    rights, table = unit.ctx.plan.rights(entity), unit.tables.of(entity)
    hidden = [".".join(path) for path in wanted.paths if not _readable(unit.catalog, unit.ctx.plan, entity, path, everywhere=len(path) > 1)]
    if hidden:
        raise Invalid([Problem("where", message("simulate.hidden", fields=", ".join(sorted(hidden))))])
    names = {path[0] for path in wanted.paths if path[0] in unit.catalog.entities[entity].fields}
    clauses = [rights.any_of(rights.scopes_at(name, FieldLevel.READ), table, unit.env()) for name in sorted(names)]
    return [rights.any_of(rights.scopes_for("read"), table, unit.env()), *clauses]


def visible_title(unit: Unit, entity: str, record_id: int, case: approval_rows.Row | None) -> str:
    """The record's title for somebody who reads it; else the subject of its case, which administrators see; else its number."""
    try:
        return rows.reader(unit).get(entity, record_id, paths=[], children=False).title
    except MetaloomError:
        said = (case["subject"] if case is not None else None) or {}
        return str(said.get(unit.ctx.locale) or said.get("zh") or f"#{record_id}")


def refuse_new_secrets(ctx: Context, published: ApprovalChain | None, draft: ApprovalChain) -> None:
    """Invalid where the draft asks about fields that neither the person nor the published chain may know of."""
    if ctx.system:
        return
    catalog, plan = ctx.revision.catalog, ctx.plan
    known = _paths(catalog, published) if published is not None else set()
    new = [path for path in _paths(catalog, draft) - known if not _readable(catalog, plan, draft.entity, path, everywhere=len(path) > 1)]
    if new:
        raise Invalid([Problem("draft", message("simulate.new_secret", fields=", ".join(sorted(".".join(path) for path in new))))])


def _paths(catalog: Catalog, chain: ApprovalChain) -> set[tuple[str, ...]]:
    """The fields of the record that the chain's conditions read; what does not fit the published fields fails when it is played."""
    found: set[tuple[str, ...]] = set()
    for text in conditions(chain):
        try:
            paths = checked_expression(text, chain_scope(catalog, chain), None, PYTHON).paths
        except ExpressionError:
            continue
        found |= {path[1:] if path[0] == "record" and len(path) > 1 else path for path in paths if path[0] not in PREFIXES}
    return found


def conditions(chain: ApprovalChain) -> Iterator[str]:
    """Every expression that steers a case of the chain."""
    yield from filter(None, (chain.start.when if chain.start is not None else "",))
    for step in chain.every_step():
        yield from filter(None, (step.when, *(branch.when for branch in step.inner), *_own(step)))


def _own(step: ChainStep) -> tuple[str, ...]:
    if isinstance(step, Decide):
        people = (*step.who, *step.empty_who, *(one for who in step.who for one in who.pool))
        return (step.auto_pass, step.auto_reject, *(who.value for who in people if who.kind in ("expression", "field")))
    return (step.condition,) if isinstance(step, WaitFor) else ()


def _readable(catalog: Catalog, plan: AccessPlan, entity: str, path: tuple[str, ...], *, everywhere: bool) -> bool:
    """Whether the person reads the field in some row; ``everywhere``: in every row, which a path through links asks for."""
    here = entity
    for name in path:
        field = catalog.entities[here].fields.get(name) if here in catalog.entities else None
        if field is None:
            return here in catalog.entities and bool(plan.actions(here))       # what every row has: owner, stamps, its number
        rights = plan.rights(here)
        scopes = rights.scopes_at(name, FieldLevel.READ)
        if not scopes or everywhere and not any(rights.scopes[index].covers_all for index in scopes):
            return False
        here = field.entity if field.type is FieldType.CHILD else target_of(field) or ""
    return True
