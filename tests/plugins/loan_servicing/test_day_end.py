"""The day end: every loan by the day, to the cent as the fold says, once, whatever was missed, whoever died (domain specification §6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.command import close_month, start_job, system_context
from metaloom.plugin.registry import EMPTY
from metaloom.record import mass
from metaloom_plugins.loan_servicing import accrual
from metaloom_plugins.loan_servicing.arithmetic import PRESETS, Penalty, Terms, contract_of
from metaloom_plugins.loan_servicing.balances import books_of, vat_in
from metaloom_plugins.loan_servicing.fold import Agreement, Txn, fold, mark, ran
from metaloom_plugins.loan_servicing.standing import line_columns, money, planned_columns
from tests.plugins.lender import START, Lender, open_lender
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, errors, ledger, runs, tick, work
from tests.plugins.loan_servicing.test_invariants import changed

METHODS = ("EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET", "FLAT")


def an_agreement(dice: Random) -> Agreement:
    terms = Terms(principal=D(dice.randrange(100_00, 90_000_00)).scaleb(-2), annual_rate=D(dice.randrange(1, 2400)).scaleb(-4), method=dice.choice(METHODS),
                  periods=dice.randrange(1, 25), start_date=START + timedelta(days=dice.randrange(0, 400)), due_day=dice.choice([None, 1, 15, 31]),
                  day_count=dice.choice(["30/360", "ACT/360", "ACT/365"]))
    penalty = Penalty(Fraction(18, 100), grace_days=dice.choice([0, 0, 3]), compound=dice.random() < 0.3)
    return Agreement(replace(contract_of(terms), penalty=penalty, allocation=PRESETS["BY_PERIOD"]))


@contextmanager
def stored(shop: Lender, like: int, agreements: Sequence[Agreement]) -> Iterator[tuple[Any, list[int]]]:
    """Loans of these agreements, fresh from their payout, as rows beside a loan that is there; gone afterwards."""
    tables = {name: shop.tenant.revision().tables.of(f"lending.{name}") for name in ("term_snapshot", "loan", "repayment_plan", "instalment", "drawdown")}
    loan = shop.row("loan", like)
    snapshot, drawdown = shop.row("term_snapshot", loan["snapshot_id"]), shop.row("drawdown", loan["drawdown_id"])
    plan, bill = shop.rows("repayment_plan", loan_id=like)[0], shop.rows("instalment", loan_id=like)[0]
    ids = []
    with suppress(Undone), shop.tenant.write() as conn:
        def put(name: str, row: Mapping[str, Any], **changes: Any) -> int:
            values = {name: value for name, value in row.items() if name != "id"} | changes
            return int(conn.execute(tables[name].insert().values(values).returning(tables[name].c.id)).scalar_one())
        for n, one in enumerate(agreements):
            rate = D(one.contract.annual_rate.numerator) / D(one.contract.annual_rate.denominator)
            start, amount = one.contract.start_date, money(one.contract.principal)
            asked = put("drawdown", drawdown, draw_no=f"T{n}", loan_id=None, snapshot_id=None, contract_id=None)
            frozen = {"day_count": one.contract.day_count, "vat_rate": D(one.vat_rate.numerator) / D(one.vat_rate.denominator)}
            terms = put("term_snapshot", snapshot, drawdown_id=asked, snapshot_name=f"T{n}", **frozen)
            life = fold(one, [], start)
            ids.append(put("loan", loan, loan_no=f"T{n}", drawdown_id=asked, snapshot_id=terms, annual_rate=rate, repay_method=one.contract.method, **frozen,
                           principal_amount=amount, principal_balance=amount, accrued_through=start, book_interest=D(0), next_due_on=date(2099, 1, 1)))
            version = put("repayment_plan", plan, loan_id=ids[-1], plan_name=f"T{n}")
            for line in life.lines:
                put("instalment", bill, loan_id=ids[-1], plan_id=version, **planned_columns(line), **line_columns(life, line, start), status="not_due")
        yield conn, ids
        raise Undone


class Undone(Exception):  # noqa: N818 - leaves a transaction that is not kept
    pass


def test_the_short_way_says_what_the_fold_says_on_every_day(shop: Lender) -> None:
    """The database and the fold, on days of random loans; a loan too large for whole numbers is left out, not reckoned wrongly."""
    dice = Random(7)
    agreements = [replace(an_agreement(dice), vat_rate=Fraction(dice.choice((0, 3, 6, 9, 13)), 100)) for _ in range(60)]
    huge = replace(agreements[0].contract, principal=9 * 10**14, annual_rate=Fraction(24, 100))
    agreements.append(replace(agreements[0], contract=huge))
    revision, entities = shop.tenant.revision(), shop.tenant.revision().catalog.entities.__getitem__
    until = START.toordinal() + 400 + 31 * 26
    days = sorted({until, *dice.sample(range(START.toordinal(), until), 60)})
    with stored(shop, shop.good, agreements) as (conn, ids):  # type: ignore[attr-defined]
        reckoner = mass.Reckoner(revision, entities("lending.loan"), entities("lending.instalment"), "loan", entities, (ids[0], ids[-1]), days)
        said = accrual.as_agreed(reckoner, until - 4000, until)
        found = mass.reckon(conn, said, reckoner.query(said, []), {})
        told = {(loan, day): sums for loan, day, *sums in zip(found["id"], found["each"], found["owed"], found["tax"], strict=True)}
        assert {ids[-1]}.isdisjoint(found["id"]) and set(found["stood"]) == set(found["tax_stood"]) == {0}
    for loan, agreement in zip(ids[:-1], agreements, strict=False):
        for day in days:
            on = date.fromordinal(day)
            if on > agreement.contract.start_date:
                life = fold(agreement, [], on)
                earned = [ran(life, line, on) for line in life.lines]
                assert told[loan, day] == [sum(earned), sum(vat_in(one, agreement.vat_rate) for one in earned)], (agreement, on)


@pytest.mark.parametrize("seed", range(25))
def test_days_one_after_another_come_to_what_the_fold_says_of_the_last(seed: int) -> None:
    """Marks of lateness day by day are those of the fold, which looks on the days of transactions only."""
    dice = Random(f"marks {seed}")
    agreement = an_agreement(dice)
    start = agreement.contract.start_date
    txns = [Txn(seq, "due", start + timedelta(days=dice.randrange(1, 300)), dice.randrange(100, 2_000_000)) for seq in range(1, dice.randrange(1, 5))]
    first = max([txn.on for txn in txns], default=start)
    here = fold(agreement, txns, first, closing=False)
    until = first + timedelta(days=dice.randrange(1, 250))
    life = fold(agreement, txns, until, closing=False)
    life.non_accrual, life.max_dpd = here.non_accrual, here.max_dpd
    for n in range(1, (until - first).days + 1):
        day = first + timedelta(days=n)
        mark(life, day)
        if 88 <= life.dpd(day) <= 93:
            assert life.non_accrual == fold(agreement, txns, day, closing=False).non_accrual, (seed, day)
    wanted = fold(agreement, txns, until, closing=False)
    assert (life.non_accrual, life.max_dpd) == (wanted.non_accrual, wanted.max_dpd)
    assert books_of(life, until) == books_of(wanted, until)


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """Loans that pay, stop, overpay and are changed; the scheduler has seen the jobs."""
    tick(both_lenders)
    product = both_lenders.product(grace_days=3, compound_interest=True)
    both_lenders.good, both_lenders.stops, both_lenders.over = (both_lenders.loan(product) for _ in range(3))  # type: ignore[attr-defined]
    both_lenders.daily = both_lenders.loan(both_lenders.product(day_count="ACT/365"), method="INTEREST_ONLY")  # type: ignore[attr-defined]
    return both_lenders


def test_a_year_of_days_agrees_with_the_fold_and_the_books(shop: Lender) -> None:
    """Days, weeks and months at a time; on each morning everything stored is what the history says."""
    dice, seen = Random(5), set()
    for step in (1, 1, 5, 20, 4, 1, 28, 3, 30, 27, 45, 1, 60):
        day = end_day(shop, step)
        as_the_fold_says(shop)
        for name in ("good", "daily", "over"):
            loan = shop.row("loan", getattr(shop, name))
            if loan["status"] == "normal" and loan["next_due_on"] <= day:
                shop.repay(loan["id"], loan["next_due_amount"] + (dice.choice([0, 5000]) if name == "over" else 0), on=day)
        row = shop.row("loan", shop.stops)
        seen.add((row["dpd_bucket"], row["risk_class"], row["non_accrual"]))
    assert seen == {("current", "normal", False), *((bucket, "attention", False) for bucket in ("m1", "m2", "m3")), ("m4", "substandard", True)}, seen
    assert {run["status"] for run in runs(shop)} == {"done"}, [errors(shop, run["id"]) for run in runs(shop)]
    assert not as_the_fold_says(shop) < 4
    books_agree(shop)
    assert any(row["run_id"] for row in shop.rows("loan_day")) and any(not row["run_id"] for row in shop.rows("loan_day"))


def test_twice_is_once(shop: Lender) -> None:
    before, days = ledger(shop), len(shop.rows("loan_day"))
    job = shop.tenant.revision().tables.engine.scheduled_job
    with shop.tenant.read() as conn:
        number = conn.scalar(sa.select(job.c.id).where(job.c.job == "lending.day_end"))
    start_job(system_context(shop.tenant, plugins=shop.plugins, clock=shop.real), number, company=shop.company)
    work(shop)
    assert (ledger(shop), len(shop.rows("loan_day"))) == (before, days)
    assert runs(shop)[-1]["status"] == "done"


def test_a_write_to_a_loan_that_lags_makes_up_for_its_days_first(shop: Lender) -> None:
    loan = shop.row("loan", shop.stops)
    day = shop.stage.today + timedelta(days=3)
    shop.day(day)
    shop.repay(loan["id"], "100.00", on=day)
    rows = shop.rows("loan_day", loan_id=loan["id"])[-3:]
    assert [(row["business_date"], row["run_id"], row["dpd"]) for row in rows] == [
        (day - timedelta(days=2 - n), None, loan["dpd"] + n + 1 if loan["dpd"] else 0) for n in range(3)]
    books_agree(shop)
    tick(shop)
    work(shop)
    as_the_fold_says(shop)
    books_agree(shop)


def test_a_broken_loan_is_held_back_with_its_reason_and_the_others_go_on(shop: Lender) -> None:
    table = shop.tenant.revision().tables.of("lending.loan")
    ill = shop.row("loan", shop.stops)
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == ill["id"]).values(book_interest=ill["book_interest"] + 7))
    day = end_day(shop)
    run = runs(shop)[-1]
    assert (run["status"], run["failed"]) == ("failed", 2), "one loan is held back, and the books do not agree because of it"
    held, whole, again = errors(shop, run["id"])
    assert held["record_id"] == again["record_id"] == ill["id"] and "账面余额" in held["sentence"] and "科目 1132" in whole["sentence"]
    assert shop.row("loan", ill["id"])["accrued_through"] == day - timedelta(days=1)
    assert shop.row("loan", shop.daily)["accrued_through"] == day
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == ill["id"]).values(book_interest=ill["book_interest"]))
    end_day(shop)
    assert runs(shop)[-1]["status"] == "done"
    as_the_fold_says(shop)
    books_agree(shop)


def test_a_cent_or_a_day_that_is_missing_is_found(shop: Lender) -> None:
    """I5 over what a run booked in sums, I11 over the days of a loan."""
    table, loans = shop.tenant.revision().tables.of("lending.loan_day"), shop.tenant.revision().tables.of("lending.loan")
    row = next(row for row in shop.rows("loan_day") if row["run_id"] and row["moved_interest"])
    with changed(shop, table, row["id"], {"moved_interest": row["moved_interest"] + D("0.01")}):
        assert "loan_servicing.sub_ledger" in broken(shop)
    with changed(shop, table, row["id"], {"business_date": row["business_date"] - timedelta(days=500)}):
        assert "loan_servicing.days" in broken(shop)
    with changed(shop, loans, row["loan_id"], {"accrued_through": shop.stage.today + timedelta(days=1)}):
        assert "loan_servicing.days" in broken(shop)
    books_agree(shop)


def test_the_first_days_of_a_loan_or_all_of_them_missing_is_found(shop: Lender) -> None:
    """I11: a loan has its rows from the day after its payout on."""
    loans, fresh = shop.tenant.revision().tables.of("lending.loan"), shop.loan()
    assert not shop.rows("loan_day", loan_id=fresh)
    books_agree(shop)
    for loan in (shop.stops, fresh):  # type: ignore[attr-defined]
        with changed(shop, loans, loan, {"disbursed_on": shop.row("loan", loan)["disbursed_on"] - timedelta(days=2)}):
            assert any(f"lending.loan {loan}: paid out on" in text for text in broken(shop)["loan_servicing.days"].first), loan
    books_agree(shop)


def test_a_loan_without_interest_owes_nothing_until_its_last_day(shop: Lender) -> None:
    """Bills of 0.00 are paid from the beginning; one that was stored as not due does not stop the day end."""
    product = shop.product(annual_rate_min=D(0))
    one, other = (shop.loan(product, amount=D(30000), term=3, rate=D(0), method="INTEREST_ONLY") for _ in range(2))
    loan, bills = shop.row("loan", one), shop.rows("instalment", loan_id=one)
    assert [(bill["principal"] + bill["interest"], bill["status"]) for bill in bills] == [(0, "paid"), (0, "paid"), (D(30000), "not_due")]
    assert (loan["next_due_on"], loan["next_due_amount"], loan["paid_periods"]) == (bills[2]["due_date"], D(30000), 2)
    table, loans = (shop.tenant.revision().tables.of(f"lending.{name}") for name in ("instalment", "loan"))
    first = shop.rows("instalment", loan_id=other)[0]["id"]
    with changed(shop, table, first, {"status": "not_due"}), changed(shop, loans, other, {"next_due_on": bills[0]["due_date"]}):
        end_day(shop, (bills[0]["due_date"] - shop.stage.today).days + 1)
        assert runs(shop)[-1]["status"] == "done", errors(shop, runs(shop)[-1]["id"])
    end_day(shop, (bills[2]["due_date"] - shop.stage.today).days)
    assert runs(shop)[-1]["status"] == "done", errors(shop, runs(shop)[-1]["id"])
    as_the_fold_says(shop)
    assert [shop.row("loan", loan)["dpd"] for loan in (one, other)] == [0, 0]
    shop.repay(one, "30000.00", on=shop.stage.today)
    assert shop.row("loan", one)["status"] == "settled"
    books_agree(shop)
    end_day(shop, 5)
    late = shop.row("loan", other)
    assert (late["dpd"], late["overdue_amount"]) == (5, D(30000) + late["penalty_balance"])
    shop.repay(other, late["next_due_amount"], on=shop.stage.today)
    assert shop.row("loan", other)["status"] == "settled"
    books_agree(shop)


def test_days_that_belong_into_a_closed_month_are_booked_on_the_first_open_day(shop: Lender) -> None:
    """Loans lag over a month that is closed meanwhile, one of them with an overpayment that pays a bill in it."""
    loan = shop.loan()
    shop.repay(loan, shop.row("loan", loan)["next_due_amount"] + 100, on=shop.stage.today)
    books_agree(shop)
    since = shop.stage.today
    shop.day((since.replace(day=1) + timedelta(days=70)).replace(day=5))
    opened, finance = shop.stage.today.replace(day=1), shop.stage.as_user("fincheck")
    for month in months(START, opened - timedelta(days=1)):
        close_month(replace(finance._context(f"close {month}"), plugins=EMPTY), month)    # as before loans had to be done for it
    books_agree(shop)
    entry = shop.tenant.revision().tables.engine.ledger_entry
    with changed(shop, entry, shop.rows("platform.ledger_entry", event="close_month")[0]["id"], {"event": "accrual"}):
        assert "loan_servicing.sub_ledger" in broken(shop), "what takes from a loan's income in a company's name is a closing, or a fault"
    last = shop.rows("platform.ledger_leg")[-1]["id"]
    tick(shop)
    work(shop)
    assert runs(shop)[-1]["status"] == "done", errors(shop, runs(shop)[-1]["id"])
    booked = [leg for leg in shop.rows("platform.ledger_leg") if leg["id"] > last]
    assert min(leg["value_date"] for leg in booked) == since + timedelta(days=1) < opened == min(leg["booking_date"] for leg in booked)
    as_the_fold_says(shop)
    books_agree(shop)
    shop.repay(loan, shop.row("loan", loan)["next_due_amount"], on=shop.stage.today)
    end_day(shop)
    as_the_fold_says(shop)
    books_agree(shop)


def months(since: date, until: date) -> list[str]:
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(since.year * 12 + since.month - 1, until.year * 12 + until.month)]


def _played(shop: Lender, daily: bool) -> dict[str, Any]:
    tick(shop)
    product = shop.product(grace_days=2)
    loans = [shop.loan(product) for _ in range(2)]
    end_day(shop, 31)
    shop.repay(loans[0], "9300.00", on=shop.stage.today)
    end_day(shop, 25)
    for _ in range(8 if daily else 1):
        end_day(shop, 1 if daily else 8)
    shop.repay(loans[0], "500.00", on=shop.stage.today)
    rows = [{name: row[name] for name in row if name.startswith("moved_") or name in ("loan_id", "business_date", "dpd", "principal_balance", "risk_class")}
            for row in sorted(shop.rows("loan_day"), key=lambda row: (row["loan_id"], row["business_date"]))]
    books_agree(shop)
    return {"days": rows, "ledger": ledger(shop), "loans": [{name: row[name] for name in row if name.startswith("book_") or name in ("dpd", "suspense")}
                                                            for row in shop.rows("loan")]}


def test_eight_missed_days_are_eight_daily_runs(tmp_path: Any) -> None:
    """An overpayment pays a bill and another bill becomes late among them."""
    found = []
    for daily in (True, False):
        with open_lender(tmp_path / str(daily), f"t_missed_{daily}".lower()) as shop:
            found.append(_played(shop, daily))
    assert found[0] == found[1]
    assert {row["dpd"] for row in found[0]["days"]} > {0, 3}
