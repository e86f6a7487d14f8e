"""What every chain of the lending pack promises: no step of a person lies unseen, and waiting neither decides nor moves authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaloom.compile import compile_catalog, read_sources
from metaloom.model import Catalog, Decide
from metaloom.plugin.registry import installed

METADATA = Path(__file__).parents[2] / "metadata"
CHAINS = ("credit_application/credit", "drawdown/payout", "limit_adjustment/adjustment", "loan_change/prepayment",
          "loan_change/settlement", "loan_change/write_off",
          "loan_product_version/publish", "post_loan_inspection/inspection", "risk_classification/classification")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    sources = read_sources({"engine": METADATA, "pack": METADATA}, ("lending",))
    return compile_catalog(sources, plugins=installed().manifest())


def steps_of_people(catalog: Catalog) -> list[tuple[str, Decide]]:
    return [(name, step) for name in CHAINS for step in catalog.chains[f"lending.{name}"].every_step() if isinstance(step, Decide)]


def test_every_step_of_a_person_has_a_limit_in_working_time_a_reminder_and_somebody_above(catalog: Catalog) -> None:
    found = steps_of_people(catalog)
    bare = [f"{chain}: {step.name}" for chain, step in found if not _is_watched(step)]
    assert not bare and len(found) >= 31


def _is_watched(step: Decide) -> bool:
    if step.limit is None or "working_" not in step.limit.within or len(step.limit.then) < 2:
        return False
    first, second, *later = step.limit.then
    return (first.do, first.after.split()[0]) == ("remind", "0") and all(one.do == "remind" and (one.superior or one.to) for one in (second, *later))
