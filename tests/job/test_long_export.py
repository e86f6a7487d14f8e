"""Exports in the background: what they hold, who gets them, what dying workers leave, how they end."""

import io
import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from time import monotonic, sleep
from types import SimpleNamespace

import openpyxl
import pytest
import sqlalchemy as sa

from metaloom import schema_change
from metaloom.app import demo
from metaloom.base.crash import POINTS
from metaloom.base.errors import LoginRequired, NotAllowed, NotFound, NotPossible
from metaloom.command import (
    assign_role,
    begin_export,
    cancel_export,
    handle_export,
    my_exports,
    open_export,
    revoke_role,
    sweep_exports,
    throw_export_away,
)
from metaloom.command import limits as limits_module
from metaloom.command import long_export as module
from metaloom.command.long_export import how_many
from metaloom.command.session import Pinned
from metaloom.compile import Source
from metaloom.job import run_due
from metaloom.record import Filter
from metaloom.storage.sealed_files import PIECE, Damaged, SealedFiles
from metaloom.storage.types import utc_now
from tests.command.club import sources
from tests.forked import Forked
from tests.job.hall import JOBS, Hall

MEMBER = "club.member"
CHILD = """
import sys
from datetime import datetime
from metaloom.base.clock import FixedClock
from metaloom.command import handle_export
from metaloom.job import run_due
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.club import plugins
home, url, name, now = sys.argv[1:]
registry = plugins()
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}), compiler=compiler_with(registry.manifest())).open(name)
run_due(tenant, {"export.run": lambda tenant, row: handle_export(tenant, row, plugins=registry, clock=FixedClock(datetime.fromisoformat(now)))})
"""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hall(request, tmp_path_factory):
    made = Hall(tmp_path_factory.mktemp("home"), request.getfixturevalue("pg_url") if request.param == "postgresql" else "", "export_hall")
    made.names = [made.values()["name"] for _ in range(30)]
    made.names[1] = "=1+1"
    for at, name in enumerate(made.names):
        made.new(name=name, id_no="11010519491231002X" if not at else None)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def tidy(request):
    """No export of an earlier test waits or is kept; what a request would let go of at its end is let go of: a transaction that is left open
    is in the way of a publish, and of the end of the tenant."""
    yield
    while PINNED:
        PINNED.pop().release()
    hall = request.node.funcargs.get("hall")
    if hall is not None:
        with hall.tenant.write() as conn:
            conn.execute(hall.tenant.revision().tables.engine.export_run.delete())
            conn.execute(hall.tenant.revision().tables.engine.outbox.delete())
        for path in folder(hall).glob("*"):
            path.unlink()


PINNED = []


def as_person(hall, name="clerk"):
    pinned = Pinned(hall.tenant, "test", hall.clock)
    pinned.enter(hall.people[name], "screen")
    PINNED.append(pinned)
    return pinned


def ask(hall, name="clerk", format="csv", **asked):
    pinned = as_person(hall, name)
    try:
        about, _ = how_many(pinned, MEMBER, **{key: value for key, value in asked.items() if key in ("filters", "q", "view")})
        return begin_export(pinned, MEMBER, format=format, name=f"members.{format}", about=about, locale="zh", **asked).id
    finally:
        pinned.release()


def work(hall):
    return run_due(hall.tenant, {"export.run": lambda tenant, row: handle_export(tenant, row, plugins=hall.registry, clock=hall.clock)})


def run_of(hall, id):
    return next(row for row in hall.engine_rows("export_run") if row["id"] == id)


def fetch(hall, id, name="clerk"):
    pinned = as_person(hall, name)
    try:
        with open_export(pinned, id).content as content:
            return io.BufferedReader(content).read()
    finally:
        pinned.release()


def audited(hall, word):
    return [row for row in hall.engine_rows("audit") if word in (row["after"] or {})]


def folder(hall):
    return hall.tenant.settings.home / "files" / hall.tenant.name / "sealed"


# -- what it holds ------------------------------------------------------------------------------------------------------


