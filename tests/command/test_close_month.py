"""Months are closed in order, once, by whoever may, and then the database takes no entry of them any more."""

import threading
import time
from datetime import date
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom import ledger
from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.command import close_month, move_business_date
from tests.command.club import NOW, Club

MARCH, APRIL = date(2026, 3, 15), date(2026, 4, 2)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Club(tmp_path_factory.mktemp("home"), url, "month_test")
    yield made
    made.close()


def book(club, event, day, company, reversal_of=None, **amounts):
    revision = club.tenant.revision()
    with club.tenant.write() as conn:
        return ledger.post(conn, revision, ledger.Entry(
            event=event, amounts={k: Decimal(v) for k, v in amounts.items()}, company_id=company, booking_date=day, value_date=day,
            cause=ledger.Cause("club.member", 1, "test", revision.number, revision.digest), reversal_of=reversal_of), now=NOW)


def balances(club, company, on=None):
    with club.tenant.read() as conn:
        found = ledger.trial_balance(conn, club.tenant.revision().tables, company_id=company, on=on)
    return {one.account: one.balance for one in found if one.balance}


def refused(work):
    with pytest.raises(NotPossible) as told:
        work()
    return told.value.message.say("zh")


def test_a_month_is_closed_in_order_with_its_result_carried_over(club):
    first = book(club, "fee_in", MARCH, club.north, total="100.00", fee="70.00", gift="30.00")
    book(club, "fee_out", MARCH, club.north, fee="5.00")
    assert "营业日期" in refused(lambda: close_month(club.ctx("chief"), "2026-03"))
    move_business_date(club.ctx("admin"), club.north, APRIL)
    move_business_date(club.ctx("admin"), club.north, date(2026, 5, 6))
    assert "先月结 2026-03" in refused(lambda: close_month(club.ctx("chief"), "2026-04"))
    done = close_month(club.ctx("chief"), "2026-03")
    assert balances(club, club.north) == {"1001": Decimal("95.00"), "4103": Decimal("-95.00")}
    row = club.row("platform.ledger_period", done.id)
    assert (row["month"], row["entries"], row["company_id"]) == ("2026-03", 3, club.north)
    with club.tenant.read() as conn:
        carried = ledger.entries_of(conn, club.tenant.revision().tables, "platform.company", club.north)
    assert carried == (("close_month", "2001", "debit", Decimal("65.00")), ("close_month", "4103", "credit", Decimal("65.00")),
                       ("close_month", "2002", "debit", Decimal("30.00")), ("close_month", "4103", "credit", Decimal("30.00")))
    assert "已月结" in refused(lambda: close_month(club.ctx("chief"), "2026-03"))
    assert "已月结" in refused(lambda: close_month(club.ctx("chief"), "2026-02"))
    club.first = first


def test_nothing_is_booked_into_a_closed_month_and_its_correction_is_booked_today(club):
    for day in (MARCH, date(2026, 3, 31), date(2025, 12, 31)):
        with pytest.raises(sa.exc.DBAPIError, match="closed"):
            book(club, "fee_in", day, club.north, total="1.00", fee="1.00")
    book(club, "fee_in", MARCH, club.south, total="1.00", fee="1.00")     # the other company's books are open
    mirror = book(club, "fee_in", date(2026, 5, 6), club.north, reversal_of=club.first)
    assert mirror
    assert balances(club, club.north, date(2026, 3, 31)) == {"1001": Decimal("95.00"), "4103": Decimal("-95.00")}


def test_a_month_without_entries_is_closed_too_and_carries_nothing(club):
    move_business_date(club.ctx("admin"), club.south, date(2026, 6, 1))
    with pytest.raises(NotAllowed):
        close_month(club.ctx("stranger"), "2026-03")
    close_month(club.ctx("far_chief"), "2026-03")
    done = close_month(club.ctx("far_chief"), "2026-04")
    assert club.row("platform.ledger_period", done.id)["entry_id"] is None


def test_who_may_not_close_and_what_is_no_month(club):
    before = len(club.engine_rows("ledger_period")), len(club.engine_rows("ledger_entry"))
    with pytest.raises(NotAllowed):
        close_month(club.ctx("clerk"), "2026-04")
    with pytest.raises(NotAllowed):
        close_month(club.ctx("chief"), "2026-05", club.south)              # another company's books
    for text in ("", "2026", "2026-13", "2026-3", "2026-04-01", "April", "2026-04; DROP"):
        with pytest.raises(Invalid):
            close_month(club.ctx("chief"), text)
    with pytest.raises(Invalid):
        close_month(club.system, "2026-04", 10**9)
    assert before == (len(club.engine_rows("ledger_period")), len(club.engine_rows("ledger_entry")))


def test_whoever_posts_meanwhile_is_in_the_month_or_refused(club):
    """Ten posters and one who closes: every entry of the month is counted by its row, or was refused."""
    told, gate = [], threading.Barrier(11)

    def post(number):
        gate.wait()
        try:
            book(club, "fee_in", date(2026, 4, 20), club.north, total="2.00", fee="2.00")
            told.append("posted")
        except sa.exc.DBAPIError as error:
            assert "closed" in str(error), error
            told.append("refused")

    threads = [threading.Thread(target=post, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    gate.wait()
    done = close_month(club.ctx("chief"), "2026-04")
    for thread in threads:
        thread.join()
    assert len(told) == 10
    april = [r for r in club.engine_rows("ledger_entry") if r["company_id"] == club.north and str(r["booking_date"]) <= "2026-04-30"]
    assert club.row("platform.ledger_period", done.id)["entries"] == len(april)
    assert "2001" not in balances(club, club.north, date(2026, 4, 30))


def test_closing_waits_for_an_entry_that_is_not_committed_yet(club):
    move_business_date(club.ctx("admin"), club.north, date(2026, 7, 1))
    posted, revision = threading.Event(), club.tenant.revision()

    def slow():
        with club.tenant.write() as conn:
            ledger.post(conn, revision, ledger.Entry(
                event="fee_in", amounts={"total": Decimal("3.00"), "fee": Decimal("3.00")}, company_id=club.north, booking_date=date(2026, 5, 20),
                value_date=date(2026, 5, 20), cause=ledger.Cause("club.member", 1, "test", 1, "")), now=NOW)
            posted.set()
            time.sleep(0.5)

    thread = threading.Thread(target=slow)
    thread.start()
    assert posted.wait(10)
    done = close_month(club.ctx("chief"), "2026-05")
    thread.join()
    may = [r for r in club.engine_rows("ledger_entry") if r["company_id"] == club.north and str(r["booking_date"]) <= "2026-05-31"]
    assert club.row("platform.ledger_period", done.id)["entries"] == len(may)


def test_a_closed_month_cannot_be_opened_again(club):
    periods = club.tenant.revision().tables.engine.ledger_period
    for statement in (periods.delete(), periods.update().values(month="2020-01")):
        with pytest.raises(sa.exc.DBAPIError), club.tenant.write() as conn:
            conn.execute(statement)
