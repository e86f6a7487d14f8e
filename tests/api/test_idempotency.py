"""The same key is the same request: one effect, one answer (reliability.md 74, G17)."""

from concurrent.futures import ThreadPoolExecutor

import pytest


def paid(people, sale):
    """(what the sale says is paid, how many payments there are)"""
    cashier = people["cashier"]
    return cashier.get(f"/depot.sale/{sale}").json["paid"], cashier.get(f"/depot.payment?sale={sale}&count=true").json["count"]["number"]


def pay(caller, sale, key=None, amount="5.00", version=1):
    headers = {"If_Match": f'"{version}"', **({} if key is None else {"Idempotency_Key": key})}
    return caller.post(f"/depot.sale/{sale}/pay", {"input": {"amount": amount}}, **headers)


def test_money_moves_only_with_a_key(people):
    sale = people["clerk"].sale()
    answer = pay(people["cashier"], sale)
    assert answer.status_code == 400 and answer.json["code"] == "command.key_missing"
    assert paid(people, sale) == (None, 0)


def test_the_same_key_gives_the_same_answer_and_no_second_effect(people):
    sale = people["clerk"].sale()
    first, second = pay(people["cashier"], sale, "again-1"), pay(people["cashier"], sale, "again-1")
    assert first.status_code == second.status_code == 200
    assert first.get_data() == second.get_data() and first.headers["ETag"] == second.headers["ETag"]
    assert "Idempotency-Replayed" not in first.headers and second.headers["Idempotency-Replayed"] == "true"
    assert paid(people, sale) == ("5.00", 1)


def test_another_body_under_the_same_key_is_refused(people):
    sale, other = people["clerk"].sale(), people["clerk"].sale()
    assert pay(people["cashier"], sale, "again-2").status_code == 200
    assert pay(people["cashier"], sale, "again-2", amount="6.00").status_code == 422
    assert pay(people["cashier"], other, "again-2").status_code == 422
    assert pay(people["cashier"], sale, "again-2", version=2).status_code == 422
    assert paid(people, sale) == ("5.00", 1) and paid(people, other) == (None, 0)


def test_keys_of_different_people_and_tenants_never_meet(world, people):
    sale = people["clerk"].sale()
    assert pay(people["cashier"], sale, "shared").status_code == 200
    one = people["clerk"].post("/depot.buyer", {"code": "i1", "name": "x"}, Idempotency_Key="shared")
    two = world.client("two").login("clerk").post("/depot.buyer", {"code": "i1", "name": "x"}, Idempotency_Key="shared")
    assert one.status_code == two.status_code == 201
    assert "Idempotency-Replayed" not in one.headers and "Idempotency-Replayed" not in two.headers


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "x" * 1000, "a b", "naïve".encode().decode("latin-1"), "tab\there"])
def test_a_malformed_key_is_refused(people, key):
    sale = people["clerk"].sale()
    assert pay(people["cashier"], sale, key).status_code == 400
    assert people["clerk"].post("/depot.buyer", {"code": "never", "name": "x"}, Idempotency_Key=key).status_code == 400
    assert people["clerk"].post("/depot.sale/bulk", {"operation": "create", "items": [{}]}, Idempotency_Key=key).status_code == 400
    assert paid(people, sale) == (None, 0)


def test_a_request_that_cannot_be_read_whole_is_refused_whatever_its_key_was_used_for(people):
    clerk, sent = people["clerk"], {"code": "i7", "name": "x"}
    made = clerk.post("/depot.buyer", sent, Idempotency_Key="unread")
    assert made.status_code == 201
    again = clerk.post("/depot.buyer", {**sent, "bogus": 1}, Idempotency_Key="unread")
    assert again.status_code == 400 and [p["field"] for p in again.json["problems"]][-1] == "bogus" and "Idempotency-Replayed" not in again.headers
    changed = clerk.patch(f"/depot.buyer/{made.json['id']}", {"name": "y"}, If_Match='"1"', Idempotency_Key="unread-2")
    assert changed.status_code == 200
    again = clerk.patch(f"/depot.buyer/{made.json['id']}", {"name": "y", "bogus": 1}, If_Match='"1"', Idempotency_Key="unread-2")
    assert again.status_code in (400, 412) and "Idempotency-Replayed" not in again.headers
    assert clerk.post("/depot.buyer", sent, Idempotency_Key="unread").headers["Idempotency-Replayed"] == "true"


def test_a_refused_request_does_not_use_its_key_up(people):
    sale = people["clerk"].sale()
    assert pay(people["cashier"], sale, "later", amount="0.00").status_code == 400
    assert pay(people["cashier"], sale, "later").status_code == 200
    assert paid(people, sale) == ("5.00", 1)


def test_twenty_at_once_with_one_key_are_one_effect(world, people):
    sale, cashier = people["clerk"].sale(), people["cashier"]

    def one(_):
        caller = world.client()
        caller.token = cashier.token
        return pay(caller, sale, "parallel")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(20)))
    done = [a for a in answers if a.status_code == 200]
    assert done and {a.status_code for a in answers} <= {200, 409, 503}
    assert len({a.get_data() for a in done}) == 1
    assert sum("Idempotency-Replayed" not in a.headers for a in done) == 1
    assert paid(people, sale) == ("5.00", 1)


def test_twenty_at_once_without_the_same_key_are_told_they_are_late(world, people):
    sale, cashier = people["clerk"].sale(), people["cashier"]

    def one(number):
        caller = world.client()
        caller.token = cashier.token
        return pay(caller, sale, f"own-{number}")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(20)))
    assert sorted({a.status_code for a in answers}) in ([200, 412], [200, 412, 503])
    assert sum(a.status_code == 200 for a in answers) == 1
    assert paid(people, sale) == ("5.00", 1)


def test_create_change_and_bulk_replay_too(people):
    clerk = people["clerk"]
    body = {"buyer": clerk.buyer(), "amount": "3.00"}
    made = [clerk.post("/depot.sale", body, Idempotency_Key="make") for _ in range(2)]
    assert made[0].get_data() == made[1].get_data() and made[1].status_code == 201 and made[1].headers["Idempotency-Replayed"] == "true"
    path = f"/depot.sale/{made[0].json['id']}"
    changed = [clerk.patch(path, {"note": "n"}, If_Match='"1"', Idempotency_Key="change") for _ in range(2)]
    assert [c.status_code for c in changed] == [200, 200] and changed[0].get_data() == changed[1].get_data()
    count = clerk.get("/depot.sale?count=true").json["count"]["number"]
    bulk = [clerk.post("/depot.sale/bulk", {"operation": "create", "items": [body, body]}, Idempotency_Key="many") for _ in range(2)]
    assert bulk[0].get_data() == bulk[1].get_data() and bulk[0].json["done"] == 2
    assert clerk.get("/depot.sale?count=true").json["count"]["number"] == count + 2
