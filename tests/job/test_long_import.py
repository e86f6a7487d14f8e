"""Imports in the background: checked, taken part by part, corrected, undone; what dying workers leave, and who may go on with them."""

import itertools
import os
import signal
import sys
from datetime import date
from decimal import Decimal

import pytest

from metaloom.base.crash import POINTS
from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.command import (
    begin_import,
    cancel_import,
    correct_import,
    failed_rows,
    failure,
    handle_import,
    import_run,
    import_runs,
    revoke_role,
    start_import,
    sweep_exports,
    sweep_imports,
    undo_import,
)
from metaloom.command import limits as limits_module
from metaloom.command import long_import as module
from metaloom.job import run_due
from tests.forked import Forked
from tests.job.hall import Hall
from tests.job.test_long_export import as_person, folder

MEMBER = "club.member"
CHILD = """
import sys
from datetime import datetime
from metaloom.base.clock import FixedClock
from metaloom.command import handle_import, long_import
from metaloom.job import run_due
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.club import plugins
home, url, name, now, rows = sys.argv[1:]
long_import.PART_ROWS = int(rows)
registry = plugins()
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}), compiler=compiler_with(registry.manifest())).open(name)
run_due(tenant, {"import.run": lambda tenant, row: handle_import(tenant, row, plugins=registry, clock=FixedClock(datetime.fromisoformat(now)))})
"""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hall(request, tmp_path_factory):
    made = Hall(tmp_path_factory.mktemp("home"), request.getfixturevalue("pg_url") if request.param == "postgresql" else "", "import_hall")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def small_parts(request, monkeypatch):
    """Four rows make a part, and no import of an earlier test waits."""
    monkeypatch.setattr(module, "PART_ROWS", 4)
    yield
    hall = request.node.funcargs.get("hall")
    if hall is not None:
        with hall.tenant.write() as conn:
            tables = hall.tenant.revision().tables.engine
            conn.execute(tables.import_run.delete())
            conn.execute(tables.outbox.delete())
        for path in folder(hall).glob("*"):
            path.unlink()


def sheet(hall, count=10, wrong=(), **more):
    """Rows 2 to count + 1 of a workbook; those in ``wrong`` have a fee that is none."""
    return [(number, {**hall.values(), "plan": "A", "fee": "much" if number in wrong else Decimal("10.50"), **more}) for number in range(2, count + 2)]


def begin(hall, rows, name="clerk", **more):
    return begin_import(as_person(hall, name), MEMBER, rows, name="members.xlsx", **more).id


def work(hall, **more):
    return run_due(hall.tenant, {"import.run": lambda tenant, row: handle_import(tenant, row, plugins=hall.registry, clock=hall.clock)}, **more)


def run_of(hall, id):
    ctx = hall.ctx("admin")
    with hall.tenant.read() as conn:
        return module.ImportRuns(conn).one(id) if ctx else None


def failed_of(hall, id):
    with hall.tenant.read() as conn:
        return failed_rows(hall.ctx("clerk"), conn, module.ImportRuns(conn).one(id), 100)


def names(hall):
    with hall.tenant.read() as conn:
        table = hall.tenant.revision().tables.of(MEMBER)
        return sorted(conn.scalars(table.select().with_only_columns(table.c.name).where(table.c.archived_at.is_(None))))


# -- what it does -------------------------------------------------------------------------------------------------------


