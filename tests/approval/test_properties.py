"""What holds on every way through every chain: random chains, random people, random moves, legal and not (A12, A13)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaloom.approval import CaseState, Event, Move, Offer, begin, codec, decide, fold, legal, path, replay
from metaloom.approval.event import MOVES
from metaloom.approval.machine import RULES
from metaloom.approval.seats import needed
from metaloom.base.errors import NotAllowed, NotPossible
from metaloom.model import Decide, SubChain
from tests.approval.chains import PEOPLE, SECOND, chains, facts
from tests.approval.world import START, World, world

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=6_000, deadline=None, suppress_health_check=list(HealthCheck))
EVERYBODY = (*PEOPLE, *SECOND, "ini", "adm")

SELDOM = frozenset({"terminate", "withdraw", "jump", "chain_changed", "hand_over", "read", "urge", "copy", "hold", "reject"})
USUAL = frozenset(MOVES) - SELDOM
OFTEN = frozenset({"pass", "return", "claim", "resubmit", "resolve", "sub_done", "wake", "take_back", "add_before", "add_after"})


class Walk:
    """One case played at random; everything that must always hold is looked at after each move."""

    def __init__(self, body: dict[str, Any], people: dict[str, Any], data: st.DataObject) -> None:
        self.world: World = world(body, fast=True, **people)
        for name in EVERYBODY:
            self.world.id(name)
        self.chain, self.data, self.at = self.world.chain, data, START
        self.log: list[Event] = []

    def start(self) -> bool:
        try:
            self.log += begin(self.chain, self.world, self.world.id("ini"), self.at)
        except NotPossible:
            return False
        self.state = replay(self.log)
        self.look()
        return True

    def step(self) -> None:
        self.at += timedelta(minutes=self.data.draw(st.sampled_from((1, 30, 700))))
        move = self.legal_move() if self.data.draw(st.integers(0, 4)) else self.any_move()
        before = self.state
        try:
            told = decide(self.chain, before, move, self.world)
        except (NotPossible, NotAllowed):
            return
        assert told, move
        self.log += told
        for event in told:
            self.state = fold(self.state, event)
        self.check_votes(told)
        self.look()

    # -- moves -----------------------------------------------------------------------------------------------------

    def legal_move(self) -> Move:
        """A move that somebody is offered; mostly one that brings the case on, seldom one that ends or overturns it."""
        holders = {u for t in self.state.live_tasks() for u in (t.assignee, *t.pool) if u is not None}
        last = {self.state.last.by} if self.state.last else set()
        users = sorted({0, self.world.id("ini"), self.world.id("adm"), *holders, *last})
        offers = [(user, offer) for user in users for offer in legal(self.chain, self.state, user, self.world, self.at)]
        kinds = SELDOM if not self.data.draw(st.integers(0, 9)) else OFTEN if self.data.draw(st.integers(0, 2)) else USUAL
        offers = [pair for pair in offers if pair[1].kind in kinds] or offers
        if not offers:
            return self.any_move()
        user, offer = self.data.draw(st.sampled_from(offers))
        return Move(offer.kind, user, self.at, offer.task, self.fill(offer))

    def fill(self, offer: Offer) -> dict[str, Any]:
        """What a person would send with the move; the person handed on to may well be one who is refused."""
        person = self.data.draw(st.sampled_from(EVERYBODY).map(self.world.id))
        filled: dict[str, Any] = {"opinion": "ok", "reason": "because", "question": "why?", "to": person}
        if offer.kind in ("add_before", "add_after", "copy"):
            filled["to"] = [person]
        if offer.targets:
            filled["to"] = self.data.draw(st.sampled_from(offer.targets))
            filled["then"] = self.data.draw(st.sampled_from(("rerun", "resume")))
        if offer.kind == "hand_over":
            filled["from"] = self.data.draw(st.sampled_from(EVERYBODY).map(self.world.id))
        if offer.kind == "sub_done":
            subs = [n for n in self.state.active_steps() if isinstance(self.chain.step(n), SubChain)]
            filled |= {"step": self.data.draw(st.sampled_from(subs)), "result": self.data.draw(st.sampled_from(("approved", "rejected", "withdrawn")))}
        if offer.kind == "chain_changed":
            filled |= {"mode": self.data.draw(st.sampled_from(("pin", "move", "restart"))), "digest": "new"}
        return filled

    def any_move(self) -> Move:
        kind = self.data.draw(st.sampled_from((*MOVES, "sleep")))
        task = self.data.draw(st.one_of(st.none(), st.integers(-1, len(self.state.tasks) + 1)))
        extra = self.data.draw(st.dictionaries(st.sampled_from(("to", "from", "then", "opinion", "reason", "step", "result", "mode", "outputs", "n")),
                                               st.sampled_from((None, "", "x", "last", 1, 3, -1, [1, 2], [], {}, "initiator")), max_size=4))
        if not isinstance(extra.get("outputs", {}), dict):
            del extra["outputs"]
        return Move(kind, self.data.draw(st.integers(0, len(EVERYBODY) + 1)), self.at, task, extra)

    # -- what must hold --------------------------------------------------------------------------------------------

    def look(self) -> None:
        state = self.state
        assert replay(self.log) == state
        assert sum(e.kind == "finished" for e in self.log) == state.finished
        assert codec.load_state(codec.dump_state(state)) == state
        assert [n.name for n in path(self.chain, state)] == list(self.chain.steps)
        if state.finished:
            assert not state.live_tasks() and not any(r.status == "active" for r in state.runs.values())
        else:
            self.is_not_stranded()
        self.nobody_acts_twice()
        self.four_eyes()

    def is_not_stranded(self) -> None:
        """Somebody can go on: every active step has a task that somebody may answer, or waits for the world."""
        state = self.state
        if state.status == "returned":
            assert [t.kind for t in state.live_tasks() if t.kind == "resubmit"] == ["resubmit"]
            return
        assert state.active_steps(), "running, and nothing runs"
        for name in state.active_steps():
            step, tasks = self.chain.step(name), state.live_tasks(name)
            if isinstance(step, Decide) or state.runs[name].stuck or tasks:
                assert any(t.status == "open" and t.kind != "answer" for t in tasks), f"nobody has {name}"
                assert all(t.assignee is not None or t.pool or t.kind == "admin" for t in tasks)

    def nobody_acts_twice(self) -> None:
        """In a round of a step a person has one voice, through whatever account."""
        if self.chain.forbid_repeat == "none":
            return
        said: dict[tuple[str, int], list[int]] = {}
        for event in self.log:
            if event.kind == "decided":
                task = self.state.tasks[event.data["task"]]
                if task.why != "taken_back" and task.kind != "admin":
                    said.setdefault((task.step, task.round), []).extend(event.data["people"])
        if not any(e.kind in ("chain_moved", "restarted") for e in self.log):
            assert all(len(p) == len(set(p)) for p in said.values()), said

    def four_eyes(self) -> None:
        """maker ≠ checker, and nobody in two steps, by person."""
        since = max((n for n, e in enumerate(self.log) if e.kind == "restarted"), default=0)
        acts = [(self.state.tasks[e.data["task"]], p) for e in self.log[since:] if e.kind in ("decided", "resolved") for p in e.data["people"]]
        fields = [self.world.record.get(name) for name in self.chain.makers]
        makers = {self.world.person(self.state.initiator), *(self.world.person(self.world.id(name)) for name in fields if name)}
        for task, person in acts:
            step = self.chain.step(task.step)
            if isinstance(step, Decide):
                assert person not in makers or step.initiator == "allow", f"a maker decided {step.name}"
        if self.chain.forbid_repeat == "chain":
            steps: dict[int, set[str]] = {}
            for task, person in acts:
                if isinstance(self.chain.step(task.step), Decide):
                    steps.setdefault(person, set()).add(task.step)
            assert all(len(s) == 1 for s in steps.values()), steps

    def check_votes(self, told: tuple[Event, ...]) -> None:
        """A vote passes with the share asked for and is rejected only when that is out of reach."""
        for event in told:
            if event.kind == "step_left" and event.data["outcome"] in ("pass", "reject") and not event.data["why"]:
                step = self.chain.step(event.data["step"])
                if isinstance(step, Decide) and step.mode == "vote":
                    self.check_vote(step, event.data["outcome"])

    def check_vote(self, step: Decide, outcome: str) -> None:
        run = self.state.runs[step.name]
        seats: dict[int, list[Any]] = {}
        latest = {(t.step, t.round, t.seat, t.kind, t.assignee): t.no for t in self.state.tasks.values()}
        for t in self.state.tasks.values():         # a decision that was taken back opened the seats anew: their last tasks count
            spoke = t.status == "done" or t.why in ("step_decided", "seat_decided") and t.no == latest[t.step, t.round, t.seat, t.kind, t.assignee]
            if t.step == step.name and t.round == run.round and t.seat and t.kind in ("decide", "added", "admin") and spoke:
                seats.setdefault(t.seat, []).append(t)
        weight = {n: max(t.weight for t in ts) for n, ts in seats.items()}
        rejected = {n for n, ts in seats.items() if any(t.decision == "reject" for t in ts)}
        passed = {n for n, ts in seats.items() if n not in rejected and all(t.decision == "pass" for t in ts)}
        need = needed(step, sum(weight.values()))
        if outcome == "pass":
            assert sum(weight[n] for n in passed) >= need, (weight, passed)
        else:
            assert step.veto == "one_rejects" and rejected or sum(w for n, w in weight.items() if n not in rejected) < need, (weight, rejected)


def play(body: dict[str, Any], people: dict[str, Any], data: st.DataObject, moves: int) -> None:
    walk = Walk(body, people, data)
    if not walk.start():
        return
    for _ in range(moves):
        if walk.state.finished:
            refuse_everything(walk)
            return
        walk.step()


def refuse_everything(walk: Walk) -> None:
    """A finished case accepts nothing and offers nothing."""
    for kind in RULES:
        for task in (None, *walk.state.tasks):
            for user in (0, walk.world.id("ini"), walk.world.id("adm")):
                with pytest.raises((NotPossible, NotAllowed)):
                    decide(walk.chain, walk.state, Move(kind, user, walk.at, task, {"reason": "x", "to": 1, "opinion": "x"}), walk.world)
    assert legal(walk.chain, walk.state, walk.world.id("adm"), walk.world, walk.at) == ()


@QUICK
@given(chains(), facts(), st.data())
def test_every_way_through_every_chain(body: dict[str, Any], people: dict[str, Any], data: st.DataObject) -> None:
    play(body, people, data, 25)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@LONG
@given(chains(), facts(), st.data())
def test_every_way_through_every_chain_at_night(body: dict[str, Any], people: dict[str, Any], data: st.DataObject) -> None:
    play(body, people, data, 60)


@QUICK
@given(chains(), facts())
def test_a_case_ends_when_everybody_says_yes(body: dict[str, Any], people: dict[str, Any]) -> None:
    """Termination: with willing people, a helpful administrator and an answering world every case comes to its end."""
    facts_ = world(body, fast=True, **people)
    try:
        state = replay(begin(facts_.chain, facts_, facts_.id("ini"), START))
    except NotPossible:
        return
    for _ in range(300):
        if state.finished:
            return
        move = willing(facts_, state, START)
        assert move is not None, f"nobody can go on: {state.active_steps()} {state.live_tasks()}"
        for event in decide(facts_.chain, state, move, facts_):
            state = fold(state, event)
    raise AssertionError("the case does not end")


def willing(facts_: World, state: CaseState, at: datetime) -> Move | None:
    """The next move that brings the case forward."""
    chain = facts_.chain
    subs = [n for n in state.active_steps() if isinstance(chain.step(n), SubChain) and not state.live_tasks(n)]
    if subs:
        return Move("sub_done", 0, at, None, {"step": subs[0], "result": "approved"})
    facts_.record["docs"] = True
    for user in [0, *range(1, len(facts_.names) + 1)]:
        for offer in legal(chain, state, user, facts_, at):
            if offer.kind in ("pass", "claim", "resolve", "wake"):
                return Move(offer.kind, user, at, offer.task, {"opinion": "ok"})
    stuck = [n for n in state.active_steps() if state.runs[n].stuck or state.live_tasks(n)]
    return Move("jump", facts_.id("adm"), at, None, {"to": "last", "reason": "x"}) if stuck and not chain_is_last(state) else (
        Move("terminate", facts_.id("adm"), at, None, {"reason": "x"}) if stuck else None)


def chain_is_last(state: CaseState) -> bool:
    return "last" in state.active_steps()