def test_it_is_the_export_that_the_person_would_get_at_once(hall):
    asked = {"paths": ("name", "id_no", "email"), "sort": ("name",), "filters": (Filter("status", "eq", "draft"),)}
    sink = io.BytesIO()
    pinned = as_person(hall)
    pinned.reader.export(MEMBER, format="csv", file=sink, **asked)
    pinned.release()
    id = ask(hall, **asked)
    assert run_of(hall, id)["status"] == "waiting" and run_of(hall, id)["total"] == 30
    work(hall)
    run = run_of(hall, id)
    assert (run["status"], run["rows"], run["total"], run["total_exact"]) == ("done", 30, 30, True)
    made = fetch(hall, id)
    assert made == sink.getvalue() and run["size"] == len(made)
    assert "\n'=1+1," in made.decode()
    assert audited(hall, "export")[-1]["after"]["export"]["rows"] == 30 and audited(hall, "export")[-1]["channel"] == "screen"
    taken = audited(hall, "export_download")
    assert [(row["actor_id"], row["after"]["export_download"]["export"]) for row in taken if row["after"]["export_download"]["export"] == id] == [
        (hall.people["clerk"], id)]
    told = [row for row in hall.engine_rows("message") if row["kind"] == "export"]
    assert (told[-1]["receiver_id"], told[-1]["link"]) == (hall.people["clerk"], "/exports") and "30" in told[-1]["subject"]


def test_a_workbook_opens(hall):
    id = ask(hall, format="xlsx", paths=("name",))
    work(hall)
    rows = list(openpyxl.load_workbook(io.BytesIO(fetch(hall, id))).active.values)
    assert len(rows) == 31 and rows[0] == ("姓名",)


def test_rows_are_those_of_the_person_who_asked(hall):
    id = ask(hall, "stranger", paths=("name",))
    work(hall)
    assert run_of(hall, id)["rows"] == 0
    assert fetch(hall, id, "stranger").decode("utf-8-sig").splitlines() == ["姓名"]


def test_the_question_and_the_file_are_sealed_in_the_house(hall):
    id = ask(hall, paths=("name",), filters=(Filter("name", "eq", hall.names[3]),))
    assert hall.names[3] not in run_of(hall, id)["question"]
    work(hall)
    kept = (folder(hall) / run_of(hall, id)["file"]).read_bytes()
    assert hall.names[3].encode() not in kept and hall.names[3].encode() in fetch(hall, id)


# -- who gets it --------------------------------------------------------------------------------------------------------


def test_only_the_person_who_asked_gets_it(hall):
    id = ask(hall)
    with pytest.raises(NotPossible):
        fetch(hall, id)
    work(hall)
    for other in ("chief", "admin", "guest"):
        with pytest.raises(NotFound):
            fetch(hall, id, other)
        with pytest.raises(NotFound):
            throw_export_away(hall.ctx(other), id)
        assert id not in [run.id for run in my_exports(as_person(hall, other))]
    assert fetch(hall, id)
    with pytest.raises(NotAllowed):
        ask(hall, "guest")


def assignment_of(hall, name):
    return next(row for row in hall.engine_rows("role_assignment") if row["user_id"] == hall.people[name])


def test_a_person_stripped_of_the_right_gets_nothing_made_and_nothing_handed_out(hall):
    user = hall.add_person("leaver", "club.clerk", hall.north, hall.desk)
    first, second = ask(hall, "leaver"), None
    work(hall)
    assert fetch(hall, first, "leaver")
    second = ask(hall, "leaver")
    revoke_role(hall.system, assignment_of(hall, "leaver")["id"])
    work(hall)
    assert (run_of(hall, second)["status"], run_of(hall, second)["file"]) == ("failed", None) and run_of(hall, second)["sentence"]
    with pytest.raises(NotAllowed):
        fetch(hall, first, "leaver")
    assign_role(hall.system, user, "club.clerk", company=hall.south)
    with pytest.raises(NotPossible, match="export again"):
        fetch(hall, first, "leaver")


WHERE_I_WORK = ("access:\n  clerk:\n    scope: company\n", "access:\n  clerk:\n    scope: expression\n    condition: \"company == user.company\"\n")


def publish_changed(hall, *changes):
    """The club anew, with some texts of its metadata changed."""
    changed = []
    for source in sources():
        for was, now in changes if source.path == "club/desk/member/entity.yaml" else ():
            assert was in source.text
            source = replace(source, text=source.text.replace(was, now))
        changed.append(source)
    schema_change.publish(hall.tenant, (*changed, Source("pack", "club/jobs.yaml", JOBS)))


@pytest.fixture
def own_words(hall):
    """A hall whose metadata the test may change; afterwards it is as it was."""
    yield partial(publish_changed, hall)
    publish_changed(hall)


