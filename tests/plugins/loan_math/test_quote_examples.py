"""E01–E30 through the quote: request and reply files against the engine, and both against the figures of the domain specification."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import metaloom_plugins.loan_math
from metaloom_plugins.loan_math.flows import annual_rate
from metaloom_plugins.loan_math.quote import days, quote
from metaloom_plugins.loan_math.reading import schema

FOLDER = Path(metaloom_plugins.loan_math.__file__).with_name("examples")
SPEC: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
NAMES = sorted(path.name.split(".")[0] for path in FOLDER.glob("*.request.json"))
TOOLS = {"apr": annual_rate, "days": days}


def stored(name: str, part: str) -> Any:
    return json.loads((FOLDER / f"{name}.{part}.json").read_text("utf-8"))


def answers(name: str) -> list[dict[str, Any]]:
    request = stored(name, "request")
    return [TOOLS.get(name, quote)(one) for one in (request if isinstance(request, list) else [request])]


def test_there_is_a_request_for_every_example_that_is_a_quote() -> None:
    assert {name for name in NAMES if name.startswith("E")} == {f"E{no:02d}" for no in range(1, 31)} - {"E22", "E24", "E25", "E28"}


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_reply_is_what_the_engine_says_and_what_the_schema_allows(name: str) -> None:
    found, reply = answers(name), stored(name, "reply")
    assert (found if isinstance(reply, list) else found[0]) == reply
    wanted = schema({"apr": "apr_reply", "days": "days_reply"}.get(name, "quote_reply"))
    for one in found:
        jsonschema.Draft202012Validator(wanted).validate(json.loads(json.dumps(one)))


def same_rows(rows: list[dict[str, Any]], wanted: list[Mapping[str, Any]]) -> None:
    assert len(rows) == len(wanted)
    for row, spec in zip(rows, wanted, strict=True):
        for key, value in spec.items():
            assert row[{"period": "no", "payment": "total"}.get(key, key)] == value, (row, spec)


@pytest.mark.parametrize("name", ["E01", "E02", "E03", "E04", "E05", "E06", "E07", "E08", "E10", "E13"])
def test_schedules(name: str) -> None:
    found = answers(name)[0]
    same_rows(found["rows"], SPEC[name]["rows"])
    assert found["totals"]["interest"] == SPEC[name]["totals"]["interest"]
    assert found.get("level_payment") == SPEC[name].get("level_payment", found.get("level_payment"))


def test_e09_bullet() -> None:
    for found, wanted in zip(answers("E09"), SPEC["E09"]["variants"].values(), strict=True):
        assert (found["rows"][0]["interest"], found["rows"][0]["total"]) == (wanted["interest"], wanted["payment"])
        assert found["rows"][0]["days"] == SPEC["E09"]["params"]["days"]


def test_e11_revolving_by_both_ways_of_asking_for_interest() -> None:
    part, everything = answers("E11")
    first, second = SPEC["E11"]["variant_i_interest_on_repaid_principal_only"], SPEC["E11"]["variant_ii_all_accrued_interest_first"]
    for found, wanted in ((part, first), (everything, second)):
        assert [row["interest"] for row in found["rows"]] == [wanted["repay1_interest"], wanted["repay2_interest"]]
        assert [row["total"] for row in found["rows"]] == [wanted["repay1_total"], wanted["repay2_total"]]
        assert found["totals"]["interest"] == SPEC["E11"]["total_interest_both"]


def test_e12_custom_plan() -> None:
    found = answers("E12")[0]
    same_rows(found["rows"], SPEC["E12"]["rows"])
    assert found["totals"]["interest"] == SPEC["E12"]["totals"]["interest"]


def test_e13_least_days_of_the_first_period() -> None:
    found, wanted = answers("E13")[1], SPEC["E13"]["variant_min_first_days_30"]
    first, last = found["rows"][0], found["rows"][-1]
    assert (first["due_date"], first["days"], first["interest"], first["total"]) == (wanted["first_due"], wanted["days"], wanted["interest"], wanted["payment"])
    assert last["due_date"] == wanted["maturity"]


def test_e14_due_dates_and_holidays() -> None:
    plain, later, earlier, none = answers("E14")
    assert [row["due_date"] for row in plain["rows"]] == SPEC["E14"]["due_dates"]
    wanted = SPEC["E14"]["holiday"]
    assert [one["rows"][0]["due_date"] for one in (later, earlier, none)] == [wanted["NEXT_WORKDAY"], wanted["PREV_WORKDAY"], wanted["NONE"]]
    assert {one["rows"][0]["interest"] for one in (later, earlier, none)} == {"1000.00"}


def test_e15_settlement() -> None:
    found = answers("E15")[0]["settlement"]
    assert (found["principal"], found["interest"], found["fee"], found["total"]) == ("67984.22", "385.24", "679.84", "69049.30")
    assert (found["days"], found["unearned_interest"]) == (17, SPEC["E15"]["unearned_interest_not_charged"])


def test_e16_partial_prepayment_both_ways() -> None:
    for found, key in zip(answers("E16"), ("variant_reduce_payment_变额不变期", "variant_shorten_term_变期不变额"), strict=True):
        same_rows(found["rows"][4:], SPEC["E16"][key]["rows"])
        paid = found["prepayments"][0]
        wanted = SPEC["E16"]["paid_now"]
        assert (paid["interest"], paid["fee"], paid["total"]) == (wanted["interest_to_date_on_old_balance"], wanted["fee_1pct"], wanted["total"])


def test_e17_rate_change_both_ways() -> None:
    for found, key in zip(answers("E17"), ("variant_next_period_下一结息周期生效", "variant_immediate_立即生效"), strict=True):
        same_rows(found["rows"][6:], SPEC["E17"][key]["rows"])


def test_e18_penalty_compound_interest_and_grace() -> None:
    wanted = SPEC["E18"]
    plain, compound, both, daily, inside, after, later = (one["state"] for one in answers("E18"))
    assert (plain["penalty"], plain["dpd"]) == (wanted["penalty_on_principal"], 21)
    assert plain["overdue"] == wanted["settle_amount_default(principal+interest+penalty)"]
    assert (compound["compound"], compound["overdue"]) == (wanted["compound_on_interest"], wanted["settle_amount_with_compound"])
    assert both["penalty"] == wanted["penalty_on_principal_plus_interest"]
    assert daily["penalty"] == wanted["penalty_0.05pct_per_day_on_principal_plus_interest"]
    assert [one["penalty"] for one in (inside, after, later)] == list(wanted["grace_3_days"].values())
    assert [one["dpd"] for one in (inside, after, later)] == [0, 4, 4]


def test_e19_allocation_by_each_rule() -> None:
    for found, key in zip(answers("E19"), list(SPEC["E19"])[2:], strict=True):
        paid = {(part["no"], part["component"]): part["amount"] for part in found["allocations"][0]["parts"]}
        left = {bill["no"]: bill for bill in found["state"]["bills"]}
        for no in (3, 4):
            for component, amount in SPEC["E19"][key]["applied"][f"bill_{no}"].items():
                assert paid.get((no, component), "0.00") == amount
                assert left[no][component] == SPEC["E19"][key]["left"][f"bill_{no}"][component]


def test_e20_extension() -> None:
    found = answers("E20")[0]
    same_rows(found["rows"][6:], SPEC["E20"]["rows"])
    assert found["rows"][5]["principal"] == "0.00"


def test_e21_annual_rates() -> None:
    for found, (title, wanted) in zip(answers("E21"), _e21(), strict=True):
        said = [f"{float(found[key]) * 100:.4f}%" for key in ("irr_period", "apr_simple", "apr_compound")]
        assert said == list(wanted.values()), title


def _e21() -> list[tuple[str, dict[str, str]]]:
    """The flat loan at 13.4715 % costs 24 % simple; the specification gives that as a sentence of its own."""
    rows = [(title, wanted) for title, wanted in SPEC["E21"].items() if isinstance(wanted, dict)]
    flat = float(SPEC["E21"]["flat_rate_equal_to_24pct_simple_irr_12_periods"].rstrip("%")) / 100
    assert flat == pytest.approx(0.134715)
    return [*rows, ("flat at 13.4715 %", {"monthly_irr": "2.0000%", "simple": "24.0001%", "compound": "26.8243%"})]


def test_e23_bills_roll_into_the_next_one() -> None:
    for found, wanted in zip(answers("E23"), SPEC["E23"]["states"], strict=True):
        state = found["state"]
        assert (state["billed"], state["unbilled"], state["overdue"]) == (wanted["billed_due"], wanted["unbilled"], wanted["overdue"])


def test_e26_overpayment_pays_the_next_bill() -> None:
    found = answers("E26")[0]
    assert found["allocations"][0]["surplus"] == SPEC["E26"]["to_suspense_2241"]
    assert found["state"]["bills"][0]["total"] == SPEC["E26"]["next_due_after_offset"]


def test_e27_waivers() -> None:
    found = answers("E27")[0]
    assert [one["amount"] for one in found["waivers"]] == [SPEC["E27"]["waive_penalty_100pct"], SPEC["E27"]["waive_interest_50pct"]]
    assert found["state"]["overdue"] == SPEC["E27"]["pay"]


def test_e29_coupons() -> None:
    free, half, off = answers("E29")
    assert free["coupons"][0]["amount"] == SPEC["E29"]["免息7天 (ACT/360)"]
    assert half["rows"][0]["interest"] == SPEC["E29"]["interest_5折"]
    assert off["rows"][0]["interest"] == SPEC["E29"]["满减 100"]


def test_e30_penalty_in_segments() -> None:
    assert answers("E30")[0]["state"]["penalty"] == SPEC["E30"]["total_penalty"]
