"""The month end: provision by class, books that agree, months that are closed or offered (domain specification §4.10, §5, §6)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.command import rerun_failed, start_job, system_context
from metaloom_plugins.loan_servicing.day import CLASSES
from metaloom_plugins.loan_servicing.provision import month_ends, rates_of, wanted
from tests.plugins.lender import Lender, open_lender
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, errors, runs, tick, work
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_invariants import changed

E22 = (80000000, 10000000, 5000000, 3000000, 2000000)


@pytest.mark.parametrize(("settings", "asked"), [({"provision_preset": "A"}, 6800000), ({"provision_preset": "B"}, 5750000),
                                                 ({"provision_preset": "A", "provision_rates": [0, 0, 0, 0, 0.5]}, 1000000)])
def test_e22_every_class_asks_for_its_part_of_the_balance(settings: dict[str, Any], asked: int) -> None:
    rates = rates_of(settings)
    assert tuple(rates) == CLASSES
    assert sum(wanted(balance, rate) for balance, rate in zip(E22, rates.values(), strict=True)) == asked


def test_what_two_people_decided_is_the_least_and_what_is_owed_the_most() -> None:
    assert [wanted(10_001, D("0.015"), decided) for decided in (0, 151, 9000, 20_000)] == [150, 151, 9000, 10_001]
    assert [wanted(balance, D("0.015"), 500) for balance in (0, 333, 33_333, 33_367)] == [0, 333, 500, 501], "half a cent up"


def test_month_ends_are_those_between_the_days() -> None:
    ends = [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]
    assert list(month_ends(date(2024, 1, 30), date(2024, 3, 31))) == ends
    assert list(month_ends(date(2024, 1, 31), date(2024, 4, 29))) == ends[1:]
    assert list(month_ends(date(2024, 3, 31), date(2024, 4, 29))) == []


STORY = ("pays", "stops", "decided", "gone", "settles", "goes on")


def _played(shop: Lender, *, often: bool) -> dict[str, Any]:
    """Half a year in which loans pay, stop, are provided for by decision, written off, recovered in part and settled; the day end runs each
    week, or seldom, so that months are missed."""
    tick(shop)
    product = shop.product()
    loans = {name: shop.loan(product) for name in STORY}

    def until(day: date) -> None:
        while shop.stage.today < day:
            end_day(shop, min(7 if often else 1000, (day - shop.stage.today).days))

    def at(day: date) -> None:
        """The day without its day end, where it is missed."""
        if often:
            until(day)
        else:
            shop.day(day)

    until(date(2025, 2, 15))
    for name in ("pays", "decided", "settles", "goes on"):
        shop.repay(loans[name], "8884.88", on=shop.stage.today)
    at(date(2025, 3, 10))
    change(shop, loans["decided"], "provision", amount=D("20000.00"))
    shop.settle(loans["settles"], "95000.00")
    until(date(2025, 3, 17))
    at(date(2025, 5, 26))
    change(shop, loans["gone"], "write_off")
    at(date(2025, 6, 3))
    shop.repay(loans["gone"], "10000.00", on=shop.stage.today)
    shop.repay(loans["stops"], "20000.00", on=date(2025, 5, 20))
    until(date(2025, 8, 2))
    as_the_fold_says(shop)
    books_agree(shop)
    sums: dict[tuple[str, str], D] = defaultdict(D)
    for leg in shop.rows("platform.ledger_leg"):
        if leg["account"] in ("1304", "6701"):
            sums[leg["booking_date"].isoformat(), leg["account"]] += leg["amount"] if leg["side"] == "debit" else -leg["amount"]
    names = {id: name for name, id in loans.items()}
    rows = sorted((names[row["loan_id"]], row["month_end"], row["risk_class"], row["balance"], row["rate"], row["amount"], row["moved"])
                  for row in shop.rows("loan_provision"))
    columns = ("book_allowance", "book_impairment", "status")
    return {"rows": rows, "ledger": {key: amount for key, amount in sums.items() if amount},
            "loans": {name: [shop.row("loan", id)[column] for column in columns] for name, id in loans.items()}, "shop": loans}


@pytest.fixture(scope="module")
def story(lender: Lender) -> dict[str, Any]:
    return _played(lender, often=True)


def test_each_month_sets_aside_what_the_class_of_its_end_asks_for(lender: Lender, story: dict[str, Any]) -> None:
    told = {(name, end): (risk, amount) for name, end, risk, _, _, amount, _ in story["rows"]}
    assert told["pays", date(2025, 1, 31)] == ("normal", D("1500.00"))
    assert told["pays", date(2025, 2, 28)] == ("normal", D("1381.73")), "1.5 % of 92115.12"
    assert told["stops", date(2025, 2, 28)] == ("attention", D("3000.00"))
    assert told["stops", date(2025, 5, 31)] == ("substandard", D("30000.00")), "back-dated receipts count from the next month on"
    assert told["decided", date(2025, 2, 28)][1] == D("1381.73") and ("decided", date(2025, 3, 31)) not in told, "what was decided is the least"
    assert told["settles", date(2025, 3, 31)][1] == 0, "nothing is owed"
    assert told["gone", date(2025, 2, 28)][1] == D("3000.00")
    assert [row[5:] for row in story["rows"] if row[0] == "gone" and row[1] == date(2025, 6, 30)] == [(D("0.00"), D("-10000.00"))], "what came back"
    assert story["loans"]["gone"] == [0, D("90000.00"), "written_off"]
    entries = [entry for entry in lender.rows("platform.ledger_entry", event="provision") if entry["booking_date"] == date(2025, 1, 31)]
    assert len(entries) == 1, "one entry for all loans of a range"


def test_missed_months_come_to_what_monthly_runs_come_to(story: dict[str, Any], tmp_path: Any) -> None:
    with open_lender(tmp_path, "t_missed_months") as shop:
        missed = _played(shop, often=False)
    assert missed["rows"] == story["rows"]
    assert missed["ledger"] == story["ledger"]
    assert missed["loans"] == story["loans"]


def test_twice_is_once_and_a_cent_beside_it_is_found(lender: Lender, story: dict[str, Any]) -> None:
    before = len(lender.rows("loan_provision")), len(lender.rows("platform.ledger_entry"))
    _again(lender)
    assert (len(lender.rows("loan_provision")), len(lender.rows("platform.ledger_entry"))) == before
    row = next(row for row in lender.rows("loan_provision") if row["run_id"])
    with changed(lender, lender.tenant.revision().tables.of("lending.loan_provision"), row["id"], {"moved": row["moved"] + D("0.01")}):
        assert "loan_servicing.sub_ledger" in broken(lender)
    books_agree(lender)


def _again(shop: Lender) -> None:
    job = shop.tenant.revision().tables.engine.scheduled_job
    with shop.tenant.read() as conn:
        number = conn.scalar(sa.select(job.c.id).where(job.c.job == "lending.day_end"))
    start_job(system_context(shop.tenant, plugins=shop.plugins, clock=shop.real), number, company=shop.company)
    work(shop)


def _told(shop: Lender, kind: str) -> list[str]:
    person = shop.rows("platform.user", username="fincheck")[0]["id"]
    return [row["subject"] for row in shop.rows("platform.message", receiver_id=person, kind=kind)]


def test_a_month_that_is_over_is_offered_once_and_closed_by_a_person(lender: Lender, story: dict[str, Any]) -> None:
    offered = _told(lender, "platform.ledger_period")
    assert len(offered) == 1 and "2025-01" in offered[0], "the next one, while it is open"
    end_day(lender)
    assert _told(lender, "platform.ledger_period") == offered and not lender.rows("platform.ledger_period")


def test_books_that_do_not_agree_fail_the_run_with_the_account_and_the_difference(lender: Lender, story: dict[str, Any]) -> None:
    table, loan = lender.tenant.revision().tables.of("lending.loan"), lender.row("loan", story["shop"]["pays"])
    ill = {"book_fee": loan["book_fee"] + D("0.07")}
    with changed(lender, table, loan["id"], ill):
        _again(lender)
        run = runs(lender)[-1]
        assert run["status"] == "failed"
        said = [error["sentence"] for error in errors(lender, run["id"])]
        assert any("科目 1221" in one and "差额 -0.07" in one for one in said), said
        assert {error["record_id"] for error in errors(lender, run["id"])} >= {loan["id"]}, "and the loan it comes from"
        assert "账务核对不符" in _told(lender, "job")[-1]
    rerun_failed(system_context(lender.tenant, plugins=lender.plugins, clock=lender.real), run["id"])
    work(lender)
    assert runs(lender)[-1]["status"] == "done"


def test_a_company_may_have_its_months_closed_by_the_day_end_but_not_while_a_loan_is_held_back(lender: Lender, story: dict[str, Any]) -> None:
    companies = lender.tenant.revision().tables.of("platform.company")
    table, loan = lender.tenant.revision().tables.of("lending.loan"), lender.row("loan", story["shop"]["stops"])
    wrong = {"book_normal": loan["book_normal"] + 1, "book_non_accrual": loan["book_non_accrual"] - 1}
    with changed(lender, companies, lender.company, {"month_close": "automatic"}):
        with changed(lender, table, loan["id"], {"accrued_through": loan["accrued_through"] - timedelta(days=1), **wrong}):
            _again(lender)
            assert runs(lender)[-1]["failed"] and not lender.rows("platform.ledger_period")
        _again(lender)
        assert runs(lender)[-1]["status"] == "done", errors(lender, runs(lender)[-1]["id"])
    closed = [row["month"] for row in lender.rows("platform.ledger_period")]
    assert closed == [f"2025-0{number}" for number in range(1, 8)], "every month that is over, oldest first"
    books_agree(lender)
    end_day(lender, 31)
    assert runs(lender)[-1]["status"] == "done"
    assert sum("2025-08" in one for one in _told(lender, "platform.ledger_period")) == 1
    as_the_fold_says(lender)
    books_agree(lender)
