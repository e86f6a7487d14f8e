"""The books of one company are held by its own day end, and by nothing that other companies or other business of its own do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from itertools import islice
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.ledger.post import Cause, Entry, Leg, store
from metaloom.record import Survey
from metaloom_plugins.loan_servicing import invariants
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.days import end_day, errors, runs, tick
from tests.plugins.loan_servicing.test_invariants import _off, changed


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """Two loans of the company and two of another one."""
    tick(both_lenders)
    product = both_lenders.product()
    both_lenders.ours, both_lenders.theirs = ([both_lenders.loan(product) for _ in range(2)] for _ in range(2))  # type: ignore[attr-defined]
    both_lenders.other = both_lenders.stage.company("YF02", {"name": "另一家小额贷款有限公司"})  # type: ignore[attr-defined]
    tick(both_lenders)
    tables = both_lenders.tenant.revision().tables
    loan, legs, entries = tables.of("lending.loan"), tables.engine.ledger_leg, tables.engine.ledger_entry
    for table, here in ((loan, loan.c.id), (legs, legs.c.record_id), (entries, entries.c.record_id)):
        of_loans = [] if table is loan else [table.c.entity == "lending.loan"]
        with _off(both_lenders, table) as conn:
            conn.execute(table.update().where(here.in_(both_lenders.theirs), *of_loans).values(company_id=both_lenders.other))  # type: ignore[attr-defined]
    end_day(both_lenders)
    end_day(both_lenders)
    return both_lenders


def _told(shop: Lender) -> dict[int, tuple[str, set[tuple[str, int]], str]]:
    """By company: how its last run ended, the records it names, and what it says."""
    last = {run["company_id"]: run for run in runs(shop)}
    return {company: (run["status"], {(row["entity"], row["record_id"]) for row in errors(shop, run["id"]) if row["record_id"]},
                      " ".join(row["sentence"] for row in errors(shop, run["id"]))) for company, run in last.items()}


def test_bad_books_of_one_company_fail_its_own_day_end_and_are_shown_to_nobody_else(shop: Lender) -> None:
    table = shop.tenant.revision().tables.of("lending.loan")
    assert {status for status, _, _ in _told(shop).values()} == {"done"} and len(_told(shop)) == 2
    for company, other, (ill, _) in ((shop.other, shop.company, shop.theirs), (shop.company, shop.other, shop.ours)):  # type: ignore[attr-defined]
        with changed(shop, table, ill, {"book_fee": D("0.07")}):
            end_day(shop)
            told = _told(shop)
            assert told[other] == ("done", set(), "")
            status, records, said = told[company]
            assert (status, records) == ("failed", {("lending.loan", ill)}) and "科目 1221" in said and "差额 -0.07" in said
    end_day(shop)
    assert {status for status, _, _ in _told(shop).values()} == {"done"}
    books_agree(shop)


@contextmanager
def _looking(shop: Lender, company: int | None) -> Iterator[Any]:
    with shop.tenant.read() as conn:
        yield Survey(conn, shop.tenant.revision(), company)


def test_a_day_end_reads_its_own_companys_books_and_of_what_is_off_no_more_than_it_tells(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    with _looking(shop, None) as survey:
        assert not list(invariants.totals(survey))
        whole = survey.looked
    for company in (shop.company, shop.other):  # type: ignore[attr-defined]
        with _looking(shop, company) as survey:
            assert not list(invariants.totals(survey))
            assert survey.looked < whole
    monkeypatch.setattr(invariants, "PAGE", 1)
    table, (first, second) = shop.tenant.revision().tables.of("lending.loan"), shop.ours  # type: ignore[attr-defined]
    asked: list[Any] = []
    booked = invariants._booked
    monkeypatch.setattr(invariants, "_booked", lambda survey, loans, *more: asked.append(loans) or booked(survey, loans, *more))
    with changed(shop, table, first, {"book_fee": D("0.07")}), changed(shop, table, second, {"book_fee": D("0.07")}):
        with _looking(shop, shop.company) as survey:
            assert [breach.id for breach in islice(invariants.totals(survey), 2)] == [shop.company, first]
            assert asked == [[first]], "one loan after another, and no further than what is told"
        with _looking(shop, shop.company) as survey:
            assert [breach.id for breach in invariants.totals(survey)] == [shop.company, first, second]


def _voucher(shop: Lender, debit: str, credit: str) -> None:
    """What a client's own rule books for a record of its own."""
    revision, day = shop.tenant.revision(), shop.stage.today
    cause = Cause("lending.customer", 1, "client.pay", revision.number, revision.digest, None)
    with shop.tenant.write() as conn:
        store(conn, revision.tables, Entry("client.pay", {}, shop.company, day, day, cause),
              (Leg(debit, "debit", D("500.00")), Leg(credit, "credit", D("500.00"))), shop.real.now())


def test_the_tax_may_be_paid_and_an_asset_sold_while_accounts_of_loans_move_by_loans_only(shop: Lender) -> None:
    for debit, credit in (("2221", "1002"), ("1002", "1441"), ("6601", "1002"), ("1002", "6111")):
        _voucher(shop, debit, credit)
    end_day(shop)
    assert {status for status, _, _ in _told(shop).values()} == {"done"}, _told(shop)
    books_agree(shop)
    _voucher(shop, "1303.01", "1002")
    assert {"loan_servicing.totals", "loan_servicing.sub_ledger"} <= set(broken(shop))
    end_day(shop)
    status, records, said = _told(shop)[shop.company]
    assert status == "failed" and ("lending.customer", 1) in records and "科目 1303.01" in said and "差额 500.00" in said
    assert _told(shop)[shop.other][0] == "done"  # type: ignore[attr-defined]
    _voucher(shop, "1002", "1303.01")
    assert not {"loan_servicing.totals"} & set(broken(shop)), "the sums are right again"


def test_a_receipts_entry_of_no_loan_is_found(shop: Lender) -> None:
    legs = shop.tenant.revision().tables.engine.ledger_leg
    with shop.tenant.read() as conn:
        one = conn.scalar(sa.select(sa.func.min(legs.c.id)).where(legs.c.entity == "lending.loan", legs.c.account == "1303.01"))
    with changed(shop, legs, one, {"record_id": 99_999_999}):
        said = broken(shop)["loan_servicing.sub_ledger"]
        assert said.breaches == 4, said.first       # the account and the principal of the loan, its interest stands; and whose the leg is
