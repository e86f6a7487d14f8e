"""Searches on masked fields, exports and long readings are answered, written down and limited."""

import pytest

from metaloom.command import limits
from tests.security.conftest import values_of


def written(world, command, user):
    """The audit rows of one command and person, oldest first."""
    tenant = world.tenants["one"]
    audit = tenant.revision().tables.engine.audit
    with tenant.read() as conn:
        return [dict(row) for row in conn.execute(audit.select().where(audit.c.command == command, audit.c.actor_id == user).order_by(audit.c.id)).mappings()]


@pytest.fixture
def searcher(world):
    """Somebody who sees mobiles masked and names in the clear."""
    person = world.person(role="depot.reader")
    return world.client().login(person.username), person


@pytest.fixture
def buyer(world, people):
    people["chief"].buyer(name="欧阳无名", mobile=f"138{values_of():08d}")
    return people["chief"].get("/depot.buyer?sort=-id&limit=1").json["items"][0]


def test_a_search_on_a_masked_field_is_written_down_without_its_value(world, searcher, buyer):
    caller, person = searcher
    for _ in range(2):
        assert [one["id"] for one in caller.get(f"/depot.buyer?mobile={buyer['mobile']}&count=true").json["items"]] == [buyer["id"]]
    found = written(world, "search_masked", person.id)
    assert [(row["entity"], row["after"]["search"]["field"], row["after"]["search"]["op"]) for row in found] == [("depot.buyer", "mobile", "eq")]
    assert buyer["mobile"] not in str(found) and buyer["mobile"][-4:] not in str(found[0]["after"])
    assert caller.get(f"/depot.buyer?mobile__last4={buyer['mobile'][-4:]}").status_code == 200
    assert len(written(world, "search_masked", person.id)) == 2


@pytest.mark.parametrize("op", ["ne", "lt", "gt", "ge", "between", "in", "contains", "prefix", "empty"])
def test_nothing_else_may_be_asked_of_a_masked_field(searcher, buyer, op):
    caller, _ = searcher
    assert caller.get(f"/depot.buyer?mobile__{op}={buyer['mobile']}").status_code == 400


def test_the_quick_search_counts_too_and_whoever_reads_in_the_clear_is_not_noted(world, searcher, buyer, people):
    caller, person = searcher
    assert caller.get(f"/depot.buyer/lookup?q={buyer['mobile'][-4:]}").status_code == 200
    assert len(written(world, "search_masked", person.id)) == 1
    before = len(written(world, "search_masked", world.id_of("chief")))
    assert people["chief"].get(f"/depot.buyer?mobile={buyer['mobile']}").json["items"]
    assert len(written(world, "search_masked", world.id_of("chief"))) == before


def test_the_screen_notes_one_search_for_a_page_and_its_counts(world, buyer):
    person = world.person(role="depot.reader")
    browser = world.browser(person.username)
    for path in ("/e/depot.buyer/?f.mobile={}", "/e/depot.buyer/counts?f.mobile={}", "/e/depot.buyer/count?f.mobile={}"):
        assert browser.get(path.format(buyer["mobile"][-4:])).status_code == 200
    assert len(written(world, "search_masked", person.id)) == 1


def test_too_many_values_within_an_hour_are_refused_and_one_value_is_one(world, monkeypatch):
    monkeypatch.setitem(limits_now(monkeypatch), "masked_searches_per_hour", 3)
    person = world.person(role="depot.reader")
    caller = world.client().login(person.username)
    for number in (1, 1, 2, 3, 3):
        assert caller.get(f"/depot.buyer?mobile=1380000000{number}").status_code == 200
    refused = caller.get("/depot.buyer?mobile=13800000004")
    assert refused.status_code == 429 and "3" in refused.get_data(as_text=True)
    assert 3_500 < int(refused.headers["Retry-After"]) <= 3_600, "the hour that began with the first"
    assert caller.get("/depot.buyer?mobile=13800000004").status_code == 429
    assert caller.get("/depot.buyer").status_code == 200
    assert len(written(world, "search_masked", person.id)) == 4, "the refused one is written down too"


def limits_now(monkeypatch):
    changed = dict(limits.LIMITS)
    monkeypatch.setattr(limits, "LIMITS", changed)
    return changed


