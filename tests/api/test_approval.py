"""Approval over REST: the inbox, decisions, moves, what strangers get."""

import io
import re
from hashlib import sha256

import pytest

from tests.pen import fresh, png, text


def started(people, clerk="clerk"):
    """A sale of the clerk in review: (sale, case, task, version of the record)."""
    sale = people[clerk].sale()
    answer = people[clerk].post(f"/depot.sale/{sale}/approval/review", {}, If_Match='"1"')
    assert answer.status_code == 200, answer.json
    case = answer.json["results"]["case"]
    shown = people["chief"].get(f"/case/{case}").json
    (task,) = [t["id"] for t in shown["tasks"] if t["status"] == "open"]
    return sale, case, task, shown["record_version"]


def test_a_review_is_started_found_decided_and_looked_up(people):
    clerk, chief = people["clerk"], people["chief"]
    sale, case, task, version = started(people)
    inbox = chief.get("/task?box=todo&limit=200").json
    assert task in [row["id"] for row in inbox["items"]]
    assert case in [row["id"] for row in clerk.get("/task?box=mine&limit=200").json["items"]]
    shown = chief.get(f"/case/{case}").json
    assert (shown["status"], shown["entity"], shown["record_id"], shown["record_readable"]) == ("running", "depot.sale", sale, True)
    assert {"pass", "reject", "return", "transfer"} <= {offer["kind"] for offer in shown["offers"] if offer["task"] == task}
    decided = chief.post(f"/task/{task}/decide", {"decision": "pass", "record_version": version, "outputs": {"grade": 4}, "fields": {"note": "seen"}})
    assert decided.status_code == 200 and decided.json["results"]["status"] == "approved", decided.json
    assert clerk.get(f"/depot.sale/{sale}").json["status"] == "sent" and clerk.get(f"/depot.sale/{sale}").json["note"] == "seen"
    assert [e["kind"] for e in clerk.get(f"/case/{case}/events").json["items"]][-1] == "finished"
    assert [(n["name"], n["status"]) for n in clerk.get(f"/case/{case}/path").json["items"]] == [("look", "done")]
    assert task in [row["id"] for row in chief.get("/task?box=done&limit=200").json["items"]]


def test_boxes_say_steps_and_chains_in_words_and_instants_end_in_z(people):
    _, case, task, version = started(people)
    for language, step, chain in (("zh", "复核", "订单复核"), ("en", "Look", "Review")):
        (row,) = [one for one in people["chief"].get("/task?box=todo&limit=200", Accept_Language=language).json["items"] if one["id"] == task]
        assert (row["title"], row["case"]["title"], row["step"], row["step_label"]) == (step, chain, "look", step)
        (row,) = [one for one in people["clerk"].get("/task?box=mine&limit=200&fields=status", Accept_Language=language).json["items"] if one["id"] == case]
        assert row["title"] == chain
        (row,) = [one for one in people["clerk"].get("/task?box=mine&limit=200", Accept_Language=language).json["items"] if one["id"] == case]
        assert isinstance(row["subject"], str) and row["subject"]
    said = {"decision": "pass", "record_version": version, "outputs": {"grade": 4}, "opinion": "2026-01-02T03:04:05+00:00 ?"}
    assert people["chief"].post(f"/task/{task}/decide", said).status_code == 200
    for tail in ("", "/events", "/path"):
        told = people["chief"].get(f"/case/{case}{tail}").text.replace(said["opinion"], "")
        assert "+00:00" not in told and re.search(r'T\d\d:\d\d:\d\d(\.\d+)?Z"', told), tail


def test_a_task_tells_what_its_decision_asks_for(people):
    sale, case, task, version = started(people)
    (told,) = [t for t in people["chief"].get(f"/case/{case}").json["tasks"] if t["id"] == task]
    asks = told["asks"]
    assert asks["outputs"]["required"] == ["grade"] and asks["outputs"]["properties"]["grade"] == {
        "type": "integer", "minimum": 1, "maximum": 5, "description": "Grade"}
    assert list(asks["fields"]["properties"]) == ["note"] and asks["fields"]["properties"]["note"]["maxLength"] == 200
    assert (asks["opinion"], asks["attachments"], asks["defaults"], asks["signature"]) == ("on_reject", "optional", {}, False)
    assert all(t["asks"] is None for t in people["clerk"].get(f"/case/{case}").json["tasks"])  # whose turn it is not
    decided = people["chief"].post(f"/task/{task}/decide", {"decision": "pass", "record_version": version, "outputs": {"grade": 4}})
    assert decided.status_code == 200
    assert all(t["asks"] is None for t in people["chief"].get(f"/case/{case}").json["tasks"])