def test_two_rows_in_different_parts_that_hold_the_same_are_told_when_checked_and_when_taken(hall):
    """Each part is put back after it was checked, so the database does not remember."""
    rows = sheet(hall, count=14, wrong=(4,))
    for first, second in ((0, 8), (2, 9), (1, 12)):                 # the row at 2 is refused: what it holds is free
        rows[second][1]["email"] = rows[first][1]["email"] = f"twin{first}@example.com"
    before = len(names(hall))
    id = begin(hall, rows)
    work(hall)
    wanted = [(4, "fee", False), (10, "email", "第 2 行"), (14, "email", "第 3 行")]
    for mode in ("checked", "done"):
        failed = [(one.number, p.field, p.field == "email" and p.message.say("zh")[3:8]) for one in failed_of(hall, id) for p in one.problems]
        assert (run_of(hall, id).status, run_of(hall, id).good, failed) == (mode, 11, wanted)
        if mode == "checked":
            assert len(names(hall)) == before
            start_import(hall.ctx("clerk"), id)
            work(hall)
    assert len(names(hall)) == before + 11


def test_a_check_that_goes_on_in_another_turn_still_knows_the_rows_before(hall, monkeypatch):
    rows = sheet(hall, count=9)
    rows[8][1]["email"] = rows[0][1]["email"] = "again@example.com"
    id = begin(hall, rows)
    ticks = itertools.count()
    monkeypatch.setattr(module, "TURN_SECONDS", 1.5)            # the clock ticks when it is looked at: a turn is one part
    monkeypatch.setattr(module, "monotonic", lambda: next(ticks))
    for done in (4, 8):
        work(hall, limit=1)
        assert (run_of(hall, id).status, run_of(hall, id).done) == ("running", done)
    work(hall)
    assert run_of(hall, id).status == "checked"
    assert [one.number for one in failed_of(hall, id)] == [10]


def test_a_check_keeps_nothing_and_names_every_row_at_fault(hall):
    before, dump = names(hall), hall.number_of(MEMBER)
    id = begin(hall, sheet(hall, wrong=(4, 11)))
    assert run_of(hall, id).status == "waiting"
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.done, run.good, run.failed, run.rows_kept, run.rows_left) == ("checked", 10, 8, 2, 0, 0)
    assert names(hall) == before and hall.number_of(MEMBER) == dump
    assert [(row.number, [p.field for p in row.problems], row.cells["fee"]) for row in failed_of(hall, id)] == [(4, ["fee"], "much"), (11, ["fee"], "much")]
    told = [row for row in hall.engine_rows("message") if row["kind"] == "import"]
    assert (told[-1]["receiver_id"], told[-1]["link"]) == (hall.people["clerk"], f"/e/{MEMBER}/imports/{id}")


def test_the_good_rows_come_in_as_their_person_s_and_the_file_goes(hall):
    rows, before = sheet(hall, wrong=(4, 11)), hall.number_of(MEMBER)
    id = begin(hall, rows)
    work(hall)
    start_import(hall.ctx("clerk"), id)
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.rows_read, run.rows_kept, run.failed, run.rows_left, run.file) == ("done", 10, 8, 2, 8, None)
    assert hall.number_of(MEMBER) == before + 8 and {row["name"] for _, row in rows if row["fee"] != "much"} <= set(names(hall))
    made = [row for row in hall.engine_rows("audit") if row["entity"] == MEMBER and row["command"] == "import" and row["record_id"]][-8:]
    assert {(row["channel"], row["actor_id"]) for row in made} == {("import", hall.people["clerk"])}
    assert not list(folder(hall).iterdir())
    with pytest.raises(NotPossible):
        start_import(hall.ctx("clerk"), id)


def test_cells_come_through_as_they_were_sent(hall):
    cells = {**hall.values(), "plan": "A", "fee": 12.5, "joined_on": date(2026, 2, 3)}
    id = begin(hall, [(2, cells)], mode="good_rows")
    work(hall)
    made = next(row for row in (hall.row(MEMBER, one["id"]) for one in all_ids(hall)) if row["name"] == cells["name"])
    assert (run_of(hall, id).rows_kept, made["fee"], made["joined_on"]) == (1, Decimal("12.50"), date(2026, 2, 3))


def all_ids(hall):
    with hall.tenant.read() as conn:
        table = hall.tenant.revision().tables.of(MEMBER)
        return [dict(row) for row in conn.execute(table.select().with_only_columns(table.c.id)).mappings()]


