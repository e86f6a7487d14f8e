"""Runs and held records by their names: as few questions as there are entities, however many rows a page has."""

from types import SimpleNamespace

import pytest

from metaloom.base.text import Text
from metaloom.compile.schema import documents
from metaloom.model import JobStep
from metaloom.web import job_page


@pytest.fixture
def pinned(app):
    asked = []

    def titles(entity, ids):
        asked.append((entity, list(ids)))
        return {id: f"{entity} {id}" for id in ids if id != 3}

    with app.test_request_context("/alpha/"):
        yield SimpleNamespace(asked=asked, reader=SimpleNamespace(titles=titles),
                              catalog=SimpleNamespace(jobs={"a.close": SimpleNamespace(label=Text("日终", "Day end"))}))


def test_the_names_of_held_records_are_asked_once_for_each_entity(pinned):
    rows = [SimpleNamespace(values={"entity": "a.loan" if at % 2 else "a.card", "record_id": at}) for at in range(1, 31)]
    job_page._gather_held(pinned, rows)
    said = [job_page._held_title(pinned, row.values["record_id"], row) for row in rows]
    assert said[0] == "a.loan 1" and said[1] == "a.card 2" and said[2] == "#3" and len(pinned.asked) == 2


def test_a_held_record_alone_is_named_too(pinned):
    row = SimpleNamespace(values={"entity": "a.loan", "record_id": 7})
    assert job_page._held_title(pinned, 7, row) == "a.loan 7"


@pytest.mark.parametrize(("key", "words"), [
    ("a.close|1|2026-11-21", "日终 2026-11-21"), ("a.close|-|2026-11-21T06:00:00+00:00", "日终 2026-11-21"), ("a.close|1|manual:ab12", "日终"),
    ("a.gone|1|2026-11-21", "a.gone|1|2026-11-21"),
])
def test_a_link_to_a_run_says_the_job_and_its_day(pinned, key, words):
    assert job_page._run_name(pinned, key) == words


def test_a_job_says_its_companies_days_and_what_begins_it(pinned):
    assert job_page._days_words(pinned, {"1": "2026-06-09", "3": "2026-06-08"}, None) == "platform.company 1 2026-06-09、#3 2026-06-08"
    assert job_page._schedule_words(pinned, "business_date", None) == "营业日期推进后" and job_page._schedule_words(pinned, "0 3 * * *", None) == "0 3 * * *"
    assert job_page._job_name(pinned, "日终") == "日终" and job_page._job_name(pinned, "旧任务") == "旧任务"


def test_a_step_that_moves_the_date_says_how_far(pinned):
    assert job_page.step_words(pinned, JobStep("move_business_date", most=7)) == "最多 7 天"


def test_each_kind_of_step_has_a_name(pinned):
    steps = documents()["jobs.json"]["additionalProperties"]["properties"]["steps"]["items"]["oneOf"]
    for verb in {name for step in steps for name in step["required"]} - {"where"}:
        assert job_page._t(f"job.verb.{verb}") != f"job.verb.{verb}"
