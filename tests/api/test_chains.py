"""Chains over REST: the list, trying one on past records, cases under an older text (A09, A11)."""

import pytest

from tests.api.test_approval import started

REVIEW = "depot.sale/review"


def test_chains_are_told_to_administrators_alone(people):
    keeper = people["keeper"]
    items = {item["chain"]: item for item in keeper.get("/approval/chains").json["items"]}
    assert items[REVIEW]["running"] >= 0 and items[REVIEW]["older"] == 0 and items[REVIEW]["label"]
    assert keeper.get("/approval/changed").json["items"] == []
    assert "/approval/simulate" in keeper.get("/openapi.json").json["paths"] and "/approval/simulate" not in people["clerk"].get("/openapi.json").json["paths"]
    asked = {"chain": REVIEW, "mode": "pin", "cases": [1], "reason": "x"}
    for answer in (people["clerk"].get("/approval/chains"), people["clerk"].get("/approval/changed"),
                   people["clerk"].post("/approval/simulate", {"chain": REVIEW}), people["clerk"].post("/approval/changed", asked)):
        assert answer.status_code == 403


def test_a_chain_is_tried_on_finished_cases(people):
    keeper, chief = people["keeper"], people["chief"]
    sale, _, task, version = started(people)
    chief.post(f"/task/{task}/decide", {"decision": "pass", "record_version": version, "outputs": {"grade": 4}, "fields": {}})
    found = keeper.post("/approval/simulate", {"chain": REVIEW, "limit": 50})
    assert found.status_code == 200, found.json
    mine = next(one for one in found.json["records"] if one["record"] == sale)
    assert mine["result"] == "approved" and mine["really"] == "approved" and mine["path"] == ["look"] and mine["differs"] == []
    assert found.json["summary"]["records"] == len(found.json["records"]) and found.json["summary"]["left"] == 0
    refused = keeper.post("/approval/simulate", {"chain": REVIEW, "source": "text", "draft": "review:\n  steps: 3\n"})
    assert refused.status_code == 400 and refused.json["problems"][0]["field"] == "draft" and "ML-" in refused.json["problems"][0]["message"]


@pytest.mark.parametrize("wrong", [{}, {"chain": 3}, {"chain": REVIEW, "limit": 0}, {"chain": REVIEW, "limit": True}, {"chain": REVIEW, "limit": 501},
                                   {"chain": REVIEW, "source": "x"}, {"chain": REVIEW, "where": "amount +"}, {"chain": REVIEW, "more": 1},
                                   {"chain": REVIEW, "source": "text"}, {"chain": "depot.sale/none"}])
def test_what_cannot_be_tried_is_refused_in_words(people, wrong):
    answer = people["keeper"].post("/approval/simulate", wrong)
    assert answer.status_code in (400, 404) and answer.json["message"]


@pytest.mark.parametrize("wrong", [{}, {"mode": "erase"}, {"cases": []}, {"cases": ["1"]}, {"cases": [0]}, {"mapping": []}, {"mapping": {"a": 1}},
                                   {"dry_run": "yes"}, {"reason": 5}, {"reason": " "}, {"more": 1}, {"chain": "depot.sale/none"}])
def test_a_change_of_chain_is_refused_in_words(people, wrong):
    good = {"chain": REVIEW, "mode": "move", "cases": [1], "reason": "x"}
    answer = people["keeper"].post("/approval/changed", {**good, **wrong} if wrong else {})
    assert answer.status_code in (400, 404) and answer.json["message"]


def test_a_case_that_is_not_of_a_changed_chain_stays(people):
    _, case, _, _ = started(people)
    keeper = people["keeper"]
    done = keeper.post("/approval/changed", {"chain": REVIEW, "mode": "restart", "cases": [case], "reason": "x"})
    assert done.status_code == 200 and done.json == {"done": 0, "items": []}
    dry = keeper.post("/approval/changed", {"chain": REVIEW, "mode": "move", "cases": [case], "dry_run": True})
    assert dry.status_code == 200 and dry.json["items"][0]["case"] == case and dry.json["items"][0]["people"]