def test_corrected_rows_are_the_continuation_and_none_comes_twice(hall):
    rows = sheet(hall, wrong=(4, 7, 11))
    id, before = begin(hall, rows, mode="good_rows"), hall.number_of(MEMBER)
    work(hall)
    ctx = hall.ctx("clerk")
    cells = {row.number: dict(row.cells) for row in failed_of(hall, id)}
    for given in ([(None, cells[4])], [(4, cells[4]), (4, cells[4])], [(5, rows[3][1])]):
        with pytest.raises(NotPossible):
            correct_import(ctx, id, given)
    correct_import(ctx, id, [(4, {**cells[4], "fee": "7"}), (7, cells[7])])
    with pytest.raises(NotPossible):
        correct_import(ctx, id, [(11, {**cells[11], "fee": "7"})])
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.rows_read, run.rows_kept, run.failed, run.rows_left) == ("done", 10, 8, 2, 8)
    with pytest.raises(NotPossible, match="4"):
        correct_import(ctx, id, [(4, {**cells[4], "fee": "7"})])
    correct_import(ctx, id, [(number, {**cells[number], "fee": "7"}) for number in (7, 11)])
    work(hall)
    run = run_of(hall, id)
    assert (run.rows_kept, run.failed, hall.number_of(MEMBER)) == (10, 0, before + 10)
    assert undo_import(ctx, id).taken_back == 10


def test_the_rows_lie_sealed_and_so_do_those_that_failed(hall):
    rows = sheet(hall, wrong=(3,))
    id = begin(hall, rows)
    secret = rows[1][1]["name"].encode()
    assert all(secret not in path.read_bytes() for path in folder(hall).iterdir()) and len(list(folder(hall).iterdir())) == 1
    work(hall)
    kept, = [row for row in hall.engine_rows("import_failed") if row["run_id"] == id]
    assert secret.decode() not in kept["content"] and "much" not in kept["content"]


def test_a_part_of_a_check_that_would_clash_with_a_row_before_it_is_told_when_it_is_taken(hall):
    rows = [(number, {**cells, "email": f"same{hall.clock.at:%f}{len(all_ids(hall))}@example.com"}) for number, cells in sheet(hall, 6)]
    id = begin(hall, rows, mode="good_rows")
    work(hall)
    run = run_of(hall, id)
    assert (run.rows_kept, run.failed) == (1, 5) and {p.field for row in failed_of(hall, id) for p in row.problems} == {"email"}


# -- who, and how many --------------------------------------------------------------------------------------------------


def test_only_its_person_goes_on_with_it_and_administrators_see_it(hall):
    id = begin(hall, sheet(hall))
    work(hall)
    with hall.tenant.read() as conn:
        for other, seen in (("clerk", True), ("admin", True), ("stranger", False)):
            ctx = hall.ctx(other)
            if not ctx.plan.may(MEMBER, "import"):
                continue
            assert (id in [run.id for run in import_runs(ctx, conn, MEMBER)]) is seen, other
            if not seen:
                with pytest.raises(NotFound):
                    import_run(ctx, conn, MEMBER, id)
    with pytest.raises(NotFound):
        start_import(hall.ctx("stranger"), id)
    with pytest.raises(NotFound):
        cancel_import(hall.ctx("stranger"), id)
    with pytest.raises((NotPossible, NotAllowed)):
        start_import(hall.ctx("admin"), id)
    with pytest.raises(NotAllowed):
        begin(hall, sheet(hall), "guest")
    assert not [path for path in folder(hall).iterdir() if path.name != run_of(hall, id).file], "a refused one leaves no file"


