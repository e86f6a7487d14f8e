"""Create, read, change, delete: the same commands as the screens, in JSON."""

import pytest


def test_a_record_goes_round_in_json(people):
    clerk = people["clerk"]
    buyer = clerk.buyer(mobile="13812345678")
    made = clerk.post("/depot.sale", {"buyer": buyer, "amount": "12.5", "share": "0.125", "due_on": "2026-12-31", "urgent": True,
                                      "tags": ["a", "红"], "colour": "blue", "extra": {"k": [1, 2.5]}, "lines": [{"what": "bolt", "quantity": 3}]})
    assert made.status_code == 201
    assert made.headers["Location"] == f"/one/api/v1/depot.sale/{made.json['id']}"
    read = clerk.get(f"/depot.sale/{made.json['id']}")
    assert read.headers["ETag"] == made.headers["ETag"] == '"1"'
    row = read.json
    assert (row["amount"], row["twice"], row["share"]) == ("12.50", "25.00", "0.12500000")
    assert row["buyer"]["id"] == buyer and row["due_on"] == "2026-12-31" and row["urgent"] is True and row["tags"] == ["a", "红"]
    assert row["extra"] == {"k": [1, "2.5"]}
    assert row["lines"][0]["what"] == "bolt" and row["lines"][0]["quantity"] == 3
    assert row["status"] == "draft" and row["order_no"].startswith("DD20261120")


def test_a_change_needs_the_version_that_was_read(people):
    clerk = people["clerk"]
    path = f"/depot.sale/{clerk.sale()}"
    assert clerk.patch(path, {"note": "x"}).status_code == 428
    changed = clerk.patch(path, {"note": "first"}, If_Match='"1"')
    assert changed.status_code == 200 and changed.headers["ETag"] == '"2"'
    stale = clerk.patch(path, {"note": "second"}, If_Match='"1"')
    assert stale.status_code == 412 and stale.json["row_version"] == 2
    assert clerk.get(path).json["note"] == "first"


@pytest.mark.parametrize("tag", ["1", "*", 'W/"1"', '"1", "2"', '"-1"', '"abc"', '"1e3"', '"99999999999999999999"', '"١"'.encode().decode("latin-1")])
def test_an_if_match_that_is_no_tag_of_ours_is_refused(people, tag):
    clerk = people["clerk"]
    answer = clerk.patch(f"/depot.sale/{clerk.sale()}", {"note": "x"}, If_Match=tag)
    assert answer.status_code == 400 and answer.json["problems"][0]["field"] == "If-Match"


def test_delete_archives_and_restore_brings_back(people):
    chief = people["chief"]
    path = f"/depot.buyer/{chief.buyer()}"
    assert chief.delete(path).status_code == 428
    assert chief.delete(path, {"reason": "twice"}, If_Match='"1"').status_code == 200
    assert chief.get(path).json["archived"] is True
    assert path.rpartition("/")[2] not in [str(r["id"]) for r in chief.get("/depot.buyer?limit=200").json["items"]]
    assert chief.post(path + "/restore", None, If_Match=chief.etag(path)).status_code == 200
    assert "archived" not in chief.get(path).json


def test_transfer_hands_over_and_nothing_else_changes_the_owner(people):
    chief = people["chief"]
    path = f"/depot.buyer/{chief.buyer()}"
    assert chief.patch(path, {"owner": 1}, If_Match='"1"').status_code == 400
    answer = chief.post(path + "/transfer", {"user": 1}, If_Match='"1"')
    assert answer.status_code == 200, answer.json
    assert chief.get(path).json["owner"]["id"] == 1
    assert chief.post(path + "/transfer", {"user": 10**6}, If_Match='"2"').status_code == 400
    assert chief.post(path + "/transfer", {}, If_Match='"2"').status_code == 400
    assert people["clerk"].post(path + "/transfer", {"user": 1}, If_Match='"2"').status_code == 403


