"""Effective document → PrintTemplate; what it says of fields is held against the catalog by ``checks/prints.py``."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from metaloom.base.text import Text
from metaloom.compile.build_screen import build_columns
from metaloom.compile.context import Context, entries, flag, string, strings, text, words
from metaloom.compile.expressions import QUERY, SERVER, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope
from metaloom.expression import Scope
from metaloom.model import Catalog, Entity, FieldType, ListView, PrintBlock, PrintTemplate


def build_print(context: Context, folder: Folder, entity: Entity, name: str, node: Node) -> PrintTemplate:
    """One print template of an entity folder."""
    get, address = node.get, f"{entity.address}/print/{name}"
    label = words(get("label"))
    blocks = {n: _block(context, entity, f"{address}/{n}", n, inner) for n, inner in entries(get("blocks"))}
    return PrintTemplate(
        address=address, entity=entity.address, name=name, label=label, title=text(get("title")) or label, paper=string(get("paper"), "A4"),
        landscape=string(get("orientation")) == "landscape", reference=text(get("reference")), footer=text(get("footer")),
        when=_when(context, entity, get("when"), address), message=text(get("message")), icon=string(get("icon")),
        blocks=MappingProxyType(blocks), position=node.key)


def _when(context: Context, entity: Entity, node: Node | None, address: str) -> str:
    return want(context, node, address, lambda catalog: entity_scope(catalog, entity.address), targets=SERVER)


def _block(context: Context, entity: Entity, address: str, name: str, node: Node) -> PrintBlock:
    get, columns = node.get, node.get("columns")
    rows = string(get("rows"))
    beside = int(columns.value) if columns is not None and isinstance(columns.value, int) else 2
    return PrintBlock(
        name=name, label=text(get("label")), fields=strings(get("fields")), columns=beside, text=text(get("text")), rows=rows,
        view=_view(context, entity, address, rows, node) if rows else None, totals=strings(get("totals")),
        opinions=string(get("opinions")), sign=_places(get("sign")), skip_empty=flag(get("skip_empty")),
        when=_when(context, entity, get("when"), address), position=node.key)


def _places(node: Node | None) -> tuple[Text, ...]:
    return tuple(words(inner) for inner in node.value) if node is not None else ()


def rows_entity(entity: Entity, rows: str) -> str:
    """The entity whose records a child field or a tab of related records holds; '' for neither."""
    field = entity.fields.get(rows)
    if field is not None and field.type is FieldType.CHILD:
        return field.entity
    return entity.related[rows].rpartition(".")[0] if rows in entity.related else ""


def _view(context: Context, entity: Entity, address: str, rows: str, node: Node) -> ListView:
    """The table as a list: the reader answers it with the rights of every list."""
    other, columns = rows_entity(entity, rows), node.get("columns")
    assert columns is not None  # the schema demands it
    condition = want(context, node.get("filter"), address, partial(_scope_of, other), targets=QUERY)
    return ListView(address=address, entity=other, name=address.rpartition("/")[2], label=None, columns=MappingProxyType(build_columns(columns)),
                    filter=condition, sort=strings(node.get("sort")), position=node.key)


def _scope_of(entity: str, catalog: Catalog) -> Scope:
    return entity_scope(catalog, entity) if entity in catalog.entities else Scope()
