"""Many at once on one loan, and different things at once to one loan: exact sums, and an end that some order of them has (F29, F30)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal as D
from itertools import permutations
from typing import Any

import pytest

from metaloom.base.errors import Busy, MetaloomError, Stale
from metaloom.command import schedule_jobs
from tests.plugins.lender import Lender
from tests.storm import days
from tests.storm import world as worlds
from tests.storm.checks import crowd
from tests.storm.child import answer_of
from tests.storm.paths import facts, quiet
from tests.storm.trial import opened
from tests.storm.world import World

OPERATIONS = 3


def test_fifty_clients_repay_one_loan(world: World) -> None:
    worlds.reset(world)
    answer_of(lambda: crowd(opened(world), 50, repayments=1, amount=D("333.33")))


def operations(shop: Lender) -> dict[str, Callable[[], None]]:
    """What happens to one loan on one day: a receipt, a change that two people agreed on, the day end."""
    loan = facts(shop)["debited"][0]
    shop.day(shop.stage.today + timedelta(days=1))
    shop.do("finance", "loan", loan, "propose_change", {"kind": "fee", "effective_on": shop.stage.today, "reason": "客户申请", "amount": D("88.00")})
    change = shop.rows("loan_change", loan_id=loan)[-1]["id"]
    schedule_jobs(shop.tenant, plugins=shop.plugins, clock=shop.real)
    receipt = {"amount": D("1500.00"), "kind": "due", "value_date": shop.stage.today, "source": "transfer"}
    return {
        "repay": lambda: shop.do("finance", "loan", loan, "repay", receipt),
        "change": lambda: shop.do("fincheck", "loan_change", change, "apply_change", {}),
        "day end": lambda: quiet(shop, "job.run", "job.part", turns=40)}


def left(shop: Lender) -> dict[str, list[str]]:
    """State and books of the loan, without the voucher in which they were booked: days may be made up for one loan alone."""
    loan = facts(shop)["debited"][0]
    found = days.books(shop)
    return {"loan": [row for row in found["loan"] if f"loan_no={shop.row('loan', loan)['loan_no']}" in row], "instalment": found["instalment"],
            "accounts": [f"{account} {shop.account(account)}" for account in ("1002", "1132.01", "2241.02", "6011.01")]}


def patiently(work: Callable[[], None]) -> None:
    """A version that moved on and a database that is busy are tried again, as a person would."""
    for _ in range(100):
        try:
            work()
            return
        except (Stale, Busy):
            continue
    raise AssertionError("was never let in")


def one_after_another(world: World, order: tuple[str, ...]) -> dict[str, list[str]]:
    def work() -> dict[str, list[str]]:
        shop = opened(world)
        known = operations(shop)
        for name in order:
            known[name]()
        known["day end"]()
        return left(shop)

    worlds.reset(world)
    found: dict[str, list[str]] = answer_of(work)
    return found


def at_once(world: World) -> dict[str, list[str]]:
    def work() -> dict[str, list[str]]:
        shop = opened(world)
        known, wrong = operations(shop), list[BaseException]()
        barrier = threading.Barrier(len(known))

        def run(one: Callable[[], None]) -> None:
            barrier.wait()
            try:
                patiently(one)
            except MetaloomError as error:
                wrong.append(error)

        people = [threading.Thread(target=run, args=(one,)) for one in known.values()]
        for one in people:
            one.start()
        for one in people:
            one.join()
        assert not wrong, wrong
        worlds.expire(shop.tenant)
        known["day end"]()
        return left(shop)

    worlds.reset(world)
    found: dict[str, list[str]] = answer_of(work)
    return found


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.nightly)])
def test_receipt_change_and_day_end_at_once_have_the_end_of_some_order(world: Any, rounds: int) -> None:
    """The orders are played until every end that was seen is the end of one of them."""
    seen = [at_once(world) for _ in range(rounds)]
    unknown = [found for place, found in enumerate(seen) if found not in seen[:place]]
    for order in permutations(("repay", "change", "day end")):
        if not unknown:
            return
        end = one_after_another(world, order)
        unknown = [found for found in unknown if found != end]
    assert not unknown, worlds.difference(end, unknown[0])
