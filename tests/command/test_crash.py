"""kill -9 at every named point of a payment: nothing lost, nothing twice (F1 to F7)."""

import os
from decimal import Decimal

import pytest

from metaloom.base.crash import POINTS
from metaloom.command import handle_call, run_action
from tests import forked
from tests.command.test_plugin_commands import book, calls, charged

MEMBER = "club.member"
CHILD = """
import sys
from pathlib import Path
from decimal import Decimal
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command import Context, handle_call, run_action
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.club import NOW, plugins
home, url, name, what, user, id, version = sys.argv[1:]
registry = plugins()
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}), compiler=compiler_with(registry.manifest())).open(name)
clock = FixedClock(NOW)
if what == "pay":
    revision = tenant.revision()
    with tenant.read() as conn:
        plan = plan_for(conn, revision, int(user))
    ctx = Context(tenant=tenant, revision=revision, actor=plan.actor, plan=plan, clock=clock, plugins=registry, idempotency_key="pay-" + id)
    run_action(ctx, "club.member", int(id), "pay_back", {"amount": Decimal("5.00")}, int(version), "moved")
else:
    with tenant.read() as conn:
        table = tenant.revision().tables.engine.outbox
        row = conn.execute(table.select().where(table.c.id == int(id))).mappings().one()
    handle_call(tenant, row, plugins=registry, clock=clock)
"""


def child(club, what, id, version, point):
    settings = club.tenant.settings
    run = forked.run(CHILD, settings.home, settings.database_url or "", club.tenant.name, what, club.people["chief"], id, version,
                     env={**os.environ, "METALOOM_CRASH_POINT": point})  # fmt: skip
    assert run.returncode in (0, -9), run.stderr[-2000:]
    return run.returncode


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("write")])
def test_a_death_around_the_commit_leaves_all_or_nothing_and_the_key_finds_it(club, point):
    member = charged(club)
    seen, version = {row["id"] for row in calls(club)}, club.version(member)
    before = club.dump()
    assert child(club, "pay", member, version, point) == -9
    made = [row for row in calls(club) if row["id"] not in seen]
    assert len(made) == (point == "write.after_commit")
    if not made:
        assert club.dump() == before
    done = run_action(club.ctx("chief", idempotency_key=f"pay-{member}"), MEMBER, member, "pay_back", {"amount": Decimal("5.00")}, version, "moved")
    assert done.replayed is bool(made)
    assert len(calls(club, seen)) == 1


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("call")])
def test_a_death_around_the_call_is_healed_by_the_next_worker(club, point):
    member = charged(club)
    seen = {row["id"] for row in calls(club)}
    payout = run_action(club.ctx("chief"), MEMBER, member, "pay_back", {"amount": Decimal("5.00")}, club.version(member), "moved").results["payout"]
    row = calls(club, seen)[0]
    entries = len(club.engine_rows("ledger_entry"))
    assert child(club, "call", row["id"], 0, point) == -9
    handle_call(club.tenant, row, plugins=club.registry, clock=club.clock)
    stored = club.row("club.payout", payout)
    assert (stored["status"], stored["answers"]) == ("paid", 1)
    assert len(club.engine_rows("ledger_entry")) == entries + 1
    assert list(book(club).values()).count("5.00") >= 1
    assert book(club)[stored["payout_no"]] == "5.00"