def test_a_person_who_moved_gets_no_rows_of_the_old_company_where_an_expression_says_which(hall, own_words):
    """The words of the scope are the same, what they stand for is not."""
    own_words(WHERE_I_WORK)
    user = hall.add_person("mover", "club.clerk", hall.north, hall.desk)
    id = ask(hall, "mover", paths=("name",))
    work(hall)
    assert run_of(hall, id)["rows"] == 30 and fetch(hall, id, "mover")
    with hall.tenant.write() as conn:
        table = hall.tenant.revision().tables.engine.user
        conn.execute(table.update().where(table.c.id == user).values(company_id=hall.south))
    with pytest.raises(NotPossible, match="export again"):
        fetch(hall, id, "mover")
    with hall.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == user).values(company_id=hall.north))
    assert fetch(hall, id, "mover")


def test_the_people_of_a_demo_read_where_a_condition_asks_who_they_are(hall, own_words):
    """The same words as above: a demo tells the reader of its person as a request does."""
    own_words((WHERE_I_WORK[0], WHERE_I_WORK[1].replace("company == user.company", "company == user.company and user.id is not null")))
    stage = SimpleNamespace(tenant=hall.tenant, today=hall.clock.at.date(), clock=hall.clock)
    with hall.tenant.read() as conn:
        assert demo.Worker(stage, hall.people["clerk"])._reader(conn).list(MEMBER, limit=5).rows


def test_a_list_that_is_removed_while_the_export_waits_is_not_exported_without_its_filter(hall, own_words):
    own_words(("access:\n", "lists:\n  few: {label: {zh: 少数, en: Few}, filter: \"name == '=1+1'\", columns: [name]}\naccess:\n"))
    few = hall.tenant.revision().catalog.lists[f"{MEMBER}/few"]
    made = ask(hall, view=few, paths=("name",))
    work(hall)
    assert run_of(hall, made)["rows"] == 1
    waiting = ask(hall, view=few, paths=("name",))
    own_words()
    work(hall)
    run = run_of(hall, waiting)
    assert (run["status"], run["file"]) == ("failed", None) and "列表已不存在" in run["sentence"]
    assert fetch(hall, made), "what was made while there was such a list is as good as before"


def test_an_account_that_is_switched_off_gets_nothing(hall):
    hall.add_person("gone", "club.clerk", hall.north, hall.desk)
    id = ask(hall, "gone")
    with hall.tenant.write() as conn:
        table = hall.tenant.revision().tables.engine.user
        conn.execute(table.update().where(table.c.id == hall.people["gone"]).values(active=False))
    work(hall)
    assert run_of(hall, id)["status"] == "failed"
    with pytest.raises(LoginRequired):
        fetch(hall, id, "gone")


def test_limits_of_rows_of_open_ones_and_of_kept_ones(hall, monkeypatch):
    changed = {**limits_module.LIMITS, "export_rows_max": 10}
    monkeypatch.setattr(limits_module, "LIMITS", changed)
    with pytest.raises(NotPossible, match="10"):
        ask(hall)
    changed["export_rows_max"] = 100_000
    mine = [ask(hall) for _ in range(module.OPEN_MAX)]
    with pytest.raises(NotPossible):
        ask(hall)
    changed["export_rows_max"] = 10
    monkeypatch.setattr("metaloom.record.export.TELL_ROWS", 5)
    work(hall)
    assert {run_of(hall, id)["status"] for id in mine} == {"failed"}, "more rows came than the tenant lets one file hold"
    changed["export_rows_max"] = 100_000
    monkeypatch.setattr(module, "KEPT_MAX", 1)
    ask(hall)
    work(hall)
    with pytest.raises(NotPossible):
        ask(hall)


# -- how it ends --------------------------------------------------------------------------------------------------------


def test_it_expires_and_can_be_thrown_away_and_the_bytes_go(hall):
    first, second = ask(hall), ask(hall)
    work(hall)
    throw_export_away(hall.ctx("clerk"), first)
    assert [path.name for path in folder(hall).iterdir()] == [run_of(hall, second)["file"]]
    with pytest.raises(NotPossible):
        throw_export_away(hall.ctx("clerk"), first)
    before = hall.clock.at
    try:
        hall.clock.at = before + timedelta(hours=73)
        for id in (first, second):
            with pytest.raises(NotPossible, match="export again"):
                fetch(hall, id)
        assert {run.status for run in my_exports(as_person(hall))} == {"gone"}
        assert sweep_exports(hall.tenant, hall.clock) == 1
        assert not list(folder(hall).iterdir()) and run_of(hall, second)["key"] is None
        hall.clock.at = before + timedelta(days=40)
        sweep_exports(hall.tenant, hall.clock)
        assert hall.engine_rows("export_run") == []
    finally:
        hall.clock.at = before


