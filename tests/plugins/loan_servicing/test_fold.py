"""A loan as a function of its history: the worked examples of the domain specification to the cent, and books that always add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction
from random import Random

import pytest

from metaloom_plugins.loan_servicing.arithmetic import PRESETS, Penalty, Terms, contract_of
from metaloom_plugins.loan_servicing.balances import (
    RECEIVABLE,
    Books,
    books_of,
    difference,
    entries,
    receipt_entry,
    vat_in,
)
from metaloom_plugins.loan_servicing.fold import Agreement, Life, Txn, fold, settlement
from metaloom_plugins.loan_servicing.life import claim

E01 = Terms(principal=D("100000.00"), annual_rate=D("0.12"), method="EQUAL_INSTALMENT", periods=12, start_date=date(2025, 1, 15))
DUE = [date(2025, month, 15) for month in range(2, 13)] + [date(2026, 1, 15)]


def agreed(rule: str = "BY_PERIOD", terms: Terms = E01, npl: str = "", **penalty: object) -> Agreement:
    """The terms of E01, penalty 18 % a year, prepayment fee 1 %."""
    contract = replace(contract_of(terms), penalty=Penalty(**{"rate": Fraction(18, 100), **penalty}), allocation=PRESETS[rule])  # type: ignore[arg-type]
    return Agreement(contract, Fraction(1, 100), PRESETS[npl] if npl else None)


def on_time(count: int) -> list[Txn]:
    return [Txn(number + 1, "due", DUE[number], 888488) for number in range(count)]


def owed(life: Life, no: int, on: date) -> dict[str, int]:
    return {name: amount for name, amount in life.open_of(life.line(no), on).items() if amount}


# -- the worked examples


def test_e18_penalty_and_compound_interest() -> None:
    on = date(2025, 5, 6)
    life = fold(agreed(), on_time(2), on)
    assert owed(life, 3, on) == {"principal": 804337, "interest": 84151, "penalty": 8446} and life.dpd(on) == 21
    assert owed(fold(agreed(compound=True), on_time(2), on), 3, on)["compound"] == 884
    assert owed(fold(agreed(base="principal_interest"), on_time(2), on), 3, on)["penalty"] == 9329


@pytest.mark.parametrize(("day", "retroactive", "penalty", "dpd"), [(18, True, 0, 0), (18, False, 0, 0), (19, True, 1609, 4), (19, False, 402, 4)])
def test_e18_grace(day: int, retroactive: bool, penalty: int, dpd: int) -> None:
    on = date(2025, 4, day)
    life = fold(agreed(grace_days=3, retroactive=retroactive), on_time(2), on)
    assert (owed(life, 3, on).get("penalty", 0), life.dpd(on)) == (penalty, dpd)


def test_e15_settlement_and_what_becomes_of_it_when_the_money_no_longer_settles() -> None:
    on = date(2025, 6, 1)
    quote = settlement(fold(agreed(), on_time(4), on), on)
    assert (quote.overdue, quote.principal, quote.interest, quote.fee, quote.total) == (0, 6798422, 38524, 67984, 6904930)
    settled = fold(agreed(), [*on_time(4), Txn(5, "settle", on, quote.total)], on)
    assert not any(any(settled.open_of(line, on).values()) for line in settled.lines) and settled.suspense == 0
    torn = fold(agreed(), [*on_time(3), Txn(5, "settle", on, quote.total)], on)
    assert torn.unmet == {5} and torn.suspense > 0, "the fourth receipt was reversed: the money is an ordinary receipt"


def test_interest_that_was_paid_before_its_time_is_not_asked_for_again_by_a_settlement() -> None:
    """E15 with 100.00 of the running interest paid on the day before: the settlement takes 100.00 less, and both together what it took."""
    on = date(2025, 6, 1)
    part = Txn(5, "due", date(2025, 5, 31), 10000)
    quote = settlement(fold(agreed(), [*on_time(4), part], on), on)
    assert (quote.principal, quote.interest, quote.fee, quote.total) == (6798422, 28524, 67984, 6894930)
    settled = fold(agreed(), [*on_time(4), part, Txn(6, "settle", on, quote.total)], on)
    assert not any(any(settled.open_of(line, on).values()) for line in settled.lines) and settled.suspense == 0
    assert settled.receipts[5].of("interest") + settled.receipts[6].of("interest") == 38524


@pytest.mark.parametrize(("plan_change", "level", "last_due", "interest"), [
    ("reduce_payment", 496417, DUE[11], 152655), ("shorten_term", 888488, DUE[8], 83757)])
def test_e16_prepayment_in_part(plan_change: str, level: int, last_due: date, interest: int) -> None:
    on = date(2025, 6, 1)
    paid = Txn(5, "prepay", on, 3068524, {"principal": 3000000, "plan_change": plan_change})
    life = fold(agreed(), [*on_time(4), paid], on)
    assert life.receipts[5].of("principal") == 3000000 and life.receipts[5].of("interest") == 38524 and life.receipts[5].of("fee") == 30000
    rest = sorted((line for line in life.lines if line.due > on), key=lambda line: line.due)
    assert (rest[0].agreed["interest"], rest[-1].due) == (17726, last_due)
    assert rest[1].agreed["principal"] + rest[1].agreed["interest"] == level
    assert sum(line.agreed["interest"] for line in rest) == interest and sum(line.agreed["principal"] for line in rest) == 3798422


def test_e17_rate_at_once_and_from_the_next_period() -> None:
    change = {"annual_rate": Fraction(96, 1000)}
    later = fold(agreed(), [*on_time(6), Txn(7, "rate", date(2025, 7, 1), 0, {**change, "effect": "next_period"})], date(2025, 7, 15))
    assert later.line(7).agreed["principal"] + later.line(7).agreed["interest"] == 882391
    at_once = fold(agreed(), [*on_time(6), Txn(7, "rate", date(2025, 7, 25), 0, {**change, "effect": "immediate"})], date(2025, 7, 25))
    assert at_once.line(7).agreed["interest"] == 46000
    assert at_once.line(8).agreed["principal"] + at_once.line(8).agreed["interest"] == 883251


def test_e20_extension() -> None:
    terms = replace(E01, method="INTEREST_ONLY", periods=6)
    life = fold(agreed(terms=terms), [Txn(1, "extend", date(2025, 7, 1), 0, {"periods": 3, "annual_rate": Fraction(132, 1000)})], date(2025, 7, 1))
    rest = [life.line(no) for no in (7, 8, 9)]
    assert [sum(line.agreed.values()) for line in rest] == [110000, 110000, 10110000] and rest[-1].due == date(2025, 10, 15)


@pytest.mark.parametrize(("rule", "third", "fourth"), [
    ("BY_PERIOD", (5000, 14076, 84151, 396773), (0, 0, 0, 0)), ("BY_COMPONENT", (5000, 14076, 84151, 318634), (0, 2031, 76108, 0)),
    ("PRINCIPAL_FIRST", (0, 0, 0, 500000), (0, 0, 0, 0))])
def test_e19_allocation(rule: str, third: tuple[int, ...], fourth: tuple[int, ...]) -> None:
    on = date(2025, 5, 20)
    life = fold(agreed(rule), [*on_time(2), Txn(3, "fee", date(2025, 4, 10), 5000, {"no": 3}), Txn(4, "due", on, 500000)], on)
    paid = {no: tuple(sum(part.amount for part in life.receipts[4].parts if (part.no, part.component) == (no, name))
                      for name in ("fee", "penalty", "interest", "principal")) for no in (3, 4)}
    assert (paid[3], paid[4]) == (third, fourth)


def test_e26_an_overpayment_pays_the_next_bill_when_it_falls_due() -> None:
    receipts = [Txn(1, "due", DUE[0], 900000)]
    assert fold(agreed(), receipts, date(2025, 3, 14)).suspense == 11512
    after = fold(agreed(), receipts, DUE[1])
    assert (after.suspense, after.line(2).open) == (0, 876976)


def test_e27_waivers() -> None:
    on = date(2025, 5, 6)
    waived = [Txn(3, "waive", on, 8446, {"component": "penalty", "no": 3}), Txn(4, "waive", on, 42076, {"component": "interest", "no": 3})]
    life = fold(agreed(), [*on_time(2), *waived], on)
    assert sum(owed(life, 3, on).values()) == 846412


def test_e28_write_off_and_recovery() -> None:
    """The allowance is topped up by what is missing, the whole goes against it, and what comes back later goes to it again."""
    on = date(2025, 6, 1)
    before = books_of(fold(agreed(), [*on_time(2), Txn(3, "provision", on, 3000000)], on), on)
    gross = sum(getattr(before, name) for name in RECEIVABLE)
    history = [*on_time(2), Txn(3, "provision", on, 3000000), Txn(4, "write_off", on)]
    after = books_of(fold(agreed(), history, on), on)
    assert (after.allowance, after.impairment, after.written_off) == (0, gross, gross) and not any(getattr(after, name) for name in RECEIVABLE)
    later = date(2025, 8, 1)
    back = books_of(fold(agreed(), [*history, Txn(5, "due", later, 1000000)], later), later)
    assert (back.allowance, back.written_off) == (1000000, gross - 1000000)


def test_e28_what_was_off_the_books_stays_there_until_the_rest_is_paid_and_is_income_then() -> None:
    """Written off on the books 85,000.00 and more; beside them interest and penalty of half a year. 10,000.00, then all of it, on one day."""
    on = date(2025, 8, 1)
    terms = replace(agreed(compound=True), vat_rate=Fraction(6, 100))
    history = [*on_time(2), Txn(3, "fee", date(2025, 4, 1), 5000), Txn(4, "write_off", on)]
    gone = books_of(fold(terms, history, on), on)
    assert gone.written_off == 8415139 + 5000 and gone.off_interest > 400000
    part = books_of(fold(terms, [*history, Txn(5, "due", on, 1000000)], on), on)
    assert (part.allowance, part.written_off, part.off_interest) == (1000000, gone.written_off - 1000000, gone.off_interest)
    assert part.income_interest == gone.income_interest
    life = fold(terms, [*history, Txn(5, "due", on, 1000000), Txn(6, "accelerate", on)], on)
    owed = sum(sum(life.open_of(line, on).values()) for line in life.lines)
    assert owed == part.written_off + part.off_interest == sum(claim(life, on).values())
    paid = [*history, Txn(5, "due", on, 1000000), Txn(6, "accelerate", on), Txn(7, "due", on, owed)]
    whole = books_of(fold(terms, paid, on), on)
    assert (whole.allowance, whole.written_off, whole.off_interest, whole.suspense) == (gone.written_off, 0, 0, 0)
    late = {name: getattr(whole, f"income_{name}") - getattr(gone, f"income_{name}") for name in ("interest", "penalty", "compound", "fee")}
    assert sum(late.values()) == gone.off_interest and late["fee"] == 0 and min(late["interest"], late["penalty"], late["compound"]) > 0
    assert {name: getattr(whole, f"vat_{name}") - getattr(gone, f"vat_{name}") for name in late} == {
        name: vat_in(amount, Fraction(6, 100)) for name, amount in late.items()}
    before = fold(terms, paid[:-1], on)
    (event, amounts), stands = receipt_entry(books_of(before, on), fold(terms, paid, on).receipts[7], before, on)
    assert event == "recovery" and {name: amounts.get(name, 0) for name in ("received", "recovered", "written_off", "off_interest", *late)} == {
        "received": owed, "recovered": part.written_off, "written_off": part.written_off, "off_interest": gone.off_interest, **late}
    assert entries(stands, whole) == [("vat", {name: vat_in(amount, Fraction(6, 100)) for name, amount in late.items() if amount})]


def test_e30_penalty_runs_on_what_is_left() -> None:
    history = [*on_time(2), Txn(3, "due", date(2025, 4, 25), 300000 + 84151 + 4022)]
    life = fold(agreed(), history, date(2025, 5, 6))
    assert life.receipts[3].of("penalty") == 4022 and owed(life, 3, date(2025, 5, 6)) == {"principal": 504337, "penalty": 2774}


def test_acceleration_makes_all_due_on_the_day() -> None:
    on = date(2025, 6, 1)
    life = fold(agreed(), [*on_time(4), Txn(5, "accelerate", on)], date(2025, 6, 11))
    assert (life.line(5).due, life.line(5).agreed["principal"], life.dpd(date(2025, 6, 11))) == (on, 6798422, 10)


def test_a_non_performing_loan_follows_its_own_matrix() -> None:
    on = date(2025, 8, 1)
    life = fold(agreed(npl="PRINCIPAL_FIRST"), [*on_time(2), Txn(3, "due", on, 100000)], on)
    assert life.receipts[3].of("principal") == 100000
    assert fold(agreed(npl="PRINCIPAL_FIRST"), [*on_time(2), Txn(3, "due", date(2025, 5, 1), 80000)], on).receipts[3].of("principal") == 0


# -- the books


def test_after_90_days_interest_leaves_the_books_and_comes_back_when_nothing_is_late() -> None:
    history = on_time(2)
    for day, off in ((date(2025, 7, 14), False), (date(2025, 7, 15), True)):
        life = fold(agreed(), history, day)
        assert (life.dpd(day), life.non_accrual) == (90 if not off else 91, off)
    on = date(2025, 7, 20)
    stopped = books_of(fold(agreed(), history, on), on)
    assert stopped.non_accrual == 8415139 and stopped.interest == stopped.interest_overdue == 0
    assert stopped.income_interest == 192115 and stopped.off_interest > 0, "income is what was received"
    bills = fold(agreed(), history, on)
    due = sum(sum(bills.open_of(line, on).values()) for line in bills.lines if line.due <= on)
    part = fold(agreed(), [*history, Txn(3, "due", on, due - 100)], on)
    assert part.non_accrual, "a cent that is late keeps it off the books"
    cured = books_of(fold(agreed(), [*history, Txn(3, "due", on, due)], on), on)
    assert cured.non_accrual == cured.off_interest == 0 and cured.normal > 0


KINDS = {"due": 12, "fee": 2, "waive": 2, "rate": 1, "extend": 1, "accelerate": 0.3, "pause": 1, "prepay": 1, "settle": 0.5, "refund": 1}


def lived(seed: int) -> tuple[Agreement, list[Txn], date]:
    """A random history of E01 with another method, other matrices and grace."""
    dice = Random(seed)
    terms = replace(E01, method=dice.choice(["EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET", "FLAT"]), periods=dice.choice([3, 6, 12]),
                    day_count=dice.choice(["30/360", "ACT/360", "ACT/365"]))
    agreement = agreed(dice.choice(sorted(PRESETS)), terms, npl=dice.choice(["", "PRINCIPAL_FIRST"]), grace_days=dice.choice([0, 3]),
                       compound=dice.random() < 0.3, retroactive=dice.random() < 0.7)
    txns: list[Txn] = []
    for seq in range(1, dice.randrange(2, 14)):
        on = date(2025, 1, 15) + timedelta(days=dice.randrange(1, 420))
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        given: dict[str, object] = {
            "waive": {"component": dice.choice(["penalty", "interest", "fee"])}, "rate": {"annual_rate": Fraction(dice.randrange(60, 240), 1000),
                                                                                          "effect": dice.choice(["immediate", "next_period"])},
            "extend": {"periods": dice.randrange(1, 4)}, "pause": {"until": on + timedelta(days=dice.randrange(1, 40))},
            "prepay": {"principal": dice.randrange(1, 5000000), "plan_change": dice.choice(["reduce_payment", "shorten_term"])}}.get(kind, {})  # type: ignore[assignment]
        txns.append(Txn(seq, kind, on, dice.randrange(1, 12000000 if kind in ("settle", "prepay") else 1500000), given))
    return agreement, txns, date(2025, 1, 15) + timedelta(days=dice.randrange(30, 480))


def cash(books: Books) -> int:
    """What must have come in or gone out for these balances to add up."""
    ours = sum(getattr(books, name) for name in RECEIVABLE) + books.impairment
    return books.suspense + books.income_interest + books.income_penalty + books.income_compound + books.income_fee + books.allowance - ours


SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happened_the_books_add_up_to_the_money_that_moved(seed: int) -> None:
    agreement, txns, day = lived(seed)
    life = fold(agreement, txns, day)
    books = books_of(life, day)
    came = sum(txn.amount for txn in txns if txn.kind in ("due", "settle", "prepay") and txn.on <= day)
    went = sum(txn.amount for txn in txns if txn.kind == "refund" and txn.on <= day) - life.shortfall
    assert cash(books) == came - went - life.contract.principal
    assert all(amount >= 0 for line in life.lines for amount in life.open_of(line, day).values())
    assert sum(getattr(books, name) for name in ("normal", "overdue", "non_accrual")) == sum(line.unpaid("principal") for line in life.lines)
    for receipt in life.receipts.values():
        assert receipt.amount + receipt.from_suspense == sum(part.amount for part in receipt.parts) + receipt.surplus


def test_what_is_waived_of_an_amount_written_off_does_not_come_back_with_time() -> None:
    on = date(2025, 5, 20)
    history = [*on_time(2), Txn(3, "write_off", on), Txn(4, "waive", on, 150000, {"component": "interest"})]
    gone, waived, later = (books_of(fold(agreed(), history[:count], day), day) for count, day in (
        (3, on), (4, on), (4, on + timedelta(days=60))))
    assert (waived.written_off, waived.off_interest) == (gone.written_off - 150000, 0) and not gone.off_interest
    assert later.written_off == waived.written_off and later.off_interest > 0
    rest = fold(agreed(), [*history, Txn(5, "accelerate", on), Txn(6, "due", on, 20000000)], on)
    assert books_of(rest, on).allowance == waived.written_off == rest.recovered


@pytest.mark.parametrize(("kind", "amount"), [("write_off", 0), ("transfer", 5000000), ("repossess", 5000000)])
def test_a_month_end_after_a_loan_is_gone_sets_nothing_aside(kind: str, amount: int) -> None:
    """Dated back before a month end that was provided for already: one loss, and no allowance of a loan that is on the books no more."""
    gone, end, on = date(2025, 8, 20), date(2025, 8, 31), date(2025, 9, 5)
    history = [*on_time(2), Txn(3, "provision", end, 3000000), Txn(4, kind, gone, amount)]
    books, plain = (books_of(fold(agreed(), txns, on), on) for txns in (history, [txn for txn in history if txn.seq != 3]))
    assert books == plain and books.allowance == 0 < books.impairment
    assert books_of(fold(agreed(), history[:3], on), on).allowance == 3000000


def test_a_coupon_after_the_write_off_is_told_to_lapse() -> None:
    on = date(2025, 8, 1)
    life = fold(agreed(), [*on_time(2), Txn(3, "write_off", on), Txn(4, "coupon", on, 1000)], on)
    assert life.unmet == {4} and life.coupons == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_loan_written_off_the_memo_accounts_hold_the_whole_claim_on_every_day(seed: int) -> None:
    """Whatever comes after the write-off: what is waived, paid, planned anew. Time alone moves nothing but interest off the books."""
    agreement, txns, day = lived(seed)
    since = day - timedelta(days=Random(seed).randrange(5, 120))
    txns = [*(replace(txn, seq=txn.seq + (100 if txn.on > since else 0)) for txn in txns if txn.kind not in ("refund",)), Txn(50, "write_off", since),
            Txn(300, "due", day - timedelta(days=3), 30000000 if seed % 3 == 0 else 2000000)]
    first = sum(txn.amount for txn in txns if txn.kind in ("due", "settle", "prepay") and txn.on <= since)
    stands: Books | None = None
    for number in range((day - since).days + 1):
        on = since + timedelta(days=number)
        life = fold(agreement, txns, on, closing=False)
        books = books_of(life, on)
        owed = sum(claim(life, on).values())
        came = sum(txn.amount for txn in txns if txn.kind in ("due", "settle", "prepay") and since < txn.on <= on)
        assert books.off_interest + books.written_off == owed and min(books.off_interest, books.written_off) >= 0
        assert cash(books) == first + came - life.contract.principal
        if stands is not None:
            steps = entries(stands, books) if not any(txn.on == on for txn in txns) and life.suspense == stands.suspense else []
            assert {event for event, _ in steps} <= {"memorandum"} and all(set(amounts) <= {"off_interest"} for _, amounts in steps)
        stands = books


@pytest.mark.parametrize("seed", SEEDS)
def test_the_entries_lead_from_what_stands_to_what_is_wanted_day_by_day_or_at_once(seed: int) -> None:
    agreement, txns, day = lived(seed)
    start = agreement.contract.start_date
    stands = books_of(fold(agreement, [], start), start)
    on = start
    while on < day:
        on += timedelta(days=1)
        wanted = books_of(fold(agreement, [txn for txn in txns if txn.kind not in ("refund",)], on), on)
        came = cash(wanted) - cash(stands)
        money = sum(txn.amount for txn in txns if txn.on == on and txn.kind in ("due", "settle", "prepay"))
        assert came == money
        if not money:
            found = entries(stands, wanted)
            assert all(amount > 0 for _, amounts in found for amount in amounts.values())
            assert bool(found) == bool(difference(stands, wanted))
        stands = wanted
    assert entries(stands, stands) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_receipt_and_what_a_replay_changes_are_booked_to_the_cent(seed: int) -> None:
    """A receipt comes to light late: its own entry and the corrections lead exactly to the books of the history with it."""
    agreement, txns, day = lived(seed)
    late = Txn(99, "due", day - timedelta(days=20), 777777)
    before = fold(agreement, txns, day)
    after = fold(agreement, [*txns, late], day)
    (_, amounts), stands = receipt_entry(books_of(before, day), after.receipts[99], before, day)
    came = amounts.get("received", 0) + amounts.get("from_suspense", 0)
    assert came == sum(amount for name, amount in amounts.items() if name not in ("received", "from_suspense", "off_interest"))
    if after.shortfall == before.shortfall:
        entries(stands, books_of(after, day))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_writing_does_not_matter_and_a_split_receipt_is_a_receipt(seed: int) -> None:
    agreement, txns, day = lived(seed)
    wanted = books_of(fold(agreement, txns, day), day)
    Random(seed).shuffle(shuffled := list(txns))
    assert books_of(fold(agreement, shuffled, day), day) == wanted
    receipts = [txn for txn in txns if txn.kind == "due" and txn.amount > 1]
    split = [part for txn in txns for part in (
        [replace(txn, seq=txn.seq * 10, amount=1), replace(txn, seq=txn.seq * 10 + 1, amount=txn.amount - 1)] if txn in receipts
        else [replace(txn, seq=txn.seq * 10)])]
    assert books_of(fold(agreement, split, day), day) == wanted