def test_who_has_no_part_gets_the_answer_of_a_case_that_never_was(people):
    _, case, task, version = started(people)
    for stranger in ("reader", "cashier"):
        caller = people[stranger]
        for path in (f"/case/{case}", f"/case/{case}/events", f"/case/{case}/path"):
            assert caller.get(path).status_code == 404
            assert caller.get(path).data == caller.get(path.replace(str(case), "987654")).data
        answer = caller.post(f"/task/{task}/decide", {"decision": "pass", "record_version": version})
        assert answer.status_code == 404
        assert caller.post(f"/task/{task}/claim", {}).status_code == 404
        assert caller.post(f"/case/{case}/withdraw", {}).status_code == 404
        assert task not in [row["id"] for row in caller.get("/task?box=todo&limit=200").json["items"]]
        assert case not in [row["id"] for row in caller.get("/task?box=all&limit=200").json["items"]]


def test_the_wrong_person_the_wrong_version_and_the_wrong_words_are_refused(people):
    clerk, chief = people["clerk"], people["chief"]
    _, case, task, version = started(people)
    good = {"decision": "pass", "record_version": version, "outputs": {"grade": 4}}
    assert clerk.post(f"/task/{task}/decide", good).status_code == 403
    assert chief.post(f"/task/{task}/decide", {**good, "record_version": version + 1}).status_code in (409, 412)
    for wrong in ({"decision": "perhaps"}, {"record_version": None}, {"record_version": "1"}, {"outputs": {"grade": 9}}, {"outputs": []}, {"more": 1},
                  {"attachments": ["x"]}, {"attachments": [True]}, {"attachments": [987654]}, {"fields": {"amount": "1"}}, {"opinion": 5},
                  {"opinion": "x" * 5000}, {"to": 5}, {"signature": 5}, {"signature": "x"}, {"signature": "A" * 400_000}):
        answer = chief.post(f"/task/{task}/decide", {**good, **wrong})
        assert answer.status_code == 400, (wrong, answer.json)
    assert chief.post(f"/task/{task}/decide", {**good, "decision": "reject"}).status_code in (400, 409), "a rejection says why"
    assert chief.post(f"/task/{task}/nonsense", {}).status_code == 404
    assert chief.post(f"/task/{task}/expire", {}).status_code == 404
    assert chief.post(f"/case/{case}/sub_done", {}).status_code == 404
    assert chief.get("/task?box=nonsense").status_code == 400
    assert clerk.patch(f"/depot.sale/{chief.get(f'/case/{case}').json['record_id']}", {"note": "late"}, If_Match=f'"{version}"').status_code == 409
    assert chief.get(f"/case/{case}").json["status"] == "running"


def test_files_of_a_decision_are_named_in_the_log_and_open_to_who_sees_the_case(people):
    clerk, chief = people["clerk"], people["chief"]
    _, case, task, version = started(people)
    sent = chief.http.post(f"/{chief.tenant}/api/v1/files", data={"file": (io.BytesIO(b"%PDF-1.4 " + b"0" * 91), "offer.pdf")},
                           content_type="multipart/form-data", headers={"Authorization": f"Bearer {chief.token}"})
    body = {"decision": "pass", "record_version": version, "outputs": {"grade": 4}, "attachments": [sent.json["id"]]}
    decided = chief.post(f"/task/{task}/decide", body)
    assert decided.status_code == 200, decided.json
    told = [(e["kind"], e["files"]) for e in clerk.get(f"/case/{case}/events").json["items"] if e["files"]]
    assert told == [("decided", [{"id": sent.json["id"], "name": "offer.pdf", "size": 100, "media_type": "application/pdf"}])]
    assert clerk.get(f"/files/{sent.json['id']}").data.startswith(b"%PDF")
    for stranger in ("reader", "cashier"):
        assert people[stranger].get(f"/files/{sent.json['id']}").status_code == 404