def test_one_that_waits_can_be_cancelled_and_one_under_way_stops(hall, monkeypatch):
    waiting = ask(hall)
    cancel_export(hall.ctx("clerk"), waiting)
    with pytest.raises(NotPossible):
        cancel_export(hall.ctx("clerk"), waiting)
    work(hall)
    assert run_of(hall, waiting)["status"] == "cancelled"
    monkeypatch.setattr(module, "TICK_SECONDS", 0.0)
    monkeypatch.setattr("metaloom.record.export.TELL_ROWS", 10)
    under_way, seen = ask(hall), []

    class Told(module._Teller):
        def __call__(self, rows):
            if rows == 20:
                seen.append(run_of(hall, under_way)["rows"])
                cancel_export(hall.ctx("clerk"), under_way)
            super().__call__(rows)

    monkeypatch.setattr(module, "_Teller", Told)
    work(hall)
    assert seen == [10] and run_of(hall, under_way)["status"] == "cancelled"
    assert not list(folder(hall).iterdir())


# -- dying workers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("export.")] + ["write.before_commit"])
def test_kill_9_leaves_no_half_file_and_the_next_worker_makes_it(hall, point):
    id = ask(hall, paths=("name",))
    settings = hall.tenant.settings
    child = Forked(CHILD, settings.home, settings.database_url or "", hall.tenant.name, hall.clock.at.isoformat(),
                   env={**os.environ, "METALOOM_CRASH_POINT": point})
    assert child.wait(60) == -signal.SIGKILL, child.errors()[-2000:]
    run = run_of(hall, id)
    assert (run["status"], run["file"] is None) == (("done", False) if point == "export.noted" else ("running", True))
    hall.expire()
    work(hall)
    assert run_of(hall, id)["status"] == "done" and len(fetch(hall, id).splitlines()) == 31
    assert len([row for row in audited(hall, "export") if row["after"]["export"]["export"] == id]) == 1
    orphans = {path.name for path in folder(hall).iterdir()} - {run_of(hall, id)["file"]}
    for name in orphans:
        os.utime(folder(hall) / name, (0, 0))
    sweep_exports(hall.tenant, hall.clock)
    assert [path.name for path in folder(hall).iterdir()] == [run_of(hall, id)["file"]]


def test_a_worker_that_slept_through_its_lease_hands_out_nothing(hall, monkeypatch):
    id = ask(hall, paths=("name",))
    finish = module._finish

    def late(*given):
        monkeypatch.setattr(module, "_finish", finish)
        hall.expire()
        work(hall)                      # another worker took over and is done
        return finish(*given)

    monkeypatch.setattr(module, "_finish", late)
    work(hall)
    run = run_of(hall, id)
    assert run["status"] == "done" and [path.name for path in folder(hall).iterdir()] == [run["file"]]
    assert len([row for row in audited(hall, "export") if row["after"]["export"]["export"] == id]) == 1


def seconds_left(hall):
    """Of the lease of the one row that is being worked."""
    row, = [row for row in hall.engine_rows("outbox") if row["state"] == "running"]
    return (row["lease_until"] - utc_now_of(hall)).total_seconds()


def utc_now_of(hall):
    with hall.tenant.read() as conn:
        return conn.scalar(sa.select(utc_now()))


