"""Sources → Catalog: read, merge, build, look everything up, check, freeze."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.base.position import Position
from metaloom.compile.build_action import build_action
from metaloom.compile.build_approval import build_chain
from metaloom.compile.build_dashboard import build_dashboard
from metaloom.compile.build_entity import build_entity, build_lifecycle
from metaloom.compile.build_job import build_job
from metaloom.compile.build_message import build_template, build_webhook
from metaloom.compile.build_pack import (
    build_account,
    build_accounting_rule,
    build_choices,
    build_grants,
    build_pack,
    build_role,
    build_series,
)
from metaloom.compile.build_print import build_print
from metaloom.compile.build_process import build_process
from metaloom.compile.build_screen import build_form, build_lists, build_menu, build_quick_link
from metaloom.compile.build_trial import build_trial
from metaloom.compile.build_warning import build_warning
from metaloom.compile.checks import CHECKS, CHECKS_OF_DOCUMENTS
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, text
from metaloom.compile.digest import digest
from metaloom.compile.document import declared_format, read
from metaloom.compile.layout import place_of
from metaloom.compile.manifest import EMPTY, PluginManifest
from metaloom.compile.merge import Effective, merge
from metaloom.compile.shared import shared
from metaloom.compile.source import LAYERS, Source
from metaloom.compile.upgrade import CURRENT_FORMAT
from metaloom.model import Catalog

MAX_FINDINGS = 500


def compile_catalog(sources: Iterable[Source], *, plugins: PluginManifest = EMPTY) -> Catalog:
    """The frozen catalog of ``sources``; its ``warnings`` hold what does not stop.

    Raises MetadataRefused with every finding of the stage that failed: files and layers first, then references, expressions and
    checks (a file that cannot be read would only make false findings there). A step ``run:`` is held against ``plugins``.
    """
    warnings, errors = _Findings(), _Findings()

    def report(found: Diagnostic) -> None:
        (errors if found.severity == "error" else warnings).add(found)

    effective = effective_document(sources, report)
    errors.stop()
    for look in CHECKS_OF_DOCUMENTS:
        look(effective, report)
    errors.stop()
    context = Context(effective, plugins, report)
    catalog = _build(context)
    for task in context.later:
        task(catalog)
    for check in CHECKS:
        check(catalog, context)
    errors.stop()
    done = replace(catalog, warnings=warnings.sorted())
    done.__dict__["_scopes"] = catalog.__dict__.get("_scopes", {})  # same entities: keep the compiled expressions
    return done


def effective_document(sources: Iterable[Source], report: Any) -> Effective:
    """All layers read and merged, before anything is looked up."""
    sources = tuple(sources)
    formats = _formats(sources, report)
    documents = []
    for source in sources:
        place = place_of(source.path)
        own = place.pack if place and source.layer in ("engine", "pack") else ""
        document = read(source, formats.get(own, CURRENT_FORMAT), report)
        if document is not None:
            documents.append(document)
    return merge(documents, report)


def _formats(sources: tuple[Source, ...], report: Any) -> Mapping[str, int]:
    """The format each pack is written in; overlays of a higher layer are written in the format of the engine."""
    formats = {}
    for source in sources:
        place = place_of(source.path)
        if place and place.pack and not place.module and source.layer in ("engine", "pack") and "pack:" in source.text:
            format = declared_format(source)
            if format > CURRENT_FORMAT:
                report(finding("ML-PACK-005", Position(source.file), found=format, pack=place.pack, known=CURRENT_FORMAT))
            formats[place.pack] = min(format, CURRENT_FORMAT)
    return formats


class _Findings:
    """Findings, each once, at most so many."""

    def __init__(self) -> None:
        self.found: dict[Diagnostic, None] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        if len(self.found) < MAX_FINDINGS:
            self.found.setdefault(diagnostic)

    def stop(self) -> None:
        if self.found:
            raise MetadataRefused(self.found)

    def sorted(self) -> tuple[Diagnostic, ...]:
        return tuple(sorted(self.found, key=lambda d: (d.position, d.code)))


def _build(context: Context) -> Catalog:
    effective = context.effective
    context.names = _names(effective)
    folders = [f for _, f in sorted(effective.entities.items(), key=lambda item: _rank(effective, item[1]))]
    entities = {f.address: shared(f.kinds["entity"], build_entity(context, f)) for f in folders}
    lists, actions, chains, processes, warnings, prints = {}, {}, {}, {}, {}, {}
    for folder in folders:
        lists.update(build_lists(context, folder, entities[folder.address]))
        for name, node in entries(folder.kinds.get("actions")):
            actions[f"{folder.address}/{name}"] = shared(node, build_action(context, folder, name, node))
        for name, node in entries(folder.kinds.get("approval")):
            chains[f"{folder.address}/{name}"] = shared(node, build_chain(context, folder, name, node))
        for name, node in entries(folder.kinds.get("processes")):
            processes[f"{folder.address}/{name}"] = shared(node, build_process(context, folder, name, node))
        for name, node in entries(folder.kinds.get("prints")):
            prints[f"{folder.address}/{name}"] = shared(node, build_print(context, folder, entities[folder.address], name, node))
        for name, node in entries(folder.kinds.get("warnings")):
            warnings[f"{folder.address}/{name}"] = shared(node, build_warning(context, folder, name, node))
    return Catalog(
        digest=digest(effective),
        packs=_frozen({f.pack: build_pack(context, f) for f in effective.packs.values()}),
        entities=_frozen(entities), lists=_frozen(lists),
        forms=_frozen({f.address: build_form(context, f, entities[f.address]) for f in folders}),
        lifecycles=_frozen({f.address: shared(f.kinds["lifecycle"], build_lifecycle(context, f)) for f in folders if "lifecycle" in f.kinds}),
        actions=_frozen(actions), chains=_frozen(chains), processes=_frozen(processes), warning_rules=_frozen(warnings), prints=_frozen(prints),
        choices=_frozen(_each(effective, "choices", build_choices)),
        roles=_frozen(_each(effective, "roles", build_role)),
        grants=_frozen({f.address: build_grants(context, f) for f in folders}),
        series=_frozen(_each(effective, "number_series", build_series)),
        menus=_frozen(_each(effective, "menu", lambda f, n, node: build_menu(context, f, n, node))),
        quick_links=_frozen(_each(effective, "quick_links", lambda f, n, node: build_quick_link(context, f, n, node))),
        accounts=_frozen(_each(effective, "accounts", build_account)),
        accounting_rules=_frozen(_each(effective, "accounting_rules", build_accounting_rule)),
        messages=_frozen(_each(effective, "messages", lambda f, n, node: build_template(context, f, n, node))),
        webhooks=_frozen(_each(effective, "webhooks", lambda f, n, node: build_webhook(context, f, n, node))),
        trials=_frozen(_each(effective, "tests", lambda f, n, node: build_trial(context, f, n, node))),
        settings=_frozen(_settings(effective)),
        jobs=_frozen(_each(effective, "jobs", lambda f, n, node: build_job(context, f, n, node))),
        dashboards=_frozen(_each(effective, "dashboards", lambda f, n, node: build_dashboard(context, f, n, node))),
    )


def _rank(effective: Effective, folder: Any) -> tuple[int, int, str, str, str]:
    """Engine first, then packs in the order in which they came, then by folder."""
    packs = list(effective.packs)
    owner = effective.packs.get(folder.pack)
    layer = LAYERS.index(owner.layer) if owner else len(LAYERS)
    return layer, packs.index(folder.pack) if folder.pack in packs else 0, folder.pack, folder.module, folder.entity


def _names(effective: Effective) -> dict[str, dict[str, Position]]:
    """Every address that can be referred to, by what it is."""
    names: dict[str, dict[str, Position]] = {"entity": {a: f.position for a, f in effective.entities.items()}, "list": {}}
    for what, kind in (("choices", "choices"), ("role", "roles"), ("number series", "number_series"), ("message template", "messages")):
        names[what] = {f"{f.pack}.{name}": n.key for f in effective.packs.values() for name, n in entries(f.kinds.get(kind))}
    for address, folder in effective.entities.items():
        names["list"].update({f"{address}/{name}": n.key for name, n in entries(folder.kinds.get("lists"))})
    return names


def _each(effective: Effective, kind: str, build: Any) -> dict[str, Any]:
    """Everything of a pack-wide kind by address."""
    return {f"{f.pack}.{name}": shared(node, build(f, name, node)) for f in effective.packs.values() for name, node in entries(f.kinds.get(kind))}


def _settings(effective: Effective) -> dict[str, object]:
    tenant = effective.tenant
    if tenant is None:
        return {}
    settings: dict[str, object] = {name: node.plain() for name, node in entries(tenant.get("settings"))}
    return {"label": text(tenant.get("label")), **settings}


def _frozen(values: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(values)
