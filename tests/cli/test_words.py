"""The words about tenants do what they say and refuse with a reason and exit code 1."""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from metaloom.base.clock import FixedClock
from metaloom.cli import main
from metaloom.storage import Tenancy
from tests.storage.sources import NAME, entity, label, shop

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(settings, tmp_path, monkeypatch):
    """Runs ``metaloom …`` against an installation of its own with the client ``acme``; ``run.files(…)`` writes its metadata."""
    monkeypatch.setenv("METALOOM_HOME", str(settings.home))
    monkeypatch.setenv("METALOOM_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("METALOOM_REDIS_URL", "")
    monkeypatch.setenv("METALOOM_METADATA", str(tmp_path / "metadata"))
    monkeypatch.setenv("METALOOM_TENANTS", str(tmp_path / "tenants"))
    write(tmp_path / "metadata" / "platform" / "pack.yaml",
          "pack: {version: 1.0.0, format: 1, label: {zh: 平台, en: Platform}}\n")
    write(tmp_path / "tenants" / "acme" / "tenant.yaml",
          "tenant: {label: {zh: 极致, en: Acme}, packs: [platform, shop]}\n")

    def invoke(*words, code=0, text=None):
        result = CliRunner().invoke(main, [str(word) for word in words], input=text)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.output

    def files(*entities):
        for _, path, text in shop(*entities):
            write(tmp_path / "metadata" / path, text)

    invoke.files = files
    invoke.files(entity("thing", NAME))
    yield invoke
    tenancy = Tenancy(settings)
    for name in tenancy.names():
        tenancy.drop(name)
    tenancy.close()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_tenant_lives_from_create_to_drop(run):
    assert "revision 1 is served" in run("tenant", "create", "acme")
    assert "exists already" in run("tenant", "create", "acme", code=1)
    assert "acme" in run("tenant", "list")
    assert "nothing was dropped" in run("tenant", "drop", "acme", code=1, text="acne\n")
    assert "gone" in run("tenant", "drop", "acme", "--yes", "acme")
    assert "no tenant" in run("plan", "acme", code=1)


def test_plan_apply_and_rollback(run):
    run("tenant", "create", "acme")
    run.files(entity("thing", f"{NAME}\nsize: {{type: integer, {label('s')}}}"))
    planned = run("plan", "acme", "--sql")
    assert "add_column shop__thing.size" in planned
    assert 'ALTER TABLE "shop__thing" ADD COLUMN "size"' in planned
    assert '"refused": false' in run("plan", "acme", "--json")
    assert "revision 2 is served" in run("apply", "acme", "--reason", "size")
    assert "+ entity shop.thing/entity/fields/size" in planned
    assert '"address": "shop.thing/entity/fields/size"' not in run("plan", "acme", "--json"), "it is published by now"
    assert "the tables stay as they are" in run("plan", "acme") and "the metadata are what is published" in run("plan", "acme")
    assert "revision 1 is served" in run("rollback", "acme", 1)
    shown = run("revision", "list", "acme")
    assert "*    1" in shown
    assert "size" in shown
    assert "shop/sales/thing/entity.yaml" in run("revision", "show", "acme", 2)


def test_refused_metadata_is_shown_with_file_and_line_and_changes_nothing(run):
    run("tenant", "create", "acme")
    run.files(entity("thing", f"{NAME}\nsize: {{type: integr, {label('s')}}}"))
    shown = run("apply", "acme", code=1)
    assert "entity.yaml:" in shown
    assert "nothing was changed" in shown
    assert "*    1" in run("revision", "list", "acme")


def test_a_loss_needs_its_word(run, settings):
    run.files(entity("thing", f"{NAME}\nsize: {{type: integer, {label('s')}}}"))
    run("tenant", "create", "acme")
    run.files(entity("thing", NAME))
    run("apply", "acme")
    planned = run("plan", "acme", "--allow", "drop:shop.thing/size")
    assert "drop_column shop__thing.size (destructive)" in planned
    assert "size" in run("plan", "acme")


def test_apply_on_an_old_base_is_refused(run):
    run("tenant", "create", "acme")
    run.files(entity("thing", f"{NAME}\nsize: {{type: integer, {label('s')}}}"))
    run("apply", "acme", "--base", 1)
    run.files(entity("thing", f"{NAME}\nmore: {{type: integer, {label('s')}}}"))
    assert "Compare and publish again" in run("apply", "acme", "--base", 1, code=1)


def test_secrets_are_set_listed_and_rotated_but_never_shown(run):
    run("tenant", "create", "acme")
    assert "geheim" not in run("secret", "set", "acme", "gateway.key", "--from-stdin", text="geheim\n")
    assert run("secret", "list", "acme") == "gateway.key\n"
    run("secret", "rotate", "acme")
    assert "METALOOM_OLD_MASTER_KEY" in run("secret", "rotate", "acme", "--master", code=1)
    assert len(run("secret", "new-key").strip()) == 44


def test_the_worker_runs_what_is_due_and_job_shows_what_waits(run):
    run("tenant", "create", "acme")
    assert run("outbox", "list", "acme") == ""
    assert "0 rows were run" in run("worker", "--once")
    assert "0 rows will be tried again" in run("outbox", "retry", "acme", 1)


@pytest.mark.parametrize("word", ["plan", "apply", "rollback", "revision", "secret", "worker", "job", "outbox", "calendar", "tenant", "run"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_word_explains_itself(run, word):
    shown = run(word, "--help")
    assert "Usage:" in shown
    assert len(shown.split("\n\n")) > 1


@pytest.mark.parametrize("words", [("plan", "nobody"), ("apply", "../x"), ("rollback", "nobody", "1"), ("tenant", "drop", "nobody"),
                                   ("secret", "list", "nobody"), ("revision", "list", "nobody"), ("tenant", "create", "BAD")])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_unknown_tenant_is_refused_in_one_line(run, words):
    shown = run(*words, code=1)
    assert "Traceback" not in shown


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_settings_are_said_with_the_cure(run, monkeypatch):
    monkeypatch.setenv("METALOOM_DATABASE_URL", "mysql://x")
    assert "postgresql://" in run("tenant", "list", code=1)


def test_a_word_is_imported_only_when_used():
    import subprocess

    code = "import sys; from metaloom.cli import main; main(['--version'], standalone_mode=False); print('sqlalchemy' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip().endswith("False")



def test_a_tenant_is_called_as_its_client_says_and_follows_it(run, tmp_path):
    run("tenant", "create", "acme")
    run("tenant", "create", "other", "--client", "acme", "--label", "别名")
    assert "极致" in run("tenant", "list")
    write(tmp_path / "tenants" / "acme" / "tenant.yaml", "tenant: {label: {zh: 卓越, en: Acme}, packs: [platform, shop]}\n")
    run("apply", "acme")
    run("apply", "other")
    listed = run("tenant", "list")
    assert "卓越" in listed and "极致" not in listed and "别名" in listed


def test_a_tenant_of_refused_metadata_is_not_made(run):
    run.files(entity("thing", f"{NAME}\nsize: {{type: integr, {label('s')}}}"))
    assert "nothing was changed" in run("tenant", "create", "acme", code=1)
    assert "acme" not in run("tenant", "list")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_new_tenant_knows_the_holidays_and_the_doctor_misses_a_year(run, tmp_path, settings, monkeypatch):
    shutil.copytree(ROOT / "metadata" / "platform", tmp_path / "metadata" / "platform", dirs_exist_ok=True)
    now = FixedClock(datetime(2025, 11, 20, tzinfo=UTC))
    monkeypatch.setattr("metaloom.cli.calendar.SystemClock", lambda: now)
    run("tenant", "create", "acme")
    assert "no day of" not in run("doctor")
    assert "0 days of 2026" in run("calendar", "seed", 2026, "--tenant", "acme")
    now.at = datetime(2026, 10, 1, tzinfo=UTC)
    assert "no day of" not in run("doctor")
    now.at = datetime(2026, 11, 20, tzinfo=UTC)
    assert "no day of 2027; try: metaloom calendar seed 2027" in run("doctor")
    assert "not known yet" in run("calendar", "seed", 2090, code=1)


def test_only_metadata_whose_tests_are_green_are_published_where_that_is_asked_for(run, tmp_path):
    test = "tests: {named: {label: {zh: 名, en: Name}, given: [{create: thing, as: cup, values: {name: Cup}}], then: [{record: cup, values: {name: Cup}}]}}\n"
    write(tmp_path / "metadata" / "shop" / "tests.yaml", test)
    run("tenant", "create", "acme")
    assert "revision 1 is served" in run("apply", "acme", "--tested")
    write(tmp_path / "metadata" / "shop" / "tests.yaml", test.replace("{name: Cup}}]}}", "{name: Pot}}]}}"))
    refused = run("apply", "acme", "--tested", code=1)
    assert "name should be Pot, is Cup" in refused and "shop/tests.yaml:1" in refused and "nothing was published" in refused
    assert "*    1" in run("revision", "list", "acme")
    card = tmp_path / "tenants" / "acme" / "tenant.yaml"
    write(card, card.read_text("utf-8").replace("packs:", "settings: {tested: true}, packs:"))
    assert "nothing was published" in run("apply", "acme", code=1)
    write(tmp_path / "metadata" / "shop" / "tests.yaml", test)
    assert "revision 2 is served" in run("apply", "acme")


def test_jobs_are_listed_run_and_told(run, tmp_path, monkeypatch):
    write(tmp_path / "metadata" / "shop" / "jobs.yaml", """jobs:
  tidy:
    label: {zh: 整理, en: Tidy}
    schedule: {cron: "0 3 * * *"}
    steps:
      - notify: {roles: [platform.admin], subject: {zh: "完成 {done}", en: "{done} done"}}
""")
    shutil.copytree(ROOT / "metadata" / "platform", tmp_path / "metadata" / "platform", dirs_exist_ok=True)
    run("tenant", "create", "acme")
    assert "shop.tidy" in run("job", "list", "acme") and "0 3 * * *" in run("job", "list", "acme")
    assert "no job" in run("job", "run", "acme", "shop.nothing", code=1)
    assert "waits for a worker" in run("job", "run", "acme", "shop.tidy")
    assert "1 rows were run" in run("worker", "--once")
    assert "done" in run("job", "history", "acme", "shop.tidy") and run("job", "history", "acme", "--errors", 1) == ""
    assert "run 1 done" in run("job", "watch", "acme", 1) and "no run 9" in run("job", "watch", "acme", 9, code=1)
    assert "Nothing failed" in run("job", "rerun", "acme", 1, code=1)
    monkeypatch.setattr("metaloom.cli.job.sleep", lambda seconds: run("worker", "--once"))
    told = run("job", "run", "acme", "shop.tidy", "--wait")
    assert "run 2 waiting" in told and "run 2 done" in told


def test_a_taken_port_is_said_before_anything_is_made(run, settings):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run("run", "--demo", "--port", str(port), code=1)
    assert f"127.0.0.1:{port} cannot be served" in said and f"metaloom run --demo --port {port + 1}" in said and f"make run PORT={port + 1}" in said
    assert "no tenant" in run("plan", "demo", code=1)


def test_a_database_that_does_not_answer_is_said_in_one_line(run, monkeypatch):
    monkeypatch.setenv("METALOOM_DATABASE_URL", "postgresql+psycopg://nobody:nothing@127.0.0.1:1/no_such_database")
    said = run("tenant", "list", code=1)
    assert "the database cannot be used" in said and "docs/production.md" in said and "Traceback" not in said


def test_backup_restore_and_release(run, tmp_path):
    run("tenant", "create", "acme")
    file = tmp_path / "acme.archive"
    assert "opens with the master key" in run("tenant", "backup", "acme", file)
    assert "exists already" in run("tenant", "backup", "acme", file, code=1)
    assert ": whole" in run("tenant", "verify", file)
    assert "exists already" in run("tenant", "restore", file, "acme", code=1)
    restored = run("tenant", "restore", file, "beta", "--label", "副本")
    assert "closed until: metaloom tenant release beta" in restored and "BROKEN" not in restored
    assert "closed" in run("tenant", "list") and "invariants hold" in run("doctor", "--invariants", "--tenant", "beta")
    assert "closed" in run("apply", "beta", code=1)
    assert "beta: open" in run("tenant", "release", "beta")
    assert "closed" in run("tenant", "close", "beta") and "gone" in run("tenant", "drop", "beta", "--yes", "beta")
    file.write_bytes(file.read_bytes()[:-40])
    assert "it is none" in run("tenant", "verify", file, code=1)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_access_is_explained_with_the_line_of_each_grant(run, monkeypatch):
    monkeypatch.setenv("METALOOM_METADATA", str(ROOT / "metadata"))
    monkeypatch.setenv("METALOOM_TENANTS", str(ROOT / "tenants"))
    run("tenant", "create", "demo")
    for name, role in (("alice", "platform.admin"), ("bob", "lending.officer")):
        run("user", "create", "demo", name, "--email", f"{name}@acme.example", "--role", role)
    yes = run("access", "explain", "demo", "alice", "platform.user", "edit")
    assert yes.startswith("Yes, for") and ".yaml:" in yes and "fields write" in yes
    no = run("access", "explain", "demo", "bob", "lending.customer", "77", code=1)
    assert no.startswith("There is no record 77.") and "lending.officer" in no
    assert '"allowed": false' in run("access", "explain", "demo", "bob", "platform.user", "create", "--json", code=1)
    assert run("access", "explain", "demo", "bob", "platform.user", "create", "--language", "zh", code=1).startswith("不可以")
    assert "no entity" in run("access", "explain", "demo", "bob", "lending.nothing", code=1)
    assert "there is no user carol" in run("access", "explain", "demo", "carol", "platform.user", code=1)
