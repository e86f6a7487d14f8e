"""Fifty threads at the same tasks: one legal outcome each, no task twice, no decision lost, and the log says what the rows say."""

from __future__ import annotations

import random
import threading
from collections import Counter
from decimal import Decimal

import pytest

from metaloom.app.invariants import examine
from metaloom.approval import codec, replay
from metaloom.base.errors import Busy, MetaloomError
from metaloom.command import approval_rows, change_record, decide_task, move_case
from metaloom.command.unit import Unit
from metaloom.storage.engine import run_statement
from tests.command.dying import Dying
from tests.command.guild import REQUEST

THREADS = 50


def storm(jobs):
    """Runs all jobs at once; what each gave: True, or the error that refused it."""
    barrier, results = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(place, job):
        barrier.wait()
        try:
            job()
            results[place] = True
        except MetaloomError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(i, job)) for i, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(r is not None for r in results), "a thread died of something that is no refusal"
    return results


def refusals(results):
    return Counter(type(r).__name__ for r in results if r is not True)


def patiently(job):
    """A busy database is no answer: ask again, as a person would."""
    for _ in range(20):
        try:
            return job()
        except Busy:
            continue
    raise AssertionError("busy twenty times")


def test_one_of_fifty_decisions_counts(guild):
    case = guild.start("three")
    task, version = guild.open_task(case), guild.version(guild.case(case)["record_id"])
    ctx = guild.ctx("checker")
    words = ("pass", "reject") * (THREADS // 2)
    results = storm([lambda w=w: patiently(lambda: decide_task(ctx, task, w, "意见", record_version=version)) for w in words])
    assert results.count(True) == 1, refusals(results)
    assert guild.log(case).count("decided") == 1
    guild.check(case)


def test_a_vote_counts_every_voice_once(guild):
    case = guild.start("committee")
    version = guild.version(guild.case(case)["record_id"])
    jobs = []
    for name in ("judge1", "judge2", "judge3"):
        ctx, task = guild.ctx(name), guild.open_task(case, name)
        jobs += [lambda c=ctx, t=task: patiently(lambda: decide_task(c, t, "pass", "同意", record_version=version))] * 16
    results = storm(jobs)
    assert results.count(True) == 2, "two of three suffice, the third is not asked any more"
    assert guild.case(case)["status"] == "approved"
    assert guild.record(guild.case(case)["record_id"])["times"] == 1
    guild.check(case)


def test_one_of_a_pool_claims(guild):
    case = guild.start("pooled")
    task = guild.open_task(case)
    ctxs = [guild.ctx(name) for name in ("judge1", "judge2", "judge3")]
    results = storm([lambda c=ctxs[i % 3]: patiently(lambda: move_case(c, "claim", task_id=task)) for i in range(THREADS)])
    assert results.count(True) == 1
    guild.check(case)


def crowd(guild):
    """Second holders of the roles that decide, and the contexts of everybody who may log in."""
    for name, role in (("checker2", "guild.checker"), ("master2", "guild.master"), ("payer2", "guild.payer")):
        if name not in guild.people:
            guild.add_person(name, role)
    return {name: guild.ctx(name) for name in guild.people if guild.rows("user", id=guild.people[name])[0]["active"]}


def many_cases(guild):
    """Three cases whose record changes with them, and five of other shapes."""
    cases = [guild.start("main", record=guild.request(amount=Decimal("5000.00"))) for _ in range(3)]
    return cases + [guild.start(chain) for chain in ("every", "bands", "three", "committee", "pooled")]


def one_legal_end_each(guild, cases):
    """Whatever happened: every case ended once, its log, its rows and its record say the same, no task is there twice."""
    for case in cases:
        row, log = guild.case(case), guild.log(case)
        assert log.count("finished") == 1 and row["finished_at"] is not None, (row["status"], log[-5:])
        numbers = [t["task_no"] for t in guild.tasks(case)]
        assert len(numbers) == len(set(numbers)) == log.count("task_opened")
        assert not [t for t in guild.tasks(case) if t["status"] in ("open", "waiting")]
        assert sum(1 for t in guild.tasks(case) if t["decision"] in ("pass", "reject", "return")) == log.count("decided")
        seqs = [e["seq"] for e in guild.rows("approval_event", case_id=case)]
        assert seqs == list(range(1, len(seqs) + 1)) and row["seq"] == len(seqs)
    wanted = {"approved": "granted", "rejected": "refused", "withdrawn": "draft", "terminated": "refused"}
    for case in cases[:3]:
        record = guild.record(guild.case(case)["record_id"])
        assert record["status"] == wanted[guild.case(case)["status"]]
        assert record["times"] == (1 if record["status"] == "granted" else 0)
    guild.check(*cases)


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(4, 24))])
def test_everybody_does_everything_at_once(guild, seed):
    """Deciding, withdrawing, taking back, handing on, adding signers, claiming, copying, editing, on eight cases by fifty threads."""
    dice, contexts, cases, done = random.Random(seed), crowd(guild), many_cases(guild), []
    jobs = [lambda d=random.Random(dice.random()): work(guild, contexts, cases, d, done) for _ in range(THREADS)]
    storm(jobs)
    assert len(done) >= 15 and len(set(done)) >= 6, Counter(done)
    print(seed, Counter(done))
    _play_out(guild, contexts, cases)
    one_legal_end_each(guild, cases)