def test_rights_are_asked_again_with_every_part(hall, monkeypatch):
    hall.add_person("leaver", "club.clerk", hall.north, hall.desk)
    id = begin(hall, sheet(hall), "leaver", mode="good_rows")
    note = module._note

    def then_strip(*given):
        note(*given)
        monkeypatch.setattr(module, "_note", note)
        stripped.append(1)

    stripped, as_asker = [], module._as_asker

    def before_a_part(*given):
        if len(stripped) == 1:
            stripped.append(2)
            held = next(row for row in hall.engine_rows("role_assignment") if row["user_id"] == hall.people["leaver"])
            revoke_role(hall.system, held["id"])
        return as_asker(*given)

    monkeypatch.setattr(module, "_note", then_strip)
    monkeypatch.setattr(module, "_as_asker", before_a_part)
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.done, run.rows_kept) == ("failed", 4, 4) and run.sentence and run.file


def test_limits(hall, monkeypatch):
    monkeypatch.setattr(limits_module, "LIMITS", {**limits_module.LIMITS, "import_rows_max": 5, "import_rows_at_once": 3})
    assert module.is_long(as_person(hall), 4) and not module.is_long(as_person(hall), 3)
    with pytest.raises(NotPossible):
        begin(hall, sheet(hall, 6))
    with pytest.raises(NotPossible):
        begin(hall, sheet(hall, 4), mode="all")
    for _ in range(module.OPEN_MAX):
        begin(hall, sheet(hall, 4))
    with pytest.raises(NotPossible):
        begin(hall, sheet(hall, 4))
    assert len(list(folder(hall).iterdir())) == module.OPEN_MAX


def test_the_same_key_begins_one(hall):
    rows = sheet(hall)
    first, second = (begin_import(as_person(hall), MEMBER, rows, name="a.xlsx", key="i-1") for _ in range(2))
    assert first.id == second.id and second.replayed and len(list(folder(hall).iterdir())) == 1



@pytest.mark.parametrize("mode", ["dry_run", "good_rows"])
def test_clashes_that_must_not_be_told_halt_it_for_the_hour_and_the_rest_comes_after(hall, monkeypatch, mode):
    monkeypatch.setattr(failure, "beyond_rights", lambda *given, **more: True)
    monkeypatch.setattr(limits_module, "LIMITS", {**limits_module.LIMITS, "unique_refusals_per_hour": 3})
    person = f"prober_{mode}"
    hall.add_person(person, "club.clerk", hall.north, hall.desk)
    taken = [f"{mode}{n}@example.com" for n in range(7)]
    for email in taken:
        hall.new(email=email)
    rows = sheet(hall, 12)
    rows = [(number, {**cells, **({"email": taken[number - 3]} if 3 <= number <= 9 else {})}) for number, cells in rows]
    id, was = begin(hall, rows, person, mode=mode), hall.clock.at

    def noted():
        return sum(row["command"] == "unique_clash" and row["actor_id"] == hall.people[person] for row in hall.engine_rows("audit"))

    try:
        work(hall)
        for _ in range(3):
            run = run_of(hall, id)
            assert (run.status, run.done, run.good, run.failed, noted()) == ("failed", 4, 1, 3, 4), "after the one too many nothing is tried"
            assert f"{was.astimezone(hall.tenant.zone) + module.timedelta(hours=1):%H:%M}" in run.sentence
            start_import(hall.ctx(person), id)
            work(hall)
        for done, failed, told in ((7, 6, 8), (12, 7, 9)):
            hall.clock.at += module.timedelta(hours=1)
            start_import(hall.ctx(person), id)
            work(hall)
            run = run_of(hall, id)
            assert (run.done, run.failed, noted()) == (done, failed, told)
    finally:
        hall.clock.at = was
    assert (run.status, run.good, run.rows_kept) == (("checked", 5, 0) if mode == "dry_run" else ("done", 5, 5))
    assert [row.number for row in failed_of(hall, id)] == list(range(3, 10))
    assert {p.message.code for row in failed_of(hall, id) for p in row.problems} == {"clash.neutral"}



