"""Every operation of approvals as a table: chain, people, moves, and what is then so (tests/approval/cases, one file per operation).

A line of ``play``: ``by`` does ``do`` (on the task of ``of``, else on its own one), ``with`` data; ``after`` moves the clock on.
``refused: code`` expects the refusal and that nothing happened. Afterwards: ``status``, ``open`` (step → who has it: names, {pool},
(waiting), admin), ``copies``, ``outputs``, ``told`` (kinds of events among those of the move), ``path`` (step → status).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaloom.approval import CaseState, Event, Move, begin, decide, legal, path, replay
from metaloom.approval.fold import fold
from metaloom.approval.state import Task
from metaloom.base.errors import NotAllowed, NotPossible
from tests.approval.world import START, World, world

FOLDER = Path(__file__).with_name("cases")
PEOPLE = ("to", "from")


def cases() -> dict[str, dict[str, Any]]:
    """Every case by ``operation/name``; what a file says above its cases holds for each."""
    found = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        whole = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)
        common = {k: v for k, v in whole.items() if k != "cases"}
        for name, case in whole["cases"].items():
            found[f"{file.stem}/{name}"] = {**common, **case, "facts": {**common.get("facts", {}), **case.get("facts", {})}}
    return found


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    Play(CASES[name]).run()


class Play:
    """One case being played."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.at = case, START
        self.world: World = world(case["chain"], **{**case["facts"], "record": dict(case["facts"].get("record", {}))})
        self.chain = self.world.chain
        self.log: list[Event] = []
        self.state: CaseState | None = None

    def run(self) -> None:
        for line in self.case["play"]:
            self.at += _span(line.get("after", "0 hours"))
            self.world.record.update(line.get("record", {}))
            before = len(self.log)
            if "refused" in line:
                self.is_refused(line)
            elif "do" in line:
                self.log += self.move(line)
                self.state = replay(self.log)
            self.look(line, self.log[before:])

    def move(self, line: dict[str, Any]) -> tuple[Event, ...]:
        by, data = self.world.id(line["by"]), self.data(line.get("with", {}), line["do"])
        if line["do"] == "start":
            return begin(self.chain, self.world, by, self.at, chosen=data.get("chosen"))
        assert self.state is not None
        chain = self.chain
        if "chain" in line:
            chain = world(line["chain"], **self.case["facts"]).chain
        told = decide(chain, self.state, Move(line["do"], by, self.at, self.task(line, by), data), self.world)
        offered = legal(self.chain, self.state, by, self.world, self.at)
        assert "chain" in line or any(o.kind == line["do"] for o in offered), "done, but not offered"
        self.chain = chain
        return told

    def is_refused(self, line: dict[str, Any]) -> None:
        kind, _, code = line["refused"].rpartition(" ")
        with pytest.raises(NotAllowed if kind == "never" else NotPossible) as caught:
            self.move(line)
        assert caught.value.message.code == f"approval.{code}", caught.value.message.say("en")
        assert all(caught.value.message.say(language) for language in ("zh", "en"))

    def task(self, line: dict[str, Any], by: int) -> int | None:
        if line["do"] in ("withdraw", "terminate", "jump", "urge", "hand_over", "sub_done", "chain_changed") or line.get("of") == "case":
            return None
        assert self.state is not None
        if isinstance(line.get("of"), int):
            return int(line["of"])
        whose = self.world.id(line["of"]) if "of" in line else by
        tasks = sorted(self.state.tasks.values(), key=lambda t: (t.live, t.status == "open", line["do"] in ("answer",) and t.kind == "answer", t.no))
        own = [t for t in tasks if whose in (t.assignee, t.by) or whose in t.pool] or [t for t in tasks if t.kind == "admin"]
        return own[-1].no if own else None

    def data(self, written: dict[str, Any], kind: str) -> dict[str, Any]:
        """Names of people become ids; names of steps stay."""
        found = dict(written)
        for key in PEOPLE:
            value = found.get(key)
            if isinstance(value, list):
                found[key] = [self.world.id(n) for n in value]
            elif isinstance(value, str) and kind not in ("jump", "return"):
                found[key] = self.world.id(value)
        if "chosen" in found:
            found["chosen"] = {step: [self.world.id(n) for n in names] for step, names in found["chosen"].items()}
        return found

    # -- what is then so -------------------------------------------------------------------------------------------

    def look(self, line: dict[str, Any], told: list[Event]) -> None:
        if self.state is None:
            return
        if "status" in line:
            assert self.state.status == line["status"]
        if "open" in line:
            assert self.open() == {step: sorted(map(str, names)) for step, names in line["open"].items()}
        if "copies" in line:
            assert [self.world.name(u) for u in self.state.copies] == line["copies"]
        if "outputs" in line:
            assert self.state.outputs == line["outputs"]
        for kind in line.get("told", ()):
            assert kind in [e.kind for e in told], [e.kind for e in told]
        if "path" in line:
            assert {n.name: n.status for n in path(self.chain, self.state)} == line["path"]
        if "due" in line:
            assert [t.due for t in self.state.live_tasks()] == [(START + _span(d)).isoformat() for d in line["due"]]
        if "dropped" in line:
            found = [[self.world.name(user), why] for e in told if e.kind == "people_found" for user, why in e.data["dropped"]]
            assert found == line["dropped"]
        if "reminded" in line:
            assert [[self.world.name(u) for u in e.data["to"]] for e in told if e.kind == "reminded"] == [line["reminded"]]

    def open(self) -> dict[str, list[str]]:
        assert self.state is not None
        found: dict[str, list[str]] = {}
        for task in self.state.live_tasks():
            found.setdefault(task.step or "initiator", []).append(self.shown(task))
        return {step: sorted(names) for step, names in found.items()}

    def shown(self, task: Task) -> str:
        who = self.world.name(task.assignee) if task.assignee is not None else "{" + " ".join(self.world.name(u) for u in task.pool) + "}"
        who = "admin" if task.kind == "admin" else who
        who = f"{who}?" if task.kind == "answer" else who
        return f"({who})" if task.status == "waiting" else f"{who}!" if task.paused_at else who


def _span(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(**{unit: float(number)})


def test_no_case_expects_nothing() -> None:
    looked = {"status", "open", "refused", "copies", "outputs", "told", "path", "due", "dropped", "reminded"}
    assert len(CASES) >= 60
    for name, case in CASES.items():
        assert any(looked & line.keys() for line in case["play"]), name


def test_replaying_any_prefix_of_a_log_gives_the_state_of_that_moment() -> None:
    for name in list(CASES)[::7]:
        play = Play(CASES[name])
        play.run()
        state = None
        for number, event in enumerate(play.log, 1):
            state = fold(state, event)
            assert state == replay(play.log[:number])