@pytest.mark.parametrize("extra", [
    {"id": 5}, {"row_version": 9}, {"tenant": "two"}, {"tenant_id": 1}, {"company_id": 2}, {"company": 2}, {"owner": 2}, {"owner_id": 2},
    {"status": "done"}, {"paid": "1.00"}, {"twice": "1.00"}, {"order_no": "X"}, {"created_by": 2}, {"created_at": "2020-01-01T00:00:00Z"},
    {"archived_at": None}, {"is_deleted": True}, {"__class__": "x"}, {"": "x"},
])
def test_nobody_assigns_what_is_not_theirs_to_give(people, extra):
    clerk = people["clerk"]
    buyer = clerk.buyer()
    before = clerk.get("/depot.sale?count=true").json["count"]
    assert clerk.post("/depot.sale", {"buyer": buyer, "amount": "1.00", **extra}).status_code == 400
    assert clerk.get("/depot.sale?count=true").json["count"] == before
    path = f"/depot.sale/{clerk.sale()}"
    shown = clerk.get(path).json
    answer = clerk.patch(path, extra, If_Match='"1"')
    assert answer.status_code == 400 and answer.json["problems"][0]["field"] == next(iter(extra))
    assert clerk.get(path).json == shown


def test_a_hidden_field_takes_no_value(people):
    clerk = people["clerk"]
    answer = clerk.post("/depot.buyer", {"code": "hid1", "name": "x", "secret": "bad payer"})
    assert answer.status_code == 400 and answer.json["problems"][0]["field"] == "secret"


def test_child_rows_take_no_foreign_ids_and_no_states(people):
    clerk = people["clerk"]
    other = clerk.get(f"/depot.sale/{clerk.sale(lines=[{'what': 'a', 'quantity': 1}])}").json["lines"][0]["id"]
    path = f"/depot.sale/{clerk.sale(lines=[{'what': 'b', 'quantity': 1}])}"
    for lines in ([{"id": other, "row_version": 1, "what": "stolen", "quantity": 1}], [{"what": "c", "quantity": 1, "sale": 1}],
                  [{"what": "c", "quantity": 1, "status": "done"}], [{"id": [1], "what": "c"}], ["x"], "x", {"what": "c"}, [{"quantity": 0, "what": "z"}]):
        answer = clerk.patch(path, {"lines": lines}, If_Match='"1"')
        assert answer.status_code == 400, (lines, answer.json)
    assert [line["what"] for line in clerk.get(path).json["lines"]] == ["b"]


def test_all_problems_come_at_once_and_in_the_language_that_was_asked_for(people):
    clerk = people["clerk"]
    answer = clerk.post("/depot.sale", {"amount": "1,000", "pieces": 0, "due_on": "2026-02-30"}, Accept_Language="zh-CN,en;q=0.5")
    assert answer.mimetype == "application/problem+json"
    problems = {p["field"]: p["message"] for p in answer.json["problems"]}
    assert set(problems) == {"buyer", "amount", "pieces", "due_on"}
    assert problems["buyer"] == "请填写买家。"
    assert clerk.post("/depot.sale", {"amount": "1"}).json["problems"][0]["message"] == "Buyer is required."
    assert clerk.post("/depot.sale", {"amount": "1"}, Accept_Language="").status_code == 400


def test_a_rule_of_the_metadata_holds_here_too(people):
    clerk = people["clerk"]
    answer = clerk.post("/depot.sale", {"buyer": clerk.buyer(), "amount": "5000.01", "colour": "red"})
    assert answer.status_code == 400
    assert answer.json["problems"] == [{"field": "amount", "message": "Red costs five thousand at most"}]


def test_history_tells_who_changed_what(people):
    clerk = people["clerk"]
    path = f"/depot.sale/{clerk.sale(amount='10.00')}"
    clerk.patch(path, {"amount": "11.00"}, If_Match='"1"')
    entries = clerk.get(path + "/history").json["items"]
    assert entries[0]["command"] == "change" and entries[0]["channel"] == "api" and entries[0]["actor"]["id"] == 1
    assert {"field": "amount", "before": "10.00", "after": "11.00"} in entries[0]["changes"]
    assert people["reader"].get(path + "/history").status_code == 403


