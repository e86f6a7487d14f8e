"""A draft chain over records: who would decide, which ways are dead; nothing is written."""

from __future__ import annotations

from typing import Any

from metaloom.approval.simulate import changed, simulate, survey
from tests.approval.world import START, World, world

CHAIN: dict[str, Any] = {"steps": {
    "check": {"who": [{"role": "boss"}], "mode": "all", "outputs": {"amount": {"type": "money", "required": True, "label": {"zh": "甲", "en": "A"}}}},
    "by_amount": {"type": "branch", "branches": {
        "small": {"when": "total <= 100", "steps": {}},
        "large": {"when": "total <= 1000", "steps": {"review": {"who": [{"role": "risk"}]}}},
        "huge": {"otherwise": True, "steps": {"board": {"who": [{"role": "legal"}], "mode": "vote", "pass": "2/3"}}}}}}}
ROLES = {"boss": ["ann", "bob"], "risk": ["ann", "cat"], "legal": ["dan", "eve", "fay"]}


def desk(total: int, body: dict[str, Any] = CHAIN, **facts: Any) -> World:
    return world(body, fast=True, roles=facts.pop("roles", ROLES), record={"total": total}, **facts)


def names(facts: World, people: tuple[int, ...]) -> list[str]:
    return [facts.name(u) for u in people]


def test_it_says_who_would_decide_and_who_would_not() -> None:
    facts = desk(500)
    outcome = simulate(facts.chain, facts, facts.id("ini"), START)
    assert outcome.result == "approved" and outcome.ways == (("by_amount", "large"),)
    assert [(a.step, names(facts, a.people)) for a in outcome.asked] == [("check", ["ann", "bob"]), ("review", ["cat"])]
    assert outcome.asked[1].dropped == {facts.id("ann"): "acted"}


def test_dead_ways_over_a_set_of_records() -> None:
    outcomes = {}
    for key, total in enumerate((10, 50, 500), 1):
        facts = desk(total)
        outcomes[key] = simulate(facts.chain, facts, facts.id("ini"), START)
    found = survey(facts.chain, outcomes)
    assert found.dead_ways == (("by_amount", "huge"),) and found.dead_steps == ("board",) and found.stuck == ()


def test_a_case_that_nobody_could_begin_says_why() -> None:
    body = {"steps": {"check": {"who": [{"role": "boss"}], "empty": "fail"}}}
    facts = desk(1, body, roles={})
    outcome = simulate(facts.chain, facts, facts.id("ini"), START)
    assert outcome.result == "" and outcome.refused is not None and outcome.refused.code == "approval.nobody"
    assert survey(facts.chain, {7: outcome}).stuck == (7,)


def test_a_case_that_would_wait_says_where() -> None:
    body = {"steps": {"papers": {"type": "wait", "for": "docs"}, "check": {"who": [{"role": "boss"}]}}}
    facts = desk(1, body)
    outcome = simulate(facts.chain, facts, facts.id("ini"), START)
    assert (outcome.result, outcome.stops_at) == ("", ("papers",))


def test_what_a_new_chain_changes_for_a_record() -> None:
    draft = {"steps": {**CHAIN["steps"], "by_amount": {"type": "branch", "branches": {
        "small": {"when": "total <= 600", "steps": {}}, "huge": {"otherwise": True, "steps": {"board": {"who": [{"role": "legal"}]}}}}}}}
    old, new = desk(500), desk(500, draft)
    before, after = (simulate(w.chain, w, w.id("ini"), START) for w in (old, new))
    assert changed(before, after) == ("deciders", "way") and changed(before, before) == ()


def test_an_answer_that_is_known_steers_the_way() -> None:
    body = {"steps": {"check": CHAIN["steps"]["check"], "more": {"who": [{"role": "legal"}], "when": "output.check.amount > 100"}}}
    facts = desk(1, body)
    asked = [a.step for a in simulate(facts.chain, facts, facts.id("ini"), START, outputs={"check": {"amount": "200"}}).asked]
    assert asked == ["check", "more"]


def test_the_initiators_choice_is_made_for_him() -> None:
    body = {"steps": {"check": {"who": [{"chosen": {"from": [{"role": "legal"}], "min": 2, "max": 3}}], "mode": "all"}}}
    facts = desk(1, body)
    outcome = simulate(facts.chain, facts, facts.id("ini"), START)
    assert names(facts, outcome.asked[0].people) == ["dan", "eve"]