def test_many_are_decided_with_an_outcome_for_each_and_a_key_answers_again(people):
    chief = people["chief"]
    first, second = started(people), started(people)
    items = [{"task": first[2], "record_version": first[3]}, {"task": second[2], "record_version": second[3] + 5}, {"task": 987_654, "record_version": 1}]
    answer = chief.post("/task/decide", {"decision": "reject", "opinion": "no", "items": items}, Idempotency_Key=f"many-{first[1]}").json
    assert (answer["done"], answer["failed"]) == (1, 2)
    assert sorted(row["status"] for row in answer["items"]) == [200, 404, 409]
    again = chief.post("/task/decide", {"decision": "reject", "opinion": "no", "items": items}, Idempotency_Key=f"many-{first[1]}").json
    assert again["done"] == 1
    assert [e["kind"] for e in chief.get(f"/case/{first[1]}/events").json["items"]].count("decided") == 1


def test_the_initiator_withdraws_and_cannot_twice(people):
    clerk = people["clerk"]
    _, case, _, _ = started(people)
    assert people["chief"].post(f"/case/{case}/withdraw", {}).status_code == 403
    assert clerk.post(f"/case/{case}/withdraw", {"reason": "mistake"}).json["results"]["status"] == "withdrawn"
    assert clerk.post(f"/case/{case}/withdraw", {}).status_code == 409


@pytest.mark.parametrize(("who", "status"), [("reader", 403), ("chief", 403), ("cashier", 403)])
def test_only_the_named_role_starts_a_review(people, who, status):
    sale = people["clerk"].sale()
    assert people[who].post(f"/depot.sale/{sale}/approval/review", {}, If_Match='"1"').status_code in (status, 404)
    assert people["clerk"].post(f"/depot.sale/{sale}/approval/nothing", {}, If_Match='"1"').status_code == 404
    assert people["clerk"].post(f"/depot.sale/{sale}/approval/review", {}).status_code == 428


def test_the_document_tells_of_approval(people):
    paths = people["clerk"].get("/openapi.json").json["paths"]
    assert {"/task", "/task/decide", "/task/{id}/decide", "/task/{id}/transfer", "/case/{id}", "/case/{id}/withdraw",
            "/depot.sale/{id}/approval/review"} <= set(paths)
    assert "/depot.sale/{id}/approval/review" in people["chief"].get("/openapi.json").json["paths"]


def test_a_step_that_is_signed_by_hand_takes_a_picture_and_the_log_names_it(people):
    clerk, chief = people["clerk"], people["chief"]
    sale = clerk.sale()
    case = clerk.post(f"/depot.sale/{sale}/approval/hand", {}, If_Match='"1"').json["results"]["case"]
    shown = chief.get(f"/case/{case}").json
    (task,) = [t["id"] for t in shown["tasks"] if t["status"] == "open"]
    given = {"decision": "pass", "record_version": shown["record_version"]}
    refused = chief.post(f"/task/{task}/decide", given)
    assert (refused.status_code, refused.json["code"]) == (409, "approval.needs_signature")
    for picture, said in ((text(png(lines=0)), "blank"), ("R0lGODlhAQABAAAAACw=", "is a PNG picture")):
        answer = chief.post(f"/task/{task}/decide", {**given, "signature": picture})
        assert answer.status_code == 400 and said in answer.json["problems"][0]["message"], answer.json
    picture = fresh()
    assert chief.post(f"/task/{task}/decide", {**given, "signature": text(picture)}).status_code == 200
    (decided,) = [e["data"] for e in clerk.get(f"/case/{case}/events").json["items"] if e["kind"] == "decided"]
    assert decided["signature"]["digest"] == sha256(picture).hexdigest()
    assert clerk.get(f"/files/{decided['signature']['file']}").data == picture
    assert people["reader"].get(f"/files/{decided['signature']['file']}").status_code == 404
