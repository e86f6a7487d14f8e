"""Actions, plugin commands, bulk and files."""

import io


def test_states_move_by_actions_only_and_a_forged_transition_does_nothing(people):
    clerk, chief = people["clerk"], people["chief"]
    path = f"/depot.sale/{clerk.sale()}"
    assert chief.post(path + "/finish", {"input": {"grade": 3}, "reason": "ok"}, If_Match='"1"').status_code == 409   # skips a step
    for name in ("nonsense", "done", "__init__", "transition", "sent"):
        assert clerk.post(f"{path}/{name}", {}, If_Match='"1"').status_code == 404
    assert clerk.post(path + "/send", {}).status_code == 428
    assert clerk.post(path + "/send", {}, If_Match='"7"').status_code == 412
    assert clerk.post(path + "/send", {}, If_Match='"1"').json["row_version"] == 2
    again = clerk.post(path + "/send", {}, If_Match='"2"')
    assert again.status_code == 409 and "Sent" in again.json["message"]
    assert clerk.patch(path, {"note": "late"}, If_Match='"2"').status_code == 409
    assert clerk.get(path).json["status"] == "sent" and clerk.get(path).json["row_version"] == 2


def test_an_action_reads_its_input_strictly_and_wants_its_reason(people):
    clerk, chief = people["clerk"], people["chief"]
    path = f"/depot.sale/{clerk.sale()}"
    clerk.post(path + "/send", {}, If_Match='"1"')
    for body in ({}, {"input": {"grade": 3}}, {"input": {"grade": 6}, "reason": "x"}, {"input": {"grade": "3.5"}, "reason": "x"},
                 {"input": {"grade": 3, "status": "done"}, "reason": "x"}, {"input": [], "reason": "x"}, {"input": {"grade": 3}, "reason": 5},
                 {"grade": 3, "reason": "x"}, {"input": {"grade": True}, "reason": "x"}):
        assert chief.post(path + "/finish", body, If_Match='"2"').status_code == 400, body
    assert chief.post(path + "/finish", {"input": {"grade": 3}, "reason": "good"}, If_Match='"2"').status_code == 200
    assert chief.get(path).json["pieces"] == 3 and chief.get(path).json["status"] == "done"


def test_the_maker_does_not_finish_the_own_sale(people):
    chief = people["chief"]
    path = f"/depot.sale/{chief.sale()}"
    chief.post(path + "/send", {}, If_Match='"1"')
    assert chief.post(path + "/finish", {"input": {"grade": 1}, "reason": "mine"}, If_Match='"2"').status_code == 403


def test_what_is_possible_now_comes_with_its_reason(people):
    clerk = people["clerk"]
    path = f"/depot.sale/{clerk.sale()}"
    assert clerk.get(path + "/actions").json["items"][0] | {"label": ""} == {
        "name": "send", "label": "", "enabled": True, "reason": None, "asks": False, "money": False, "confirm": None}
    clerk.post(path + "/send", {}, If_Match='"1"')
    sent = clerk.get(path + "/actions").json["items"][0]
    assert sent["enabled"] is False and sent["reason"]
    pay = people["cashier"].get(path + "/actions").json["items"]
    assert [(b["name"], b["money"]) for b in pay] == [("pay", True)]


def test_bulk_gives_every_item_its_own_outcome(people):
    clerk = people["clerk"]
    made = clerk.post("/depot.sale/bulk", {"operation": "create", "items": [
        {"buyer": clerk.buyer(), "amount": "1.00"}, {"buyer": 10**9, "amount": "1.00"}, {"buyer": clerk.buyer(), "amount": "2.00"}]})
    assert made.status_code == 200 and (made.json["done"], made.json["failed"]) == (2, 1)
    assert [i["status"] for i in made.json["items"]] == [200, 400, 200]
    assert made.json["items"][1]["problems"][0]["field"] == "buyer"
    one, two = made.json["items"][0]["id"], made.json["items"][2]["id"]
    changed = clerk.post("/depot.sale/bulk", {"operation": "change", "items": [
        {"id": one, "row_version": 1, "values": {"note": "a"}}, {"id": two, "row_version": 5, "values": {"note": "b"}}]})
    assert [i["status"] for i in changed.json["items"]] == [200, 412]
    sent = clerk.post("/depot.sale/bulk", {"operation": "action", "action": "send", "items": [{"id": one}, {"id": two}]})
    assert sent.json["done"] == 2 and clerk.get(f"/depot.sale/{two}").json["status"] == "sent"