def test_an_export_says_who_took_which_rows_and_columns(world, people, buyer):
    chief, id = people["chief"], world.id_of("chief")
    before = len(written(world, "export", id))
    assert chief.get("/depot.buyer/export?fields=code,name&code__prefix=one").status_code == 200
    assert world.browser("chief").get("/e/depot.buyer/export?format=csv").status_code == 200
    api, screen = written(world, "export", id)[before:]
    assert api["after"]["export"]["columns"] == ["code", "name"] and api["after"]["export"]["filters"] == [["code", "prefix", "one"]]
    assert api["after"]["export"]["rows"] > 0 and (api["channel"], screen["channel"]) == ("api", "screen")
    assert screen["after"]["export"]["format"] == "csv" and screen["after"]["export"]["rows"] > 0
    chief.get(f"/depot.buyer/export?mobile={buyer['mobile']}")
    assert buyer["mobile"] not in str(written(world, "export", id)[-1])


def test_an_export_ends_at_the_tenant_s_limit_with_a_sentence(world, people, monkeypatch):
    for _ in range(3):
        people["chief"].buyer()
    monkeypatch.setitem(limits_now(monkeypatch), "export_rows_max", 2)
    before = len(written(world, "export", world.id_of("chief")))
    refused = people["chief"].get("/depot.buyer/export")
    assert refused.status_code == 409 and "2 rows" in refused.get_data(as_text=True)
    assert world.browser("chief").get("/e/depot.buyer/export").status_code == 409
    assert len(written(world, "export", world.id_of("chief"))) == before


def test_who_reads_a_list_in_large_pages_is_noted_at_the_threshold(world, people, monkeypatch):
    for _ in range(3):
        people["chief"].buyer()
    monkeypatch.setitem(limits_now(monkeypatch), "bulk_read_rows", 5)
    person = world.person(role="depot.chief")
    caller = world.client().login(person.username)
    for _ in range(4):
        assert caller.get("/depot.buyer?limit=3").status_code == 200
    assert written(world, "bulk_read", person.id) == [], "pages of the usual size are no long reading"
    rows = 0
    while rows < 5:
        rows += len(caller.get("/depot.buyer?limit=2&page=1").json["items"])
    assert [row["after"]["bulk_read"]["rows_within_the_hour"] for row in written(world, "bulk_read", person.id)] == [rows]


def test_the_front_page_lists_no_tenant(world):
    from dataclasses import replace

    from metaloom.app import create_app

    visitor = world.app.test_client()
    page = visitor.get("/")
    assert page.status_code == 200 and 'name="tenant"' in page.text
    assert not any(f"/{name}/" in page.text for name in world.tenants)
    known, unknown = (visitor.get(f"/?tenant={name}") for name in ("one", "elsewhere"))
    assert (known.status_code, known.location, unknown.status_code, unknown.location) == (302, "/one/", 302, "/elsewhere/")
    for odd in ("../x", "//evil.example", "a b", "%0d%0aSet-Cookie:x", "http://evil.example"):
        assert visitor.get("/", query_string={"tenant": odd}).status_code == 200
    front = create_app(replace(world.settings, front="two"), tenancy=world.tenancy, registry=world.registry)
    assert front.test_client().get("/").location == "/two/"


def test_opening_a_record_whose_views_are_logged_is_written_down_and_being_refused_is_not(world, buyer, monkeypatch):
    monkeypatch.setattr(type(world.tenants["one"].revision().catalog.entities["depot.buyer"]), "log_views", True)
    for entity in world.tenants["one"].revision().catalog.entities.values():
        entity.__dict__.pop("log_views", None)
    person = world.person(role="depot.reader")
    caller, browser = world.client().login(person.username), world.browser(person.username)
    assert caller.get(f"/depot.buyer/{buyer['id']}").status_code == 200
    assert browser.get(f"/e/depot.buyer/{buyer['id']}").status_code == 200
    assert caller.get("/depot.buyer/999999").status_code == 404 and caller.get("/depot.buyer?limit=1").status_code == 200
    found = written(world, "view_record", person.id)
    assert [(row["entity"], row["record_id"], row["channel"]) for row in found] == [("depot.buyer", buyer["id"], "api"), ("depot.buyer", buyer["id"], "screen")]
