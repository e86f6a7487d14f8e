"""The pages of jobs and runs, as an administrator sees them."""

from decimal import Decimal

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.job import run_due
from metaloom.worker import handlers
from tests.web.conftest import Visitor


def test_jobs_and_runs_are_shown_in_both_languages(shop):
    clock = SystemClock()
    ctx = command.system_context(shop.tenant, plugins=shop.registry, clock=clock)
    boss = command.save_user(ctx, None, {"username": "root2", "display_name": "Root", "email": "root2@example.cn"}, password="correct-horse-7-battery").id
    command.assign_role(ctx, boss, "platform.admin")
    command.schedule_jobs(shop.tenant, plugins=shop.registry, clock=clock)
    shop.make("boss", "spare_part", part_code="SHOWN", name="Screen", price=Decimal("1"), min_stock=5)
    run = command.start_job(ctx, 1, company=shop.company).id
    run_due(shop.tenant, handlers(shop.registry, clock))
    visitor = Visitor(shop.app, "garage")
    visitor.log_in("root2", "correct-horse-7-battery")
    for locale, label in (("zh", "\u4f4e\u5e93\u5b58\u63d0\u9192"), ("en", "Low stock reminder")):
        visitor.client.set_cookie("ml_locale", locale, path="/garage")
        for path in ("/e/platform.scheduled_job/", "/e/platform.scheduled_job/1"):
            answer = visitor.get(path)
            assert answer.status_code == 200 and label in answer.text, path
        page = visitor.get(f"/e/platform.scheduled_run/{run}").text
        assert 'class="jobbar done"' in page and "2 / 2" in page      # the part, and the step that tells
    assert visitor.get("/e/platform.scheduled_run/").status_code == 200
