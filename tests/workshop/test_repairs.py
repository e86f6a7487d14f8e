"""A repair from the counter to the pick-up, and the stock behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest

from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible
from metaloom.command import change_record
from tests.workshop.shop import Shop


def test_a_repair_goes_from_the_counter_to_the_pick_up(shop: Shop) -> None:
    part, order = shop.part(stock=5), shop.order()
    shop.do("tech", "repair_order", order, "begin")
    shop.do("tech", "repair_order", order, "use_part", part=part, quantity=2)
    shop.do("tech", "repair_order", order, "finish")
    shop.do("reception", "repair_order", order, "deliver")
    row = shop.see("boss", "repair_order", order)
    assert row["status"] == "delivered" and row["finished_on"] == date(2026, 11, 20)
    assert (row["labour"], row["parts_cost"], row["total"]) == (Decimal("60.00"), Decimal("60.00"), Decimal("120.00"))
    assert shop.stock(part) == 3 == shop.moves(part)
    with pytest.raises(NotPossible):
        shop.do("reception", "repair_order", order, "deliver")


def test_under_warranty_nothing_is_to_be_paid(shop: Shop) -> None:
    part, order = shop.part(stock=1), shop.order(bought_on=date(2026, 11, 1))
    shop.do("tech", "repair_order", order, "begin")
    shop.do("tech", "repair_order", order, "use_part", part=part, quantity=1)
    row = shop.see("boss", "repair_order", order)
    assert row["in_warranty"] is True and row["parts_cost"] == Decimal("30.00") and row["total"] == Decimal("0.00")


def test_more_than_the_stock_is_refused_and_leaves_no_trace(shop: Shop) -> None:
    part, order = shop.part(stock=2), shop.order()
    shop.do("tech", "repair_order", order, "begin")
    with pytest.raises(NotPossible, match="2 left"):
        shop.do("tech", "repair_order", order, "use_part", part=part, quantity=3)
    assert shop.stock(part) == 2 == shop.moves(part) and shop.value("repair_order", order, "parts_cost") == 0


def test_twenty_issues_at_once_never_take_more_than_there_is(shop: Shop) -> None:
    part, orders = shop.part(stock=7), [shop.order() for _ in range(20)]
    for order in orders:
        shop.do("tech", "repair_order", order, "begin")

    def issue(order: int) -> bool:
        try:
            shop.do("tech", "repair_order", order, "use_part", part=part, quantity=1)
        except (NotPossible, Invalid):  # too little is left; or nothing, and then the part is not offered any more
            return False
        return True

    with ThreadPoolExecutor(20) as crowd:
        done = list(crowd.map(issue, orders))
    assert sum(done) == 7 and shop.stock(part) == 0 == shop.moves(part)
    assert sum(shop.value("repair_order", order, "parts_cost") for order in orders) == Decimal("210.00")


def test_a_purchase_received_grows_the_stock_once(shop: Shop) -> None:
    part = shop.part(stock=1)
    purchase = shop.purchase(part, 10)
    with pytest.raises(NotPossible):
        shop.do("store", "purchase", purchase, "receive")
    shop.do("boss", "purchase", purchase, "approve")
    shop.do("store", "purchase", purchase, "receive")
    assert shop.stock(part) == 11 == shop.moves(part)
    assert shop.see("boss", "purchase", purchase)["total"] == Decimal("125.00")
    with pytest.raises(NotPossible):
        shop.do("store", "purchase", purchase, "receive")
    assert shop.stock(part) == 11


def test_whoever_wrote_a_purchase_does_not_approve_it(shop: Shop) -> None:
    part = shop.part()
    mine = shop.make("boss", "purchase", supplier="Parts Ltd", lines=[{"part": part, "quantity": 1, "unit_cost": Decimal(1)}])
    with pytest.raises(NotAllowed):
        shop.do("boss", "purchase", mine, "approve")
    shop.do("second", "purchase", mine, "approve")


def test_a_count_books_the_difference_both_ways(shop: Shop) -> None:
    part = shop.part(stock=10)
    shop.do("store", "spare_part", part, "count", "two broken", counted=8)
    shop.do("store", "spare_part", part, "count", "found three", counted=11)
    assert shop.stock(part) == 11 == shop.moves(part)
    for reason, counted in (("", 5), ("same", 11), ("negative", -1)):
        with pytest.raises((Invalid, NotPossible)):
            shop.do("store", "spare_part", part, "count", reason, counted=counted)


@pytest.mark.parametrize("values", [{"stock": 100}, {"status": "delivered"}, {"parts_cost": "0.00"}, {"finished_on": "2026-01-01"}])
def test_stock_states_and_costs_are_no_input(shop: Shop, values: dict[str, object]) -> None:
    entity, id = ("spare_part", shop.part(stock=1)) if "stock" in values else ("repair_order", shop.order())
    with pytest.raises(Invalid):
        change_record(shop.as_("boss"), f"workshop.{entity}", id, values, shop.version(entity, id))


def test_a_technician_sees_the_money_of_own_orders_only(shop: Shop) -> None:
    order = shop.order("tech")
    mine, theirs = shop.see("tech", "repair_order", order), shop.see("tech2", "repair_order", order)
    assert mine["labour"] == Decimal("60.00") and mine["fault"] == theirs["fault"] == "dead"
    for hidden in ("total", "labour", "parts_cost"):
        assert hidden not in theirs.values or theirs[hidden] is None
    assert shop.see("store", "repair_order", order)["total"] is None
    with pytest.raises((NotAllowed, NotFound)):
        shop.do("tech2", "repair_order", order, "begin")


def test_used_parts_show_to_the_technician_of_the_order_only(shop: Shop) -> None:
    part, order = shop.part(stock=3), shop.order("tech")
    shop.do("tech", "repair_order", order, "begin")
    shop.do("tech", "repair_order", order, "use_part", part=part, quantity=1)
    table = shop.tenant.revision().tables.of("workshop.used_part")
    with shop.tenant.read() as conn:
        used = conn.execute(table.select().where(table.c.repair_order_id == order)).mappings().one()["id"]
    assert shop.see("tech", "used_part", used)["quantity"] == 1
    with pytest.raises(NotFound):
        shop.see("tech2", "used_part", used)


def test_one_open_order_for_each_device(shop: Shop) -> None:
    order = shop.order()
    device = shop.value("repair_order", order, "device_id")
    with pytest.raises(MetaloomError):
        shop.make("reception", "repair_order", device=device, fault="again")
    shop.do("tech", "repair_order", order, "give_up", "beyond repair")
    assert shop.make("reception", "repair_order", device=device, fault="again")


def test_the_same_repair_through_rest(shop: Shop) -> None:
    part, order = shop.part(stock=4), shop.order()
    client, head = shop.token("tech")

    def act(name: str, **given: object) -> int:
        tag = client.get(f"/garage/api/v1/workshop.repair_order/{order}", headers=head).headers["ETag"]
        return client.post(f"/garage/api/v1/workshop.repair_order/{order}/{name}", json={"input": given}, headers={**head, "If-Match": tag}).status_code

    assert act("finish") == 409
    assert act("begin") == 200
    assert act("use_part", part=part, quantity=9) == 409
    assert act("use_part", part=part, quantity=0) == 400
    assert act("use_part", part=part, quantity=4) == 200
    assert act("use_part", part=part, quantity=1) == 400  # the link's filter: nothing on stock
    assert act("deliver") == 403
    assert act("finish") == 200
    assert shop.stock(part) == 0 == shop.moves(part)


def test_the_sum_of_the_movements_is_the_stock_of_every_part(shop: Shop) -> None:
    table = shop.tenant.revision().tables.of("workshop.spare_part")
    with shop.tenant.read() as conn:
        stock = {row.id: row.stock for row in conn.execute(table.select())}
    assert all(shop.moves(part) == number >= 0 for part, number in stock.items())