def test_a_clash_that_halts_a_part_as_the_hour_ends_skips_no_row(hall, monkeypatch):
    monkeypatch.setattr(failure, "beyond_rights", lambda *given, **more: True)
    monkeypatch.setattr(limits_module, "LIMITS", {**limits_module.LIMITS, "unique_refusals_per_hour": 3})
    hall.add_person("late_prober", "club.clerk", hall.north, hall.desk)
    taken = {number: f"late{number}@example.com" for number in (2, 3, 8, 9)}
    for email in taken.values():
        hall.new(email=email)
    rows = [(number, {**cells, **({"email": taken[number]} if number in taken else {})}) for number, cells in sheet(hall, 8)]
    id, was, note_clashes, notes = begin(hall, rows, "late_prober", mode="good_rows"), hall.clock.at, module.note_clashes, []

    def as_the_hour_ends(ctx, clashes):
        notes.append(len(clashes))
        if len(notes) == 2:
            hall.clock.at += module.timedelta(hours=1)
        note_clashes(ctx, clashes)

    monkeypatch.setattr(module, "note_clashes", as_the_hour_ends)
    try:
        work(hall)
        hall.expire()
        work(hall)
    finally:
        hall.clock.at = was
    run = run_of(hall, id)
    assert (notes, run.status, run.done, run.rows_kept, [row.number for row in failed_of(hall, id)]) == ([2, 2, 1], "done", 8, 4, [2, 3, 8, 9])


# -- stopping, going on, undoing ----------------------------------------------------------------------------------------


def test_one_that_was_stopped_goes_on_where_it_stood(hall, monkeypatch):
    id, before = begin(hall, sheet(hall), mode="good_rows"), hall.number_of(MEMBER)
    one_part = module._one_part

    def then_stopped(*given):
        done = one_part(*given)
        monkeypatch.setattr(module, "_one_part", one_part)
        with pytest.raises(NotPossible):
            undo_import(hall.ctx("clerk"), id)
        cancel_import(hall.ctx("clerk"), id)
        return done

    monkeypatch.setattr(module, "_one_part", then_stopped)
    work(hall)
    assert (run_of(hall, id).status, run_of(hall, id).done, hall.number_of(MEMBER)) == ("cancelled", 4, before + 4)
    start_import(hall.ctx("clerk"), id)
    work(hall)
    assert (run_of(hall, id).status, run_of(hall, id).rows_kept, hall.number_of(MEMBER)) == ("done", 10, before + 10)


def test_an_undo_takes_all_parts_back_but_what_moved_on(hall):
    id = begin(hall, sheet(hall), mode="good_rows")
    work(hall)
    parts = [row for row in hall.engine_rows("import_part") if row["run_id"] == id]
    moved = parts[0]["left"][0][0]
    hall.rate(moved, 3)
    with hall.tenant.write() as conn:
        table = hall.tenant.revision().tables.of(MEMBER)
        conn.execute(table.update().where(table.c.id == moved).values(row_version=7))
    done = undo_import(hall.ctx("clerk"), id)
    assert (done.taken_back, [one for one, _ in done.kept], run_of(hall, id).rows_left, run_of(hall, id).undone) == (9, [moved], 1, 9)


def test_a_long_undo_stops_after_a_while_and_goes_on_when_asked_again(hall, monkeypatch):
    id = begin(hall, sheet(hall), mode="good_rows")
    work(hall)
    monkeypatch.setattr(sys.modules[undo_import.__module__], "UNDO_SECONDS", 0.0)
    taken = [undo_import(hall.ctx("clerk"), id).taken_back for _ in range(3)]
    assert taken == [2, 4, 4] and run_of(hall, id).rows_left == 0
    with pytest.raises(NotPossible):
        undo_import(hall.ctx("clerk"), id)


