"""The text of a chain as it is published, and a catalog with another text in its place: compiled, not published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.base.errors import Invalid, NotAllowed, NotFound, Problem
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command.context import Context
from metaloom.command.run_command import ADMIN
from metaloom.compile import Source, explain, tenant_sources
from metaloom.model import Catalog
from metaloom.schema_change import client_of, sources_of, with_site_layer

TEXT_MAX = 200_000
DRAFT_FILE = "draft_chain.yaml"

register({
    "draft.name": ("草稿第一行应是流程名 {name} 加英文冒号，其余各行向右缩进。",
                   "The draft begins with the name of the chain, {name}:, and the other lines are indented below it."),
    "draft.too_long": ("草稿过长，最多 {limit} 个字符。", "The draft is too long; at most {limit} characters."),
    "draft.no_place": ("业务对象 {entity} 没有配置文件，无法试算新流程。", "The entity {entity} has no files; a new chain cannot be tried on it."),
    "draft.not_editable": ("该流程写在一行或覆盖文件中，请在 {file} 中修改。", "This chain is written in one line or in an overlay; change it in {file}."),
})  # fmt: skip


@dataclass(frozen=True)
class ChainText:
    """Where a chain is written: ``text`` are its lines without their common indent, the first of them is line ``line`` of ``file``.

    ``changed_by``: overlay operations on it as (what, layer, place). ``editable``: the lines are a block that another text can replace.
    """

    file: str
    line: int
    layer: str
    text: str
    changed_by: tuple[tuple[str, str, str], ...]
    editable: bool
    indent: int = 0
    source: int = 0


@dataclass(frozen=True)
class Finding:
    """A diagnostic as the author of the draft reads it. ``line``: of the draft; 0 for a place outside it, which ``place`` names."""

    line: int
    place: str
    code: str
    message: Text
    hint: Text


class DraftRefused(Invalid):
    """The draft does not compile; ``findings`` says why, by line."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__([Problem("draft", message("draft.finding", place=f.line or f.place, code=f.code, said=f.message)) for f in findings])


register({"draft.finding": ("{place}：{code} {said}", "{place}: {code} {said}")})


def refuse_unless_admin(ctx: Context) -> None:
    """Chains are the business of the administrators of the whole tenant, like publishing."""
    if not ctx.system and not ctx.actor.holds_everywhere(ADMIN):
        raise NotAllowed(message("command.admin_only"))


def chain_text(ctx: Context, address: str) -> ChainText:
    """The published text of a chain; NotFound for one that is none."""
    refuse_unless_admin(ctx)
    if address not in ctx.revision.catalog.chains:
        raise NotFound
    return _found(sources_of(ctx.tenant, ctx.revision.number), address)


def draft_from_text(ctx: Context, address: str, text: str) -> Catalog:
    """The published metadata with ``text`` as the chain ``address``; a chain of a new name is added to its entity.

    DraftRefused with every finding where it does not compile.
    """
    refuse_unless_admin(ctx)
    entity, _, name = address.partition("/")
    if entity not in ctx.revision.catalog.entities or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise NotFound
    if len(text) > TEXT_MAX:
        raise Invalid([Problem("draft", message("draft.too_long", limit=TEXT_MAX))])
    if not re.match(rf"(?:\s*#[^\n]*\n|\s*\n)*{name}\s*:", text.expandtabs(2)):
        raise Invalid([Problem("draft", message("draft.name", name=name))])
    sources = list(sources_of(ctx.tenant, ctx.revision.number))
    if address in ctx.revision.catalog.chains:
        written = _found(sources, address)
        if not written.editable:
            raise Invalid([Problem("draft", message("draft.not_editable", file=written.file))])
        replaced, first = _replaced(sources[written.source], written, text), written.line
        sources[written.source] = replaced
    else:
        replaced, first = _added(sources, entity, text), 2
        sources.append(replaced)
    try:
        return ctx.tenant.tenancy.compiler([(s.layer, s.path, s.text) for s in sources])
    except MetadataRefused as refused:
        raise DraftRefused([_finding(d, replaced.file, first, text.count("\n") + 1) for d in refused.diagnostics]) from refused


def draft_from_files(ctx: Context) -> Catalog:
    """The metadata in the files of the tenant's client, under what the Studio publishes. DraftRefused where it does not compile."""
    refuse_unless_admin(ctx)
    settings = ctx.tenant.settings
    try:
        sources = tenant_sources(settings.metadata_root, settings.tenants_root, client_of(ctx.tenant))
        return ctx.tenant.tenancy.compiler(with_site_layer(ctx.tenant, sources))
    except MetadataRefused as refused:
        raise DraftRefused([_finding(d, "", 1, 0) for d in refused.diagnostics]) from refused


# -- where it is written -----------------------------------------------------------------------------------------------------


def _found(sources: Sequence[Source], address: str) -> ChainText:
    entity, _, name = address.partition("/")
    told = explain(sources, f"{entity}/approval/{name}")
    number = next(n for n, source in enumerate(sources) if source.file == told.position.file and source.layer == told.layer)
    lines = sources[number].text.splitlines()
    first = told.position.line - 1
    indent = len(lines[first]) - len(lines[first].lstrip())
    last = _end(lines, first, indent)
    block = re.match(rf"\s*{name}\s*:\s*(#.*)?$", lines[first]) is not None
    changed = tuple((f"{step.verb} {'/'.join(step.path)}", step.layer, str(step.position)) for step in told.history)
    text = "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines[first:last]) + "\n"
    return ChainText(told.position.file, told.position.line, told.layer, text, changed, block, indent, number)


def _end(lines: Sequence[str], first: int, indent: int) -> int:
    """The line after the block that begins at ``first``: the next one that stands as far left, but for the comments before it."""
    last = first + 1
    for at in range(first + 1, len(lines)):
        line = lines[at]
        if line.strip() and not line.lstrip().startswith("#"):
            if len(line) - len(line.lstrip()) <= indent:
                break
            last = at + 1
    return last


def _replaced(source: Source, written: ChainText, text: str) -> Source:
    lines = source.text.splitlines()
    last = _end(lines, written.line - 1, written.indent)
    return replace(source, text="\n".join([*lines[:written.line - 1], *_indented(text, written.indent), *lines[last:]]) + "\n")


def _indented(text: str, by: int) -> list[str]:
    return [" " * by + line if line.strip() else "" for line in text.expandtabs(2).rstrip().splitlines()]


def _added(sources: Sequence[Source], entity: str, text: str) -> Source:
    """A file more in the folder of the entity; it holds the draft from its second line on."""
    try:
        place = explain(sources, f"{entity}/entity").position.file
    except MetadataRefused as refused:
        raise Invalid([Problem("draft", message("draft.no_place", entity=entity))]) from refused
    beside = next(source for source in sources if source.file == place)
    body = "\n".join(["approval:", *_indented(text, 2)]) + "\n"
    return replace(beside, path=beside.path.rpartition("/")[0] + f"/{DRAFT_FILE}", text=body)


def _finding(found: Diagnostic, file: str, first: int, lines: int) -> Finding:
    line = found.position.line - first + 1 if found.position.file == file else 0
    inside = 1 <= line <= lines
    return Finding(line if inside else 0, "" if inside else f"{found.position.file}:{found.position.line}", found.code, *found.said)
