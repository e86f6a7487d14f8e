"""Balanced entries by rule, reversals once, sums that come to zero."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.ledger import Cause, Entry, account_balance, entries_of, post, trial_balance

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY = date(2026, 3, 1)


def entry(event="fee_in", record=1, day=DAY, company=1, **amounts):
    facts = amounts.pop("facts", {})
    reversal_of = amounts.pop("reversal_of", None)
    return Entry(event=event, amounts={k: Decimal(v) if isinstance(v, str) else v for k, v in amounts.items()}, company_id=company,
                 booking_date=day, value_date=day, cause=Cause("club.member", record, "test"), facts=facts, reversal_of=reversal_of)


def book(club, *entries):
    revision = club.tenant.revision()
    with club.tenant.write() as conn:
        return [post(conn, revision, one, now=NOW) for one in entries]


def test_an_event_becomes_legs_by_its_rule_and_a_zero_amount_writes_none(club):
    book(club, entry(record=11, total="10.00", fee="10.00", gift="0.00"))
    with club.tenant.read() as conn:
        assert entries_of(conn, club.tenant.revision().tables, "club.member", 11) == (
            ("fee_in", "1001", "debit", Decimal("10.00")), ("fee_in", "2001", "credit", Decimal("10.00")))


@pytest.mark.parametrize("amounts", [
    {"total": "-1.00", "fee": "-1.00"}, {"total": "1.001", "fee": "1.001"}, {"total": "NaN", "fee": "NaN"}, {"total": 1.0, "fee": 1.0},
    {"total": 1, "fee": 1}, {"total": "0.00", "fee": "0.00"}, {}, {"total": "Infinity", "fee": "Infinity"},
])
def test_amounts_that_no_book_takes_are_refused(club, amounts):
    rows = len(club.engine_rows("ledger_entry"))
    with pytest.raises(ValueError, match="amount"):
        book(club, entry(**amounts))
    assert len(club.engine_rows("ledger_entry")) == rows


def test_what_does_not_balance_and_what_has_no_rule_is_not_posted(club):
    rows = len(club.engine_rows("ledger_entry"))
    for one in (entry(total="3.00", fee="2.00"), entry(total="3.00"), entry("nonsense", fee="3.00")):
        with pytest.raises(NotPossible):
            book(club, one)
    assert len(club.engine_rows("ledger_entry")) == rows


def test_a_reversal_mirrors_its_original_once(club):
    original = book(club, entry(record=12, total="7.00", fee="5.00", gift="2.00"))[0]
    mirror = book(club, entry("fee_in", record=12, reversal_of=original))[0]
    legs = [(r["account"], r["side"], r["amount"]) for r in club.engine_rows("ledger_leg") if r["entry_id"] == mirror]
    assert legs == [("1001", "debit", Decimal("-7.00")), ("2001", "credit", Decimal("-5.00")), ("2002", "credit", Decimal("-2.00"))]
    for target in (original, mirror, 10**9):
        with pytest.raises(NotPossible):
            book(club, entry("fee_in", reversal_of=target))


def test_balances_are_sums_of_posted_legs_and_come_to_zero(club):
    before = {}
    with club.tenant.read() as conn:
        before = {b.account: b.balance for b in trial_balance(conn, club.tenant.revision().tables)}
    book(club, entry(record=13, total="100.10", fee="100.10"), entry("fee_out", record=13, fee="0.10"),
         entry(record=13, total="5.00", fee="5.00", day=date(2026, 4, 1), company=2))
    with club.tenant.read() as conn:
        tables = club.tenant.revision().tables
        balances = {b.account: b.balance for b in trial_balance(conn, tables)}
        assert sum(balances.values()) == 0
        assert balances["1001"] - before.get("1001", 0) == Decimal("105.00")
        assert account_balance(conn, tables, "1001", company_id=2) == Decimal("5.00")
        assert account_balance(conn, tables, "1001", company_id=2, on=DAY) == 0
        assert account_balance(conn, tables, "9999") == 0


def test_the_database_itself_refuses_what_is_forged(club):
    tables = club.tenant.revision().tables.engine
    header = {"event": "x", "booking_date": DAY, "value_date": DAY, "company_id": 1}
    posted = book(club, entry(total="1.00", fee="1.00"))[0]

    def forged(step):
        with pytest.raises(sa.exc.DBAPIError), club.tenant.write() as conn:
            step(conn)

    forged(lambda c: c.execute(tables.ledger_entry.insert().values(**header, state="posted")))
    forged(lambda c: c.execute(tables.ledger_entry.update().where(tables.ledger_entry.c.id == posted).values(event="y")))
    forged(lambda c: c.execute(tables.ledger_entry.delete().where(tables.ledger_entry.c.id == posted)))
    forged(lambda c: c.execute(tables.ledger_leg.update().values(amount=Decimal("9.00"))))
    forged(lambda c: c.execute(tables.ledger_leg.insert().values(entry_id=posted, line=9, account="1001", side="debit",
                                                                 amount=Decimal("1.00"), booking_date=DAY, value_date=DAY)))

    def one_sided(conn):
        made = conn.execute(tables.ledger_entry.insert().values(**header).returning(tables.ledger_entry.c.id)).scalar_one()
        for line, side in enumerate(("debit", "debit"), 1):
            conn.execute(tables.ledger_leg.insert().values(entry_id=made, line=line, account="1001", side=side, amount=Decimal("1.00"),
                                                           booking_date=DAY, value_date=DAY))
        conn.execute(tables.ledger_entry.update().where(tables.ledger_entry.c.id == made).values(state="posted"))

    forged(one_sided)


def test_declared_facts_choose_the_rule_and_are_held_to_their_type(club):
    tables = club.tenant.revision().tables
    book(club, entry("moved", record=51, fee="4.00", facts={"late": True}), entry("moved", record=52, fee="4.00", facts={"late": False}))
    with club.tenant.read() as conn:
        assert [leg[1] for leg in entries_of(conn, tables, "club.member", 51)] == ["2001", "2002"], "an amount that is not given is 0"
        assert [leg[1] for leg in entries_of(conn, tables, "club.member", 52)] == ["2001", "1001"]
    rows = len(club.engine_rows("ledger_entry"))
    for facts in ({}, {"late": "yes"}, {"late": 1}):
        with pytest.raises(ValueError, match="late not given as the rule declares it"):
            book(club, entry("moved", record=53, fee="4.00", facts=facts))
    assert len(club.engine_rows("ledger_entry")) == rows