def test_rows_are_forgotten_after_a_while_and_figures_stay(hall):
    checked, taken = begin(hall, sheet(hall, wrong=(3,))), begin(hall, sheet(hall, wrong=(3,)), mode="good_rows")
    work(hall)
    for path in folder(hall).iterdir():
        os.utime(path, (0, 0))
    sweep_exports(hall.tenant, hall.clock)
    assert [path.name for path in folder(hall).iterdir()] == [run_of(hall, checked).file], "the sweep of exports leaves what an import needs"
    was = hall.clock.at
    try:
        hall.clock.at = was + module.timedelta(hours=169)
        assert sweep_imports(hall.tenant, hall.clock) == 2 and sweep_imports(hall.tenant, hall.clock) == 0
    finally:
        hall.clock.at = was
    assert (run_of(hall, checked).status, run_of(hall, taken).status, run_of(hall, taken).failed) == ("gone", "done", 1)
    assert not list(folder(hall).iterdir()) and not failed_of(hall, taken)
    for again in (lambda: start_import(hall.ctx("clerk"), checked), lambda: correct_import(hall.ctx("clerk"), taken, [(3, {})])):
        with pytest.raises(NotPossible):
            again()



def test_the_sweep_leaves_one_that_was_taken_up_again_meanwhile(hall, monkeypatch):
    checked, taken = begin(hall, sheet(hall, wrong=(3,))), begin(hall, sheet(hall, wrong=(3,)), mode="good_rows")
    work(hall)
    expired, cells = module.ImportRuns.expired, dict(failed_of(hall, taken)[0].cells)

    def then_taken_up(runs, now):
        over = expired(runs, now)
        monkeypatch.setattr(module.ImportRuns, "expired", expired)
        start_import(hall.ctx("clerk"), checked)
        correct_import(hall.ctx("clerk"), taken, [(3, {**cells, "fee": "7"})])
        return over

    was = hall.clock.at
    try:
        hall.clock.at = was + module.timedelta(hours=169)
        monkeypatch.setattr(module.ImportRuns, "expired", then_taken_up)
        assert sweep_imports(hall.tenant, hall.clock) == 0
    finally:
        hall.clock.at = was
    assert {path.name for path in folder(hall).iterdir()} == {run_of(hall, checked).file, run_of(hall, taken).file}
    work(hall)
    assert [(run.status, run.rows_kept, run.failed) for run in (run_of(hall, checked), run_of(hall, taken))] == [("done", 9, 1), ("done", 10, 0)]


# -- dying workers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("import.") and p not in ("import.tried", "import.noted")]
                         + ["record.stored", "write.before_commit", "write.after_commit"])
def test_kill_9_leaves_no_half_row_and_no_row_comes_twice(hall, point, tmp_path):
    rows, before = sheet(hall, wrong=(4,)), hall.number_of(MEMBER)
    id = begin(hall, rows, mode="good_rows")
    settings = hall.tenant.settings
    child = Forked(CHILD, settings.home, settings.database_url or "", hall.tenant.name, hall.clock.at.isoformat(), 4,
                   env={**os.environ, "METALOOM_CRASH_POINT": point})
    assert child.wait(60) == -signal.SIGKILL, child.errors()[-2000:]
    hall.expire()
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.done, run.rows_kept, run.failed, run.rows_left) == ("done", 10, 9, 1, 9)
    assert hall.number_of(MEMBER) == before + 9
    made = [name for name in names(hall) if name in {row["name"] for _, row in rows}]
    assert len(made) == len(set(made)) == 9
    assert sum(row["records"] for row in hall.engine_rows("import_part") if row["run_id"] == id) == 9


@pytest.mark.parametrize("point", ["import.begun", "import.part_kept", "write.worked"])
def test_kill_9_in_a_check_comes_to_the_same_end(hall, point):
    id, before = begin(hall, sheet(hall, wrong=(4,))), hall.number_of(MEMBER)
    settings = hall.tenant.settings
    child = Forked(CHILD, settings.home, settings.database_url or "", hall.tenant.name, hall.clock.at.isoformat(), 4,
                   env={**os.environ, "METALOOM_CRASH_POINT": point})
    assert child.wait(60) == -signal.SIGKILL, child.errors()[-2000:]
    hall.expire()
    work(hall)
    run = run_of(hall, id)
    assert (run.status, run.good, run.failed, hall.number_of(MEMBER)) == ("checked", 9, 1, before)