def test_one_foreign_id_refuses_the_whole_bulk(people):
    clerk = people["clerk"]
    own, theirs = clerk.sale(), people["clerk2"].sale()
    for body in ({"operation": "action", "action": "send", "items": [{"id": own}, {"id": theirs}]},
                 {"operation": "change", "items": [{"id": own, "row_version": 1, "values": {"note": "x"}}, {"id": theirs, "row_version": 1, "values": {}}]}):
        assert clerk.post("/depot.sale/bulk", body).status_code == 404
    assert clerk.get(f"/depot.sale/{own}").json["row_version"] == 1


def test_a_bulk_that_makes_no_sense_is_refused(people):
    clerk = people["clerk"]
    for body in ({}, {"operation": "drop", "items": [{}]}, {"operation": "create", "items": []}, {"operation": "create", "items": "x"},
                 {"operation": "create", "items": [1]}, {"operation": "create", "items": [{}] * 201}, {"operation": "change", "items": [{"id": "1"}]},
                 {"operation": "change", "items": [{"id": 1, "row_version": True}]}, {"operation": "action", "items": [{"id": 1}]},
                 {"operation": "action", "action": ["send"], "items": [{"id": 1}]}, {"operation": "create", "items": [{}], "then": 1}):
        assert clerk.post("/depot.sale/bulk", body).status_code == 400, body
    own = clerk.sale()
    assert people["cashier"].post("/depot.sale/bulk", {"operation": "action", "action": "pay", "items": [{"id": own}]}).status_code == 400


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64


def upload(caller, name, content, field="file"):
    return caller.http.post(f"/{caller.tenant}/api/v1/files", data={field: (io.BytesIO(content), name)}, content_type="multipart/form-data",
                            headers={"Authorization": f"Bearer {caller.token}", "Accept-Language": "en"})


def test_a_file_is_seen_by_those_who_may_see_its_record_and_field(people):
    clerk, reader, chief = people["clerk"], people["reader"], people["chief"]
    made = upload(clerk, "face.png", PNG)
    assert made.status_code == 201, made.get_data(as_text=True)
    file = made.json["id"]
    assert made.json["media_type"] == "image/png" and made.headers["Location"].endswith(f"/files/{file}")
    assert clerk.get(f"/files/{file}").get_data() == PNG
    assert chief.get(f"/files/{file}").status_code == 404                       # not taken by a record yet
    stolen = people["clerk2"].post("/depot.buyer", {"code": "thief", "name": "x", "photo": [file]})
    assert stolen.status_code == 400 and stolen.json["problems"][0]["field"] == "photo"
    buyer = clerk.buyer(photo=[file])
    assert clerk.get(f"/depot.buyer/{buyer}").json["photo"] == [file]
    answer = chief.get(f"/files/{file}")
    assert answer.get_data() == PNG and answer.headers["Content-Disposition"].startswith("attachment")
    hidden, never = reader.get(f"/files/{file}"), reader.get("/files/99999999")
    assert hidden.status_code == 404 and hidden.get_data() == never.get_data()
    assert people["other"].get(f"/files/{file}").status_code == 404


def test_files_that_are_not_what_they_say_are_refused(people):
    clerk = people["clerk"]
    for name, content in (("a.png", b"<svg onload=x>"), ("a.html", b"<html>"), ("a.svg", b"<svg/>"), ("", PNG), ("a.png", b""), ("../../etc/passwd", PNG),
                          ("a.exe", b"MZ")):
        assert upload(clerk, name, content).status_code == 400, name
    assert upload(clerk, "a.png", PNG, field="other").status_code == 400
    assert clerk.post("/files", {"file": "x"}).status_code == 400
    assert upload(clerk, "big.png", PNG + b"\x00" * 1024 * 1024).status_code == 400
    assert upload(clerk, "huge.png", PNG + b"\x00" * 3 * 1024 * 1024).status_code in (400, 413)
