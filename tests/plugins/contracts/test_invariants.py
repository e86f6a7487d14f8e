"""What every invariant of every plugin must keep; and what the engine does with one that does not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from metaloom.app.invariants import examine
from metaloom.base.text import Text
from metaloom.compile import read_sources, tenant_sources
from metaloom.plugin import Breach, Survey
from metaloom.plugin.declaration import InvariantDeclaration
from metaloom.plugin.registry import EMPTY, installed
from metaloom.record.survey import Survey as RealSurvey
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy
from tests.plugins.lender import ROOT


@pytest.fixture(scope="module")
def tenancy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenancy]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), master_key=b"k" * 32, secret_key="0123456789abcdef" * 4)
    made = Tenancy(settings, manifest=installed().manifest())
    publish(made.create("empty", "empty"), tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    publish(made.create("bare", "bare"), read_sources({"engine": ROOT / "metadata"}, ()))
    yield made
    made.close()


def test_every_invariant_has_both_languages_and_says_what_it_looks_for() -> None:
    found = dict.fromkeys([*installed().invariants(), *installed().closing()])
    print(f"{len(found)} invariants of plugins")
    assert len(found) >= 9
    for said, invariant in found:
        assert said.label.zh.strip() and said.label.en.strip(), said.name
        assert inspect.getdoc(invariant), said.name
        assert list(inspect.signature(invariant).parameters) == ["survey"], said.name


def test_an_empty_client_breaks_none_and_a_client_without_the_pack_is_not_asked(tenancy: Tenancy) -> None:
    looked = examine(tenancy.open("empty"), installed())
    assert [one for one in looked if not one.holds] == []
    assert len(looked) == len(installed().invariants()) + len(examine(tenancy.open("bare"), EMPTY))
    assert [one.name for one in examine(tenancy.open("bare"), installed())] == [one.name for one in examine(tenancy.open("bare"), EMPTY)]


class Brought:
    """A registry with one invariant."""

    def __init__(self, look: Any) -> None:
        self.look = look

    def invariants(self) -> Any:
        return ((InvariantDeclaration("spoiled", "it", "platform.company", Text("\u67d0", "some"), "x:y"), self.look),)


@pytest.mark.parametrize(("look", "fault"), [
    (lambda survey: [1 / 0], "ZeroDivisionError"), (lambda survey: None, "TypeError"), (lambda survey: ["text"], "breach"),
    (lambda survey: [Breach("a.b", 1, " ")], "without a word"), (lambda survey: list(survey.rows("no.such", ())), "KeyError"),
    (lambda survey: list(survey.rows("platform.company", ("nonsense",))), "UnknownPath"),
])
def test_an_invariant_that_fails_is_told_and_hides_no_other(tenancy: Tenancy, look: Any, fault: str) -> None:
    looked = examine(tenancy.open("empty"), Brought(look))  # type: ignore[arg-type]
    assert fault in looked[-1].fault and not looked[-1].holds
    assert all(one.holds for one in looked[:-1])


def test_of_many_breaches_the_first_are_told_and_all_are_counted(tenancy: Tenancy) -> None:
    many = examine(tenancy.open("empty"), Brought(lambda survey: (Breach("a.b", n, "off") for n in range(1, 43))))[-1]  # type: ignore[arg-type]
    assert (many.breaches, len(many.first), many.first[0]) == (42, 5, "a.b 1: off")


def test_the_survey_pages_counts_adds_up_and_gives_no_secret(tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
    from metaloom import command
    from metaloom.base.clock import SystemClock

    monkeypatch.setattr("metaloom.record.survey.PAGE", 2)
    tenant = tenancy.open("empty")
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    for number in range(5):
        command.create_record(ctx, "platform.company", {"code": f"C{number % 2}{number}", "name": f"Company {number}", "business_date": date(2026, 1, 5)})
    with tenant.read() as conn:
        survey: Survey = RealSurvey(conn, tenant.revision())
        rows = list(survey.rows("platform.company", ("code",)))
        assert [row["code"] for row in rows] == ["C00", "C11", "C02", "C13", "C04"] and survey.looked == 5  # type: ignore[attr-defined]
        assert [row["code"] for row in survey.rows("platform.company", ("code",), {"code": ["C11", "C04"]})] == ["C11", "C04"]
        assert list(survey.rows("platform.company", ("code",), {"code": None})) == []
        assert survey.sums("platform.company", ("name",), ("id",))["Company 3"] == {"id": rows[3]["id"]}
        assert survey.sums("platform.company", (), ("id",)) == {(): {"id": sum(row["id"] for row in rows)}}
        with pytest.raises(LookupError):
            next(survey.rows("lending.customer", ("id_no",)))
