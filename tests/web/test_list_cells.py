"""A list writes most of its cells without making them first: they must be the same to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from flask import g

from metaloom.model import FieldLevel, FieldType
from metaloom.record.paths import Path, UnknownPath, resolve
from metaloom.record.row import Row
from metaloom.web.cells import WORDS, cell_for, drawn_for
from tests.web import site as shop

FILE = ({"name": "a"},)
VALUES: dict[FieldType, Any] = {
    FieldType.INTEGER: -1234567, FieldType.DECIMAL: Decimal("1234.5000"), FieldType.MONEY: Decimal("-1234567.50"), FieldType.RATE: Decimal("0.12345678"),
    FieldType.BOOLEAN: False, FieldType.DATE: date(2026, 2, 28), FieldType.DATETIME: datetime(2026, 2, 28, 20, 30, 59, tzinfo=UTC),
    FieldType.TIME: time(8, 5), FieldType.JSON: {"a": "<b>"}, FieldType.TAGS: ("<a>", "b"), FieldType.MULTI_CHOICE: ("none", "<such>"),
    FieldType.ATTACHMENT: FILE, FieldType.IMAGE: FILE, FieldType.SIGNATURE: FILE, FieldType.LINK: 7, FieldType.USER: 7, FieldType.ORG_UNIT: 7,
    FieldType.COMPANY: 7, FieldType.REGION: "110101",
}


@pytest.mark.parametrize("locale", ["zh", "en"])
def test_a_cell_is_drawn_as_it_would_be_made(app: Any, tenancy: Any, locale: str) -> None:
    ctx = shop.context_of(tenancy.open("alpha"), "li")
    seen: dict[FieldType, int] = {}
    with app.test_request_context("/alpha/"):
        g.locale = locale
        pinned: Any = SimpleNamespace(tenant=ctx.tenant, revision=ctx.revision, catalog=ctx.revision.catalog, plan=ctx.plan, zone=ctx.tenant.zone,
                                      around=(ctx.revision.catalog.digest, locale))
        for path in paths(pinned.catalog):
            make, draw, name = cell_for(pinned, path), drawn_for(pinned, path), path.text
            for row in rows(pinned.catalog, path):
                one = make(row)
                assert draw(row.levels.get(name))(row) == (one.kind, one.text, one.css, one.drawn), (path.entity, name, row)
                seen[path.field.type] = seen.get(path.field.type, 0) + 1
    assert set(VALUES) <= set(seen), set(VALUES) - set(seen)
    assert sum(seen.values()) > 2000, seen


def paths(catalog: Any) -> Iterator[Path]:
    """Every field of every entity, but those whose page asks the whole request for words; and one of each type there is."""
    for entity in catalog.entities.values():
        for field in entity.fields.values():
            try:
                path = resolve(catalog, entity, field.name)
            except UnknownPath:
                continue
            if (entity.address, field.name) not in WORDS:
                yield path
    for kind in VALUES:
        field = replace(catalog.entities["shop.buyer"].fields["name"], name=f"a_{kind.value}", type=kind)
        yield Path(field.name, (), "shop.buyer", field, field.name)


def rows(catalog: Any, path: Path) -> list[Row]:
    """The field with a value, without one, masked, hidden, and holding what no cell may let through."""
    entity, field, name = path.entity, path.field, path.text
    value = VALUES.get(field.type, "<b>&\"'")
    codes = [c for found in (catalog.choices.get(field.choices),) if found for c in found.items]
    if field.type is FieldType.STATE and entity in catalog.lifecycles:
        codes = list(catalog.lifecycles[entity].states)
    levels = (FieldLevel.READ, FieldLevel.WRITE)
    shown = [({name: v}, {name: level}, titles, struck) for level in levels for v in (value, *codes, None)
             for titles in ({}, {name: "<张>"}) for struck in (frozenset(), frozenset({name}))]
    shown += [({name: "138****0001"}, {name: FieldLevel.MASKED}, {}, frozenset()), ({name: None}, {name: FieldLevel.MASKED}, {}, frozenset()),
              ({}, {name: FieldLevel.HIDDEN}, {}, frozenset()), ({}, {}, {name: "x"}, frozenset())]
    return [Row(entity, 5, 1, "t", values, held, titles, frozenset({"read"}), struck=struck) for values, held, titles, struck in shown]
