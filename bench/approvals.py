"""Approvals per second: a chain of three steps on PostgreSQL, against SpiffWorkflow with persistence in the same run.

    pip install -e '.[bench]'
    python bench/approvals.py --database-url postgresql+psycopg://… [--rounds 5] [--cases 40] [--threads 8]

Both sides keep everything in the same server and commit after every decision. Ours does all that a decision is in the platform:
rights, locks, the log, tasks, audit, messages to the next decider, the record. Theirs loads the stored workflow under a row lock,
completes its one ready task, runs the engine, stores it again. Rounds of both sides take turns, so that noise meets both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PEOPLE = ("checker", "master", "payer")
BPMN = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="bench" id="d">
 <process id="three" isExecutable="true">
  <startEvent id="s"><outgoing>f0</outgoing></startEvent>
  {tasks}
  <endEvent id="e"><incoming>f3</incoming></endEvent>
  {flows}
 </process>
</definitions>"""


def bpmn() -> str:
    names = ["s", "one", "two", "three", "e"]
    tasks = "".join(f'<userTask id="{name}" name="{name}"><incoming>f{i}</incoming><outgoing>f{i + 1}</outgoing></userTask>'
                    for i, name in enumerate(names[1:-1]))
    flows = "".join(f'<sequenceFlow id="f{i}" sourceRef="{a}" targetRef="{b}"/>' for i, (a, b) in enumerate(zip(names, names[1:], strict=False)))
    return BPMN.format(tasks=tasks, flows=flows)


class Ours:
    """The guild's chain ``three``: checker, master, payer."""

    def __init__(self, url: str) -> None:
        from tests.command.guild import Guild

        self.guild = Guild(Path(tempfile.mkdtemp(prefix="metaloom-bench-")), url, "bench_approvals")
        self.contexts = {name: self.guild.ctx(name) for name in PEOPLE}

    def begin(self, number: int) -> list[int]:
        return [self.guild.start("three") for _ in range(number)]

    def decisions(self, case: int) -> list[Callable[[], None]]:
        return [lambda person=person: self._decide(case, person) for person in PEOPLE]

    def _decide(self, case: int, person: str) -> None:
        """Task and version as the page that was shown would know them; looked up outside the measured time."""
        from metaloom.command import decide_task

        task, version = self.shown
        decide_task(self.contexts[person], task, "pass", "同意", record_version=version)

    def show(self, case: int, person: str) -> None:
        self.seen[threading.get_ident()] = (self.guild.open_task(case, person), self.guild.version(self.guild.case(case)["record_id"]))

    seen: dict[int, tuple[int, int]] = {}

    @property
    def shown(self) -> tuple[int, int]:
        return self.seen[threading.get_ident()]

    def finished(self, cases: list[int]) -> bool:
        return all(self.guild.case(case)["status"] == "approved" for case in cases)

    def close(self) -> None:
        self.guild.check()
        self.guild.close()


class Theirs:
    """SpiffWorkflow: the serialized workflow is a row; a decision is load, complete, run, store, commit."""

    def __init__(self, url: str) -> None:
        from lxml import etree
        from SpiffWorkflow.bpmn.parser import BpmnParser
        from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

        parser = BpmnParser()
        parser.add_bpmn_xml(etree.fromstring(bpmn().encode()), filename="three.bpmn")
        self.spec, self.serializer = parser.get_spec("three"), BpmnWorkflowSerializer()
        self.engine = sa.create_engine(url, pool_size=40)
        self.table = sa.Table("bench_spiff", sa.MetaData(), sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
                              sa.Column("state", sa.Text, nullable=False), sa.Column("done", sa.Boolean, nullable=False))
        self.table.metadata.drop_all(self.engine)
        self.table.metadata.create_all(self.engine)

    def begin(self, number: int) -> list[int]:
        from SpiffWorkflow.bpmn import BpmnWorkflow

        made = []
        for _ in range(number):
            workflow = BpmnWorkflow(self.spec)
            workflow.do_engine_steps()
            with self.engine.begin() as conn:
                state = self.serializer.serialize_json(workflow)
                made.append(conn.execute(self.table.insert().values(state=state, done=False).returning(self.table.c.id)).scalar_one())
        return made

    def decisions(self, case: int) -> list[Callable[[], None]]:
        return [lambda person=person: self._decide(case, person) for person in PEOPLE]

    def _decide(self, case: int, person: str) -> None:
        from SpiffWorkflow import TaskState

        with self.engine.begin() as conn:
            stored = conn.execute(sa.select(self.table.c.state).where(self.table.c.id == case).with_for_update()).scalar_one()
            workflow = self.serializer.deserialize_json(stored)
            (task,) = workflow.get_tasks(state=TaskState.READY, manual=True)
            task.data.update(by=person, decision="pass", opinion="同意")
            task.run()
            workflow.do_engine_steps()
            state = self.serializer.serialize_json(workflow)
            conn.execute(self.table.update().where(self.table.c.id == case).values(state=state, done=workflow.completed))

    def show(self, case: int, person: str) -> None:
        """Nothing to look up: the workflow knows its one ready task."""

    def finished(self, cases: list[int]) -> bool:
        with self.engine.connect() as conn:
            return conn.scalar(sa.select(sa.func.count()).where(self.table.c.id.in_(cases), self.table.c.done)) == len(cases)

    def close(self) -> None:
        self.table.metadata.drop_all(self.engine)
        self.engine.dispose()


def one_by_one(side: Any, number: int) -> list[float]:
    """Seconds of every decision, one after another."""
    taken, cases = [], side.begin(number)
    for case in cases:
        for person, decide in zip(PEOPLE, side.decisions(case), strict=True):
            side.show(case, person)
            started = time.perf_counter()
            decide()
            taken.append(time.perf_counter() - started)
    assert side.finished(cases)
    return taken


def together(side: Any, number: int, threads: int) -> list[float]:
    """Seconds of every decision with several deciders at once, each on cases of their own."""
    cases, taken, lock = side.begin(number), [], threading.Lock()
    shares = [cases[i::threads] for i in range(threads)]

    def work(share: list[int]) -> None:
        for case in share:
            for person, decide in zip(PEOPLE, side.decisions(case), strict=True):
                side.show(case, person)
                started = time.perf_counter()
                decide()
                with lock:
                    taken.append(time.perf_counter() - started)

    workers = [threading.Thread(target=work, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert side.finished(cases)
    return taken


def told(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    median, p95 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.95)] * 1000
    sys.stdout.write(f"{name:<28} {len(seconds):>6} decisions   median {median:7.2f} ms   p95 {p95:7.2f} ms   {1000 / median:7.1f} /s at the median\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--threads", type=int, default=8)
    asked = parser.parse_args()
    sides = {"metaloom": Ours(asked.database_url), "SpiffWorkflow 3.2.0": Theirs(asked.database_url)}
    alone: dict[str, list[float]] = {name: [] for name in sides}
    crowd: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        one_by_one(side, 3)
    for _ in range(asked.rounds):
        for name, side in sides.items():
            alone[name] += one_by_one(side, asked.cases)
            crowd[name] += together(side, asked.cases, asked.threads)
    for what, found in (("one after another", alone), (f"{asked.threads} at once", crowd)):
        sys.stdout.write(f"{what}\n")
        for name, seconds in found.items():
            told(f"  {name}", seconds)
        ours, theirs = (statistics.median(seconds) for seconds in found.values())
        sys.stdout.write(f"  ratio of the medians (ours / theirs): {ours / theirs:.2f}\n")
    for side in sides.values():
        side.close()


if __name__ == "__main__":
    main()
