"""Print templates name what can be said on paper."""

from __future__ import annotations

from collections.abc import Iterator

from metaloom.base.position import Position
from metaloom.base.text import Text
from metaloom.compile.build_print import rows_entity
from metaloom.compile.checks.look import NUMBERS, check_path, say, spot
from metaloom.compile.checks.telling import slot_names
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog, Entity, FieldType, PrintBlock, PrintTemplate
from metaloom.model.entity import FILE_TYPES

UNPRINTABLE = frozenset({FieldType.CHILD, FieldType.JSON, *FILE_TYPES})
_PLACED = frozenset({"title"})


def prints_name_what_there_is(catalog: Catalog, context: Context) -> None:
    """Every slot, field and column is a path whose value can be said; tables hold child rows or related records."""
    for template in catalog.prints.values():
        entity = catalog.entities[template.entity]
        for text in (template.title, template.reference, template.footer):
            _check_slots(catalog, context, template, entity, text, _spot(context, template))
        for block in template.blocks.values():
            where = _spot(context, template, block.name)
            for path in block.fields:
                _check_said(catalog, context, template, entity, path, _spot(context, template, block.name, "fields", path))
            _check_slots(catalog, context, template, entity, block.text, where)
            if block.opinions and f"{entity.address}/{block.opinions}" not in catalog.chains:
                known = [chain.name for chain in catalog.chains_of(entity.address)]
                say(context, "ML-REF-001", _spot(context, template, block.name, "opinions"), template.address, what="approval chain", name=block.opinions,
                    hint=_did_you_mean(block.opinions, known))
            if block.view is not None:
                _check_rows(catalog, context, template, entity, block)


def _check_slots(catalog: Catalog, context: Context, template: PrintTemplate, entity: Entity, text: Text | None, where: Position) -> None:
    for slot in dict.fromkeys(slot_names(text, context, where, template.address)):
        if slot not in _PLACED or slot in entity.fields:
            _check_said(catalog, context, template, entity, slot, where)


def _check_said(catalog: Catalog, context: Context, template: PrintTemplate, entity: Entity, path: str, where: Position) -> None:
    field = check_path(context, catalog, entity, path, where, template.address)
    if field is not None and field.type in UNPRINTABLE:
        say(context, "ML-MSG-003", where, template.address, slot=path, type=field.type)


def _check_rows(catalog: Catalog, context: Context, template: PrintTemplate, entity: Entity, block: PrintBlock) -> None:
    assert block.view is not None
    where = _spot(context, template, block.name, "rows")
    other, is_child = catalog.entities.get(rows_entity(entity, block.rows)), block.rows in entity.fields
    if other is None:
        known = [*(f.name for f in entity.fields.values() if f.type is FieldType.CHILD), *entity.related]
        say(context, "ML-PRINT-001", where, template.address, name=block.rows, entity=entity.address, hint=_did_you_mean(block.rows, known))
        return
    if is_child and (block.view.filter or block.view.sort):
        say(context, "ML-PRINT-002", where, template.address, name=block.rows)
    for path in block.view.columns:
        at = _spot(context, template, block.name, "columns", path)
        if is_child and "." in path:
            say(context, "ML-PRINT-003", at, template.address, path=path)
        else:
            _check_said(catalog, context, template, other, path, at)
    for path in block.totals:
        at = _spot(context, template, block.name, "totals", path)
        field = other.fields.get(path)
        if path not in block.view.columns or field is None or field.type not in NUMBERS:
            say(context, "ML-PRINT-004", at, template.address, path=path, hint=_did_you_mean(path, list(_numbers(other, block))))
    for path in block.view.sort:
        check_path(context, catalog, other, path.lstrip("-"), _spot(context, template, block.name, "sort", path), template.address)


def _numbers(other: Entity, block: PrintBlock) -> Iterator[str]:
    assert block.view is not None
    for path in block.view.columns:
        field = other.fields.get(path)
        if field is not None and field.type in NUMBERS:
            yield path


def _spot(context: Context, template: PrintTemplate, *inside: str) -> Position:
    below = ("blocks", *inside) if inside else ()
    return spot(context, template.entity, "prints", template.name, *below)