@pytest.mark.parametrize("seed", [100, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(101, 109))])
def test_processes_die_while_everybody_acts(guild, dying, seed):
    """As above by threads, beside six processes that are killed at some statement of some move; others go on as if nothing was."""
    dice, contexts, cases, done = random.Random(seed), crowd(guild), many_cases(guild), []
    people = {name: guild.people[name] for name in contexts}
    for number in range(6):
        dying.send(do="storm", seed=seed * 10 + number, people=people, cases=cases, die=dice.randint(1, 60), beside=number < 5)
    jobs = [lambda d=random.Random(dice.random()): work(guild, contexts, cases, d, done, moves=6) for _ in range(16)]
    storm(jobs)
    ends = Counter(dying.outcome() for _ in range(6))
    print(seed, ends, Counter(done))
    assert set(ends) <= {0, 9} and ends[9] >= 3, ends
    _play_out(guild, contexts, cases)
    one_legal_end_each(guild, cases)


@pytest.fixture
def dying(guild):
    server = Dying(guild)
    yield server
    server.close()


SHORT = {"main": ("checker", {"fields": {"advice": "死前所写"}})}
LONG = {"three": ("payer", {}), "every": ("judge3", {}), "committee": ("judge2", {}), "timed": ("checker", {}), "copied": ("checker", {}),
        "bands": ("master", {})}


@pytest.mark.parametrize("chain", [*SHORT, *(pytest.param(chain, marks=pytest.mark.nightly) for chain in LONG)])
def test_a_death_before_any_statement_of_a_decision_leaves_all_of_it_or_nothing(guild, dying, chain):
    """Killed before the first, the second, … the last statement, before the commit and after it; then the same request again."""
    person, more = {**SHORT, **LONG}[chain]
    deaths = commits = 0
    for number in range(1, 60):
        case = _ready(guild, chain, person)
        record = guild.case(case)["record_id"]
        task, version, before = guild.open_task(case, person), guild.version(record), _dump(guild, case)
        order = {"do": "decide", "user": guild.people[person], "task": task, "version": version, "decision": "pass", "more": more}
        end = dying.order(**order, die=number)
        assert end in (0, 9)
        guild.check(case)
        stored = _dump(guild, case) != before
        assert stored == any(t["id"] == task and t["decision"] == "pass" for t in guild.tasks(case)), (number, "a part of it was stored")
        deaths, commits = deaths + (end == 9), commits + stored
        if end == 0:
            assert stored
            break
        assert not stored, (number, "it died before its commit")
        if number % 4 != 1 and chain in SHORT:
            continue
        assert dying.order(**order, die=0) == 0, "nothing of the dead holds the case"
        guild.check(case)
        assert guild.log(case).count("decided") == before["log"].count("decided") + 1
    print(chain, deaths, "deaths")
    assert deaths >= 10 and commits == 1


def _ready(guild, chain, person):
    """A case at which the person's decision is due, the deciders before having passed."""
    case = guild.start(chain)
    for name in {"three": ("checker", "master"), "every": ("judge1", "judge2"), "committee": ("judge1",)}.get(chain, ()):
        guild.decide(case, name)
    return case


def _dump(guild, case):
    """Everything that a decision may change."""
    record = guild.case(case)["record_id"]
    return {"case": guild.case(case), "tasks": guild.tasks(case), "log": guild.log(case), "record": guild.record(record),
            "parties": guild.rows("approval_party", case_id=case), "copies": guild.rows("approval_copy", case_id=case),
            "audit": guild.rows("audit", entity="platform.approval_case", record_id=case)}


def work(guild, contexts, cases, dice, done, moves=14):
    """Random moves of random people; a refusal is an answer."""
    for _ in range(moves):
        case, name = dice.choice(cases), dice.choice(sorted(contexts))     # everybody meets at few cases
        tasks = guild.tasks(case)
        if not tasks:
            continue
        task, other = dice.choice(tasks), guild.people[dice.choice(sorted(contexts))]
        row = guild.case(case)
        version = guild.version(row["record_id"])
        if dice.random() < 0.9 and task["status"] != "open":
            continue
        kind = dice.choice(("pass", "pass", "return", "transfer", "delegate", "add_before", "add_after", "take_back",
                            "withdraw" if dice.random() < 0.2 else "reject", "copy", "ask", "urge", "resubmit", "claim", "hold",
                            "read", "edit", "remove", "resolve", "answer"))
        if dice.random() < 0.7:
            name = next((n for n in contexts if guild.people[n] == task["assignee_id"]), name)
        try:
            _try(contexts[name], kind, case, task["id"], other, version, row["record_id"])
            done.append(kind)
        except MetaloomError:
            continue


