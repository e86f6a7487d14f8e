"""The demonstration: believable people, every state, books that agree, made once whatever interrupts it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.app import demo
from metaloom.app.invariants import examine
from metaloom.base.clock import FixedClock
from metaloom.base.errors import Busy, NotPossible
from metaloom.base.identity import is_bank_card, is_credit_code, is_id_card, is_mobile
from metaloom.compile import tenant_sources
from metaloom.plugin import registry
from metaloom.plugin.demo_data import Size
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy
from metaloom_plugins.loan_demo import history, people, plan
from tests.plugins.lender import ROOT, Lender
from tests.plugins.loan_servicing.books import books_agree

SMALL = Size(customers=36, cases=20, first=8, days=14)


def test_identifiers_are_valid_and_differ() -> None:
    rng, seen = Random(7), set()
    for _ in range(500):
        person = people.personal(rng, "personal", date(2026, 1, 1)).values
        assert is_id_card(str(person["id_no"])) and is_mobile(str(person["mobile"]))
        assert (str(person["id_no"])[6:14], int(str(person["id_no"])[16]) % 2 == 1) == (f"{person['birthday']:%Y%m%d}", person["gender"] == "male")
        seen.add(person["id_no"])
        assert is_credit_code(str(people.corporate(rng).values["credit_code"]))
        assert is_bank_card(people.card(rng).number)
        for ending in plan.CARD_ENDINGS.values():
            assert people.card(rng, ending).number.endswith(ending) and is_bank_card(people.card(rng, ending).number)
    assert len(seen) == 500


def test_a_writer_that_is_busy_elsewhere_delays_the_story_and_does_not_end_it(lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of `make run` works beside the fill; on a slow machine its turn outlasts the lock's patience."""
    real, refused = demo.run_due, []

    def busy(*given: Any, **more: Any) -> int:
        if len(refused) < 3:
            refused.append(given)
            raise Busy
        return real(*given, **more)

    monkeypatch.setattr(demo, "run_due", busy)
    monkeypatch.setattr(demo.time, "sleep", lambda seconds: None)
    lender.stage._waiting = True
    lender.stage.drain()
    assert len(refused) == 3
    refused.clear()
    lender.stage.next_day(lender.stage.today)
    assert len(refused) == 3


def test_the_default_plan_has_every_fate_and_exactly_the_loans_asked_for() -> None:
    made = plan.cases(Size(), 60)
    assert (len(made), sum(case.loans for case in made)) == (2000, 3000)
    assert {case.fate for case in made} == {*plan.FATES, plan.LOANS}
    assert made == plan.cases(Size(), 60)
    assert len([case for case in made if case.day == 0]) >= 40
    assert max(case.day for case in made) < 60


