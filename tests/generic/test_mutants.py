"""The suites of this folder are alive: four planted faults, each caught by the suite that exists for it (decision 37)."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.access import plan as access_plan
from metaloom.model import FieldLevel, levels
from metaloom.model.entity import Field
from tests.generic import test_crud, test_scope
from tests.generic.world import World


def forget_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans made before the fault must not hide it."""
    from metaloom.access import actor

    monkeypatch.setattr(actor, "_PLANS", actor._Cache(limit=500))


def test_a_dropped_scope_predicate_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)
    monkeypatch.setattr(access_plan.EntityRights, "any_of", lambda self, indices, table, env=None: sa.true() if indices else sa.false())
    _, wrong = test_scope.sweep(world, ["lending.officer"], ["lending.customer", "lending.instalment"])
    assert len(wrong) >= 10


def test_a_dropped_field_mask_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)

    def unmasked(mask: str, own: Any, rest: FieldLevel, writes: bool) -> FieldLevel:
        return FieldLevel.READ

    monkeypatch.setattr(levels, "_level", unmasked)
    _, wrong = test_scope.field_sweep(world, ["lending.risk_check", "lending.marketing"])
    assert any("masked, shown" in text for text in wrong) and any("hidden, shown" in text for text in wrong)


def test_a_state_accepted_as_input_is_caught(sandbox: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from metaloom.command import store
    from metaloom.record import schema

    refusal = store._refusal

    def careless(unit: Any, entity: Any, field: Field, *rest: Any) -> Any:
        return None if field.type == "state" else refusal(unit, entity, field, *rest)

    monkeypatch.setattr(store, "_refusal", careless)
    monkeypatch.setattr(schema, "SYSTEM_TYPES", ())
    monkeypatch.setattr(schema, "_BOOKS", schema.PerRevision(schema._Book))
    _, wrong = test_crud.assignment_sweep(sandbox)
    assert any("status" in text for text in wrong)


def test_an_export_without_its_scope_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from metaloom.record import Reader, select

    forget_plans(monkeypatch)
    honest, export = select.Frame.predicate, Reader.export

    def careless(self: Any, *args: Any, **asked: Any) -> int:
        with monkeypatch.context() as inside:
            inside.setattr(select.Frame, "predicate", lambda frame: sa.true())
            inside.setattr(access_plan.AccessPlan, "predicate", lambda plan, *rest: sa.true())
            return export(self, *args, **asked)

    monkeypatch.setattr(Reader, "export", careless)
    _, wrong = test_scope.export_sweep(world)
    assert wrong and select.Frame.predicate is honest