def _try(ctx, kind, case, task, other, version, record):
    if kind in ("pass", "reject", "return", "resolve"):
        outputs = {"granted": "100.00"} if kind == "pass" else None
        try:
            decide_task(ctx, task, kind, "意见", outputs=outputs, record_version=version)
        except MetaloomError:
            decide_task(ctx, task, kind, "意见", record_version=version)
    elif kind == "edit":
        change_record(ctx, REQUEST, record, {"purpose": "改"}, version)
    elif kind == "withdraw":
        move_case(ctx, kind, case_id=case, data={"reason": "撤"})
    elif kind == "urge":
        move_case(ctx, kind, case_id=case)
    else:
        data = {"transfer": {"to": other}, "delegate": {"to": other}, "add_before": {"to": [other]}, "add_after": {"to": [other]},
                "copy": {"to": [other]}, "ask": {"to": other, "question": "问"}, "resubmit": {"opinion": "改好"}, "answer": {"opinion": "答"}}
        move_case(ctx, kind, task_id=task, data=data.get(kind, {}))


def _play_out(guild, contexts, cases):
    """Whoever has a task passes it until nothing waits: no case is stranded."""
    for case in cases:
        for _ in range(60):
            waiting = [t for t in guild.tasks(case) if t["status"] == "open"]
            if guild.case(case)["finished_at"] is not None:
                break
            assert waiting, (case, guild.case(case)["status"], guild.log(case))
            assert any(_advance(guild, contexts, case, t) for t in waiting), [(t["kind"], t["step"], t["assignee_id"]) for t in waiting]


def _advance(guild, contexts, case, task):
    people = [n for n in contexts if guild.people[n] == task["assignee_id"]] or [
        n for n in contexts if guild.people[n] in {r["user_id"] for r in guild.rows("approval_pool", task_id=task["id"])}]
    version = guild.version(guild.case(case)["record_id"])
    kinds = {"answer": ("answer",), "resubmit": ("resubmit",), "delegated": ("resolve",)}.get(task["kind"], ("pass", "reject"))
    for name in people:
        for kind in (*kinds, "claim"):
            try:
                _try(contexts[name], kind, case, task["id"], 0, version, 0)
                return True
            except MetaloomError:
                continue
    return False


def test_two_starts_make_one_case(guild):
    record = guild.request()
    ctx = guild.ctx("clerk")
    from metaloom.command import start_approval

    results = storm([lambda: patiently(lambda: start_approval(ctx, REQUEST, record, "main"))] * 20)
    assert results.count(True) == 1, refusals(results)
    with guild.tenant.read() as conn:
        assert len(approval_rows.open_cases(Unit(guild.system, conn, "look", guild.clock.now()), REQUEST, record)) == 1


def test_the_check_sees_a_row_that_the_log_does_not_say(guild):
    case = guild.start("three")
    guild.check(case)
    with guild.tenant.write() as conn:
        table = guild.tenant.revision().tables.engine.approval_task
        conn.execute(table.update().where(table.c.case_id == case).values(status="done"))
    with pytest.raises(AssertionError):
        guild.check(case)
    (found,) = [one for one in examine(guild.tenant) if one.name == "approval.log"]
    assert (found.breaches, found.first) == (1, (f"case {case}: the rows of its tasks are not what its log says",))
    with guild.tenant.write() as conn:
        conn.execute(table.update().where(table.c.case_id == case).values(status="open"))
    (found,) = [one for one in examine(guild.tenant) if one.name == "approval.log"]
    assert found.holds and found.rows >= 1


@pytest.mark.parametrize("planted", [
    "UPDATE ml_approval_case SET status = 'approved' WHERE id = {case}", "UPDATE ml_approval_case SET seq = seq + 1 WHERE id = {case}",
    "UPDATE ml_approval_case SET state = replace(state, 'open', 'done') WHERE id = {case}",
    "INSERT INTO ml_approval_task (case_id, task_no, step, kind, status, opened_at) SELECT case_id, 99, step, kind, status, opened_at "
    "FROM ml_approval_task WHERE case_id = {case} LIMIT 1",
])  # fmt: skip
def test_doctor_finds_what_the_log_does_not_say(guild, planted):
    case = guild.start("three")
    with guild.tenant.ddl() as conn:
        run_statement(conn, planted.format(case=case))
    (found,) = [one for one in examine(guild.tenant) if one.name == "approval.log"]
    assert not found.holds and all(f"case {case}" in said for said in found.first)
    with guild.tenant.ddl() as conn:
        run_statement(conn, f"DELETE FROM ml_approval_task WHERE case_id = {case} AND task_no = 99")
        state = codec.dump_state(replay(approval_rows.events(conn, guild.tenant.revision().tables, case))).replace("'", "''")
        run_statement(conn, f"UPDATE ml_approval_case SET status = 'running', seq = {len(guild.log(case))}, state = '{state}' WHERE id = {case}")
    assert [one for one in examine(guild.tenant) if one.name == "approval.log"][0].holds