def test_the_lease_is_the_usual_one_and_held_on_to_while_the_first_row_is_thought_of(hall, monkeypatch):
    monkeypatch.setattr(module, "TICK_SECONDS", 0.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr("metaloom.record.export.TELL_ROWS", 10)
    seen, threads, rows_of = [], [], module.export_rows

    def looking(reader, *given, told, **asked):
        def then(rows):
            told(rows)
            seen.append(seconds_left(hall))
            threads.append(sum(thread.name == "metaloom-export-lease" for thread in threading.enumerate()))

        seen.append(seconds_left(hall))
        hall.expire()
        until = monotonic() + 10
        while seconds_left(hall) < 0 and monotonic() < until:
            sleep(0.02)
        seen.append(seconds_left(hall))
        return rows_of(reader, *given, told=then, **asked)

    monkeypatch.setattr(module, "export_rows", looking)
    ask(hall)
    work(hall)
    assert len(seen) > 3 and all(100 < left <= 120 for left in seen), seen
    assert not [thread for thread in threading.enumerate() if thread.name == "metaloom-export-lease"]


def test_a_statement_that_never_answers_is_not_held_on_to_for_ever(hall, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(module, "FIRST_ROW_SECONDS", 0.0)
    seen, rows_of = [], module.export_rows

    def looking(reader, *given, **asked):
        sleep(0.2)
        hall.expire()
        sleep(0.2)
        seen.append(seconds_left(hall))
        return rows_of(reader, *given, **asked)

    monkeypatch.setattr(module, "export_rows", looking)
    id = ask(hall)
    work(hall)
    assert seen[0] < 0 and run_of(hall, id)["status"] == "done"


def test_a_column_that_is_removed_while_the_export_waits_ends_it_with_its_name(hall, own_words):
    own_words(("    email: ", "    nickname: {type: text, length: 20, label: {zh: 昵称, en: Nickname}}\n    email: "))
    id = ask(hall, paths=("name", "nickname"))
    own_words()
    assert work(hall) == 1
    run = run_of(hall, id)
    assert (run["status"], run["file"]) == ("failed", None) and "nickname" in run["sentence"] and "nickname" in run["sentence_en"]
    assert not folder(hall).exists() or not list(folder(hall).iterdir())


def test_what_fails_after_the_file_counts_does_not_take_it_away(hall, monkeypatch):
    finish = module._finish

    def then_fails(*given):
        finish(*given)
        raise RuntimeError("the bell is away")

    monkeypatch.setattr(module, "_finish", then_fails)
    id = ask(hall, paths=("name",))
    work(hall)
    assert run_of(hall, id)["status"] == "done" and len(fetch(hall, id).splitlines()) == 31


def test_a_worker_that_is_to_end_puts_it_back(hall, monkeypatch):
    monkeypatch.setattr("metaloom.record.export.TELL_ROWS", 10)
    id, calls = ask(hall), []

    def stopping():
        calls.append(1)
        return len(calls) > 3           # asked between rows, too
    run_due(hall.tenant, {"export.run": lambda tenant, row: handle_export(tenant, row, plugins=hall.registry, clock=hall.clock)}, stopping=stopping)
    assert run_of(hall, id)["status"] == "running" and not list(folder(hall).iterdir())
    work(hall)
    assert run_of(hall, id)["status"] == "done"


def test_one_that_kills_the_process_every_time_is_given_up(hall):
    id = ask(hall)
    with hall.tenant.write() as conn:
        outbox = hall.tenant.revision().tables.engine.outbox
        conn.execute(sa.update(outbox).values(attempts=module.TRIES))
    work(hall)
    assert run_of(hall, id)["status"] == "failed" and "进程" in run_of(hall, id)["sentence"]


def test_the_same_key_asks_once(hall):
    made = [begin_export(as_person(hall), MEMBER, format="csv", name="a.csv", about=how_many(as_person(hall), MEMBER)[0], locale="zh", key="k-1")
            for _ in range(2)]
    assert made[0].id == made[1].id and made[1].replayed and len(hall.engine_rows("export_run")) == 1


# -- sealed files -------------------------------------------------------------------------------------------------------


def test_a_sealed_file_that_was_touched_is_never_given_out(tmp_path):
    files = SealedFiles(tmp_path / "sealed")
    for size in (0, 1, PIECE, PIECE + 1, 3 * PIECE):
        name, key, writer = files.create("7")
        body = os.urandom(size)
        writer.write(body)
        writer.close()
        path = tmp_path / "sealed" / name
        assert io.BufferedReader(files.open(name, key)).read() == body and path.stat().st_mode & 0o777 == 0o600
        kept = path.read_bytes()
        for wrong in (kept[:-1], kept + b"\0" * 20, kept[:len(kept) // 2] + bytes([kept[len(kept) // 2] ^ 1]) + kept[len(kept) // 2 + 1:],
                      *([kept[:4 + PIECE + 16]] if size > PIECE else [])):
            path.write_bytes(wrong)
            with pytest.raises(Damaged):
                io.BufferedReader(files.open(name, key)).read()
        path.write_bytes(kept)
        with pytest.raises(Damaged):
            io.BufferedReader(files.open(name, os.urandom(32))).read()
    for name in ("../secret", "a/b", ""):
        with pytest.raises(NotFound):
            files.open(name, key)