def test_related_records_and_lookup_stay_in_scope(people):
    clerk, clerk2 = people["clerk"], people["clerk2"]
    buyer = clerk.buyer(name="Zebediah")
    sale = clerk.sale(buyer=buyer)
    found = clerk.get(f"/depot.buyer/{buyer}/related/sales").json
    assert [r["id"] for r in found["items"]] == [sale]
    assert clerk2.get(f"/depot.buyer/{buyer}/related/sales").status_code == 404
    assert clerk.get(f"/depot.buyer/{buyer}/related/nothing").status_code == 404
    assert [h["id"] for h in clerk.get("/depot.buyer/lookup?q=Zebedi").json["items"]] == [buyer]
    assert clerk2.get("/depot.buyer/lookup?q=Zebedi").json["items"] == []


def test_a_link_outside_the_own_scope_is_refused(people):
    theirs = people["clerk2"].buyer()
    answer = people["clerk"].post("/depot.sale", {"buyer": theirs, "amount": "1.00"})
    assert answer.status_code == 400 and answer.json["problems"][0]["field"] == "buyer"
    absent = people["clerk"].post("/depot.sale", {"buyer": 10**9, "amount": "1.00"})
    assert absent.get_data() == answer.get_data()


def test_the_answer_to_a_change_does_not_name_what_is_masked(world, people):
    """Someone who may change a buyer but sees only part of the name learns nothing from saving."""
    keeper, chief = people["keeper"], people["chief"]
    path = f"/depot.buyer/{chief.buyer(name='Nathaniel')}"
    keeper.post("/platform.role_assignment", {"user": 7, "role": "depot.packer"})
    packer = world.client().login("nobody")
    assert packer.get(path).json["title"] == "N********"
    answer = packer.patch(path, {"mobile": "13812345678"}, If_Match='"1"')
    assert answer.status_code == 200 and "Nathaniel" not in answer.get_data(as_text=True)


GAPS = {"buyer": 10**9, "pieces": "many", "colour": "green", "lines": [{"what": "bolt"}, {"quantity": 0}], "paid": "1", "nothing": 1}
# what reading the body finds, and what only the look at the database finds
TOLD = {"amount", "buyer", "pieces", "colour", "lines.0.quantity", "lines.1.what", "lines.1.quantity", "paid", "nothing"}


def told(problems):
    assert len(problems) == len({p["field"] for p in problems}), problems
    return {p["field"] for p in problems}


def test_every_gap_of_a_new_record_is_told_at_once(people):
    clerk = people["clerk"]
    before = clerk.get("/depot.sale?count=true").json["count"]["number"]
    answer = clerk.post("/depot.sale", GAPS)
    assert answer.status_code == 400 and told(answer.json["problems"]) == TOLD
    (item,) = clerk.post("/depot.sale/bulk", {"operation": "create", "items": [GAPS]}).json["items"]
    assert item["status"] == 400 and told(item["problems"]) == TOLD
    answer = clerk.post("/depot.sale", {"buyer": clerk.buyer(), "amount": "1", "pieces": "many"})
    assert told(answer.json["problems"]) == {"pieces"}
    assert clerk.get("/depot.sale?count=true").json["count"]["number"] == before


def test_every_gap_of_a_change_is_told_at_once_and_nothing_of_it_is_stored(people):
    clerk = people["clerk"]
    id = clerk.sale(note="as it was")
    gaps = {**GAPS, "amount": None, "note": "good"}
    answer = clerk.patch(f"/depot.sale/{id}", gaps, If_Match='"1"')
    assert answer.status_code == 400 and told(answer.json["problems"]) == TOLD
    (item,) = clerk.post("/depot.sale/bulk", {"operation": "change", "items": [{"id": id, "row_version": 1, "values": gaps}]}).json["items"]
    assert told(item["problems"]) == TOLD
    assert (clerk.get(f"/depot.sale/{id}").json["note"], clerk.etag(f"/depot.sale/{id}")) == ("as it was", '"1"')
    assert clerk.patch("/depot.sale/999999999", gaps, If_Match='"1"').status_code == 400
