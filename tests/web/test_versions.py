"""Versions of a record: what differs between two, and entering one of them again."""

import re
from decimal import Decimal

import pytest

from metaloom import command
from metaloom.base.errors import NotAllowed, NotFound, NotPossible, Stale
from metaloom.command.restore_version import restore_version, versions_of
from metaloom.command.versions import differences
from metaloom.record import Reader
from tests.web.site import context_of
from tests.web.test_import import call

BUYER = "shop.buyer"


@pytest.fixture
def li(tenancy):
    return context_of(tenancy.open("alpha"), "li")


@pytest.fixture
def buyer(li):
    """Three versions: plain, gold with a rebate, renamed with another number."""
    id = command.create_record(li, BUYER, {"name": "许褚", "level": "plain", "mobile": "13911112222"}).id
    command.change_record(li, BUYER, id, {"level": "gold", "rebate": Decimal("0.05"), "ways": ("post",)}, 1)
    command.change_record(li, BUYER, id, {"name": "许仲康", "mobile": "13933334444", "rebate": None}, 2)
    return id


def reading(ctx, conn):
    return Reader(conn, ctx.tenant, ctx.revision, ctx.plan, locale="zh")


def looked(ctx, id):
    with ctx.tenant.read() as conn:
        return versions_of(reading(ctx, conn), BUYER, id)


def restore(ctx, id, entry, version):
    with ctx.tenant.read() as conn:
        return restore_version(ctx, reading(ctx, conn), BUYER, id, entry, version)


def test_each_version_holds_what_stood_then(li, buyer):
    _, (third, second, first) = looked(li, buyer)
    shown = [{name: one.values[name] for name in ("name", "level", "rebate", "ways")} for one in (first, second, third)]
    assert shown == [{"name": "许褚", "level": "plain", "rebate": None, "ways": None},
                     {"name": "许褚", "level": "gold", "rebate": Decimal("0.05"), "ways": ["post"]},
                     {"name": "许仲康", "level": "gold", "rebate": None, "ways": ["post"]}]
    assert set(differences(first, second)) == {"level", "rebate", "ways"} and differences(third, third) == {}


def test_a_secret_that_stayed_is_no_difference(li, buyer):
    command.change_record(li, BUYER, buyer, {"name": "许仲"}, 3)
    _, (fourth, third, second, first) = looked(li, buyer)
    assert set(differences(third, fourth)) == {"name"} and set(differences(first, second)) == {"level", "rebate", "ways"}
    assert set(differences(second, third)) == {"name", "mobile", "rebate"}


def test_one_is_entered_again_as_a_new_change_and_secrets_stay(li, buyer):
    _, (_, second, _) = looked(li, buyer)
    done = restore(li, buyer, second.entry, 3)
    assert (done.saved.row_version, done.left) == (4, ("mobile",))
    row, found = looked(li, buyer)
    assert (row["name"], row["rebate"], row["mobile"], len(found)) == ("许褚", Decimal("0.05"), "13933334444", 4)
    assert found[0].command == "restore_version"


def test_what_moved_on_or_is_alike_is_refused(li, buyer, tenancy):
    _, (third, second, _) = looked(li, buyer)
    with pytest.raises(Stale):
        restore(li, buyer, second.entry, 2)
    with pytest.raises(NotPossible):
        restore(li, buyer, third.entry, 3)
    with pytest.raises(NotFound):
        restore(li, buyer, 10**9, 3)
    with pytest.raises(NotAllowed):
        looked(context_of(tenancy.open("alpha"), "han"), buyer)


def test_the_screens_compare_and_restore(visitor, li, buyer):
    person = visitor("li")
    assert f"/e/{BUYER}/{buyer}/versions" in person.get(f"/e/{BUYER}/{buyer}/tab/history").text
    _, (third, second, first) = looked(li, buyer)
    page = person.get(f"/e/{BUYER}/{buyer}/versions?a={first.entry}&b={second.entry}").text
    assert re.findall(r'<td class="muted">([^<]+)</td>', page) == ["等级", "可用送货方式", "返点"]
    place = f"/e/{BUYER}/{buyer}/versions/{first.entry}/restore"
    assert person.post(place, {"_version": "2"}).status_code == 409
    assert person.post(place, {"_version": "3"}).status_code == 303
    row, _ = looked(li, buyer)
    assert (row["name"], row["level"], row["ways"]) == ("许褚", "plain", None)
    called = re.search(rf'<option value="{first.entry}"[^>]*>(#1 · [^·<]+) · ', person.get(f"/e/{BUYER}/{buyer}/versions").text)[1]
    assert f"恢复到历史版本 {called}<" in person.get(f"/e/{BUYER}/{buyer}/tab/history").text
    assert visitor("han").get(f"/e/{BUYER}/{buyer}/versions").status_code == 403
    assert visitor("nobody").get(f"/e/{BUYER}/{buyer}/versions").status_code in (403, 404)


def test_rest_compares_and_restores(visitor, buyer):
    person = visitor("li")
    items = call(person, "GET", f"/{BUYER}/{buyer}/versions").json["items"]
    told = call(person, "GET", f"/{BUYER}/{buyer}/versions?a={items[2]['entry']}&b={items[1]['entry']}").json["differences"]
    assert {"field": "rebate", "a": None, "b": "0.05000000"} in told and {"field": "level", "a": "plain", "b": "gold"} in told
    place = f"/{BUYER}/{buyer}/versions/{items[1]['entry']}/restore"
    assert call(person, "POST", place).status_code == 428
    headers = {"X-CSRFToken": person.token(), "If-Match": '"3"'}
    done = person.client.post(person.url(f"/api/v1{place}"), headers=headers)
    assert done.status_code == 200 and done.json["left"] == ["mobile"] and done.headers["ETag"] == '"4"'
    assert call(visitor("han"), "GET", f"/{BUYER}/{buyer}/versions").status_code == 403