def test_a_worker_that_slept_through_its_lease_stores_nothing_of_its_part(hall, monkeypatch):
    id, before = begin(hall, sheet(hall), mode="good_rows"), hall.number_of(MEMBER)
    as_asker = module._as_asker

    def late(*given):
        monkeypatch.setattr(module, "_as_asker", as_asker)
        hall.expire()
        work(hall)                      # another worker took over and is done
        return as_asker(*given)

    monkeypatch.setattr(module, "_as_asker", late)
    work(hall)
    assert (run_of(hall, id).status, run_of(hall, id).rows_kept, hall.number_of(MEMBER)) == ("done", 10, before + 10)


def test_a_worker_that_is_to_end_puts_it_back_and_others_have_their_turn(hall, monkeypatch):
    id = begin(hall, sheet(hall), mode="good_rows")
    work(hall, stopping=lambda: run_of(hall, id).done >= 4)
    assert run_of(hall, id).done == 4
    monkeypatch.setattr(module, "TURN_SECONDS", -1.0)
    assert work(hall) and run_of(hall, id).status == "running"
    monkeypatch.setattr(module, "TURN_SECONDS", 10.0)
    work(hall)
    assert (run_of(hall, id).status, run_of(hall, id).rows_kept) == ("done", 10)


def test_one_that_kills_the_process_every_time_is_given_up_and_can_go_on(hall):
    id = begin(hall, sheet(hall), mode="good_rows")
    with hall.tenant.write() as conn:
        conn.execute(hall.tenant.revision().tables.engine.outbox.update().values(attempts=module.TRIES))
    work(hall)
    assert run_of(hall, id).status == "failed" and "进程" in run_of(hall, id).sentence
    start_import(hall.ctx("clerk"), id)
    work(hall)
    assert run_of(hall, id).status == "done"


# -- from the machine ---------------------------------------------------------------------------------------------------


def test_the_command_watches_an_import_until_it_is_over_and_fails_with_it(hall, monkeypatch):
    from click.testing import CliRunner

    from metaloom.cli import job as words

    class Shared:
        def __enter__(self):
            return self

        def __exit__(self, *refused):
            return False

        def open(self, name):
            assert name == hall.tenant.name
            return hall.tenant

    monkeypatch.setattr(words, "house", Shared)
    monkeypatch.setattr(words, "sleep", lambda seconds: work(hall))

    def watch(id, code=0):
        told = CliRunner().invoke(words.watch, [hall.tenant.name, str(id), "--import"])
        assert told.exit_code == code, told.output
        return told.output.splitlines()

    good = begin(hall, sheet(hall, count=3))
    first, *_, last = watch(good)
    assert (first, last) == (f"import {good} waiting     0% 0 of 3 rows, 0 good, 0 failed", f"import {good} checked   100% 3 of 3 rows, 3 good, 0 failed")
    start_import(hall.ctx("clerk"), good)
    assert watch(good)[-1] == f"import {good} done      100% 3 of 3 rows, 3 made, 0 failed"
    bad = begin(hall, sheet(hall, count=5, wrong=(3, 4)))
    *_, last, why = watch(bad, code=1)
    assert (last, why) == (f"import {bad} checked   100% 5 of 5 rows, 3 good, 2 failed", f"Error: 2 rows of the import {bad} failed: its page names each")
    stopped = begin(hall, sheet(hall, count=3))
    cancel_import(hall.ctx("clerk"), stopped)
    assert watch(stopped, code=1)[-1] == "Error: the import ended as cancelled"
    assert watch(99_999, code=1) == ["Error: there is no import 99999"]
