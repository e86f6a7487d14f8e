"""The print of an entity for which nobody wrote one."""

from __future__ import annotations

from types import MappingProxyType

from metaloom.base.text import Text
from metaloom.model import Catalog, Entity, Field, FieldType, ListView, PrintBlock, PrintTemplate
from metaloom.model.entity import FILE_TYPES
from metaloom.model.printing import MAIN
from metaloom.model.screen import Column

WHOLE = Text("全部信息", "All details")
MORE, RECORD = Text("其他信息", "More"), Text("记录信息", "Record")
STAMPS = ("company", "org_unit", "owner", "created_by", "created_at", "updated_by", "updated_at")
GRID_MAX = 10
_NOT_SAID = frozenset({FieldType.CHILD, FieldType.JSON, *FILE_TYPES})


def default_template(catalog: Catalog, entity: Entity) -> PrintTemplate:
    """As the detail page: the form's sections, child rows as tables, then what no form holds, then where the record comes from.

    What has no value and is asked for under conditions only is left out, as on the page.
    """
    blocks, placed = [], {entity.title, *(f.name for f in entity.fields.values() if f.visible_when == "false")}
    form = catalog.forms.get(entity.address)
    head = tuple(dict.fromkeys((entity.title, *((entity.subtitle,) if entity.subtitle in entity.fields else ()),
                                *(f.name for f in entity.fields.values() if f.type is FieldType.STATE))))
    blocks.append(PrintBlock("head", None, tuple(n for n in head if _said(entity.fields.get(n))), skip_empty=False))
    placed |= set(head)
    for section in form.sections.values() if form else ():
        names = [n for n in section.fields if n not in placed and n in entity.fields]
        placed |= set(names)
        fields = tuple(n for n in names if _said(entity.fields[n]))
        if fields:
            blocks.append(PrintBlock(f"s_{section.name}", section.label, fields, skip_empty=True))
        blocks += [_grid(catalog, entity, entity.fields[n]) for n in names if entity.fields[n].type is FieldType.CHILD]
    rest = tuple(n for n, f in entity.fields.items() if n not in placed and _said(f) and n not in STAMPS)
    if rest:
        blocks.append(PrintBlock("more", MORE, rest, skip_empty=True))
    blocks += [_grid(catalog, entity, f) for n, f in entity.fields.items() if n not in placed and f.type is FieldType.CHILD]
    blocks.append(PrintBlock("record", RECORD, STAMPS, skip_empty=True))
    return PrintTemplate(f"{entity.address}/print/{MAIN}", entity.address, MAIN, WHOLE, entity.label,
                         blocks=MappingProxyType({b.name: b for b in blocks}), position=entity.position)


def _said(field: Field | None) -> bool:
    return field is not None and field.type not in _NOT_SAID


def _grid(catalog: Catalog, entity: Entity, field: Field) -> PrintBlock:
    """The rows of a child field with their first columns: more than ten do not fit a page."""
    child = catalog.entities[field.entity]
    columns = [n for n, f in child.fields.items() if n != child.parent_field and _said(f)][:GRID_MAX]
    address = f"{entity.address}/print/{MAIN}/{field.name}"
    view = ListView(address, child.address, field.name, None, MappingProxyType({n: Column(n) for n in columns}))
    return PrintBlock(f"g_{field.name}", field.label, rows=field.name, view=view, skip_empty=True)