def test_working_days_rise_end_today_and_skip_sundays() -> None:
    days = history.working_days(date(2026, 11, 22), 60)
    assert days == sorted(set(days)) and days[-1] == date(2026, 11, 22) and len(days) == 61
    assert not [day for day in days[:-1] if day.weekday() == 6]


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A small history that was cut off twice and finished at the third start. More of its few loans are settled early than usual, so that some are."""
    settings = Settings.from_env({"METALOOM_HOME": str(tmp_path_factory.mktemp("home")), "METALOOM_METADATA": str(ROOT / "metadata"),
                                  "METALOOM_TENANTS": str(ROOT / "tenants")})
    plugins = registry.load()
    tenancy = Tenancy(settings, manifest=plugins.manifest())
    publish(tenancy.create("played", "演示"), tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    often = pytest.MonkeyPatch()
    often.setattr(history, "BEHAVIOURS", {**plan.BEHAVIOURS, "settles": 40})
    assert demo.make(tenancy, "played", size=SMALL, first_only=True, registry=plugins)

    told: list[tuple[int, int, str]] = []

    def stop(done: int, total: int, text: str) -> None:
        told.append((done, total, text))
        if done > total // 2:
            raise Stopped

    with pytest.raises(Stopped):
        demo.make(tenancy, "played", size=SMALL, registry=plugins, progress=stop)
    reached = told[-1][0]
    assert demo.make(tenancy, "played", size=SMALL, first_only=True, registry=plugins, progress=stop) and told[-1][0] == reached   # that much is there
    made = demo.make(tenancy, "played", size=SMALL, registry=plugins, progress=lambda *said: told.append(said))
    assert made
    again = told[[done for done, *_ in told].index(reached) + 1:]
    # What is there already is not told as if it were made anew.
    assert again[0][:2] == (0, 0) and "接着做" in again[0][2] and len(again) > 2
    assert all(done >= reached for done, total, _ in again[1:] if total > reached), again[:3]
    assert not demo.make(tenancy, "played", size=SMALL, registry=plugins)
    often.undo()
    lender = Lender.__new__(Lender)
    lender.tenant, lender.plugins = tenancy.open("played"), plugins
    yield lender
    tenancy.close()


def test_an_interrupted_history_has_everything_once(played: Lender) -> None:
    assert len(played.rows("customer")) == SMALL.customers
    assert len(played.rows("loan")) == SMALL.cases
    assert len(played.rows("platform.company")) == 3 and len(played.rows("platform.org_unit")) == 9
    assert len([u for u in played.rows("platform.user") if not u["username"].startswith(("tech", "store", "reception", "workshop"))]) == 34
    assert len(played.rows("loan_product")) == 20
    numbers = [row["bank_serial_no"] for row in played.rows("repayment")]
    assert len(numbers) == len(set(numbers)) > SMALL.cases


def test_its_books_agree_and_nothing_hangs(played: Lender) -> None:
    books_agree(played)
    assert all(one.holds for one in examine(played.tenant, played.plugins))
    assert not [row for row in played.outbox() if row["state"] in ("failed", "dead", "running")]


def test_debits_are_taken_and_every_day_that_agrees_is_settled_with_the_channel(played: Lender) -> None:
    orders = [row for row in played.rows("payment_order", biz_type="collect") if row["status"] == "succeeded"]
    assert orders and all(row["repayment_id"] for row in orders)
    runs = played.rows("recon_run")
    assert len(runs) > 10 and {row["status"] for row in runs} == {"closed"} and all(row["settled_id"] for row in runs)
    last = max(row["success_on"] for row in played.rows("payment_order", status="succeeded"))
    waits = [row for row in played.rows("payment_order", status="succeeded") if row["success_on"] == last]
    held = sum(row["amount"] if row["biz_type"] == "collect" else -row["amount"] for row in waits)
    assert played.account("1012") in (0, held), "only the last day stands with the channel still"


def test_loans_settled_before_their_time_were_applied_for_and_agreed_to(played: Lender) -> None:
    """By officer, risk check, risk review and approver; finance books the money on the day that was quoted."""
    early = [row for row in played.rows("repayment", kind="settle") if row["value_date"] < played.row("loan", row["loan_id"])["matures_on"]]
    agreed = {row["repayment_id"]: row for row in played.rows("loan_change", kind="settle")}
    assert early and {row["id"] for row in early} == set(agreed)
    assert all((agreed[row["id"]]["status"], agreed[row["id"]]["amount"]) == ("used", row["amount"]) for row in early)


def test_days_end_as_they_are_played(played: Lender) -> None:
    """Not one long day end on the first morning of the server: loans stand at the last day, late ones were late on the way."""
    loans = played.rows("loan")
    engine = played.tenant.revision().tables.engine
    with played.tenant.read() as conn:
        ends = conn.execute(sa.select(engine.scheduled_run).join(engine.scheduled_job, engine.scheduled_job.c.id == engine.scheduled_run.c.job_id).where(
            engine.scheduled_job.c.job == "lending.day_end")).all()
    assert {run.status for run in ends} == {"done"}
    assert len({run.business_date for run in ends}) > 10
    last = max(row["business_date"] for row in played.rows("platform.company"))
    assert {loan["accrued_through"] for loan in loans if loan["status"] != "settled"} == {last}


def test_who_serves_after_the_first_part_has_the_real_clock(played: Lender) -> None:
    """`make run` makes the first part, then serves from the same process: no provider may keep the clock of the story."""
    assert "payment_gateway" not in {door for door, *_ in played.plugins._made}, "the server asks for providers with its own clock"


def test_everything_was_done_by_a_person_who_may_or_by_the_engine(played: Lender) -> None:
    loans = played.rows("loan")
    assert {loan["company_id"] for loan in loans} == {1, 2, 3}
    for entity in ("customer", "credit_application", "drawdown"):
        rows = played.rows(entity)
        assert rows and all(row["created_by"] == row["owner_id"] is not None for row in rows)


def test_cases_wait_for_people_at_every_step_and_others_ended_in_every_way(played: Lender) -> None:
    cases = {case["id"]: case for case in played.rows("platform.approval_case")}
    waiting = {(cases[task["case_id"]]["chain"], task["step"]) for task in played.rows("platform.approval_task") if task["status"] == "open"}
    assert waiting >= {("credit", "check"), ("credit", "sign"), ("credit", "committee"), ("credit", "")}, waiting
    assert waiting & {("credit", "review"), ("credit", "manager")} and waiting & {("payout", "review"), ("payout", "manager")}, waiting
    ends = {(case["chain"], case["result"]) for case in cases.values()}
    assert ends >= {("credit", end) for end in (None, "approved", "rejected", "withdrawn")} | {("payout", "approved"), ("publish", "approved")}, ends
    names = {row["id"]: row["username"] for row in played.rows("platform.user")}
    voted = {names[task["closed_by_id"]]: task["decision"] for task in played.rows("platform.approval_task", step="committee", status="done")}
    assert voted == {"committee01": "pass", "committee02": "reject", "committee03": "pass"}


def test_a_tenant_with_records_of_its_own_is_left_alone(played: Lender) -> None:
    tenancy, plugins = played.tenant.tenancy, played.plugins
    tenant = tenancy.create("own", "自有")
    publish(tenant, tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    ctx = command.system_context(tenant, plugins=plugins, clock=FixedClock(datetime(2025, 1, 15, tzinfo=UTC)))
    command.create_record(ctx, "platform.company", {"code": "OWN", "name": "自有公司", "business_date": date(2025, 1, 15)})
    with pytest.raises(NotPossible, match="records of its own"):
        demo.make(tenancy, "own", size=SMALL, registry=plugins)


def test_the_readme_names_every_file() -> None:
    folder = Path(history.__file__).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    missing = [f.name for f in folder.glob("*.py") if f.name not in text and f.name not in ("__init__.py", "provider.py")]
    assert not missing
