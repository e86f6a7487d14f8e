"""A masked value seen whole: by right, with a reason, written down without the value, counted, and nowhere on the page."""

import json

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, TooMany
from metaloom.storage.tables import ENGINE
from tests.web.site import context_of

BUYER = "shop.buyer"


@pytest.fixture
def as_(tenancy):
    return lambda name: context_of(tenancy.open("alpha"), name)


@pytest.fixture(autouse=True)
def uncounted(tenancy):
    yield
    with tenancy.open("alpha").write() as conn:
        conn.execute(ENGINE.rate.delete().where(ENGINE.rate.c.name.like("unmask%")))


def last_audit(ctx):
    with ctx.tenant.read() as conn:
        return conn.execute(sa.select(ENGINE.audit).order_by(ENGINE.audit.c.id.desc()).limit(1)).mappings().one()


def test_the_value_is_shown_for_a_reason_and_the_log_knows_who_and_why_but_not_what(as_):
    han = as_("han")
    assert command.unmask_field(han, BUYER, 1, "mobile", "回访客户").results == {"value": "13800000001"}
    row = last_audit(han)
    assert (row["command"], row["entity"], row["record_id"], row["reason"], row["actor_name"]) == ("unmask", BUYER, 1, "回访客户", "han")
    assert "13800000001" not in json.dumps([row["before"], row["after"]])
    assert "回访客户" in "".join(str(one.reason) for one in history(as_("li")))


def history(ctx):
    from metaloom.command.session import Pinned

    pinned = Pinned(ctx.tenant, "t", ctx.clock)
    pinned.enter(ctx.actor.user_id, "screen")
    return pinned.reader.history(BUYER, 1)


@pytest.mark.parametrize("reason", ["", " ", "x", "y" * 501])
def test_without_a_reason_nothing_is_shown(as_, reason):
    with pytest.raises(Invalid):
        command.unmask_field(as_("han"), BUYER, 1, "mobile", reason)


def test_who_may_not_is_told_no_more_than_before(as_):
    with pytest.raises(NotAllowed):
        command.unmask_field(as_("li"), BUYER, 1, "mobile", "看看")
    for person, id, name in (("nobody", 1, "mobile"), ("han", 10**9, "mobile"), ("han", 1, "ghost")):
        with pytest.raises(NotFound):
            command.unmask_field(as_(person), BUYER, id, name, "看看")
    with pytest.raises(NotPossible):                       # not masked for anybody
        command.unmask_field(as_("han"), BUYER, 1, "name", "看看")


def test_too_many_within_the_hour_are_written_down_and_not_answered(as_, monkeypatch):
    monkeypatch.setattr("metaloom.command.limits.LIMITS", {"unmasks_per_hour": 2})
    han = as_("han")
    for _ in range(2):
        command.unmask_field(han, BUYER, 1, "mobile", "核对号码")
    with pytest.raises(TooMany) as refused:
        command.unmask_field(han, BUYER, 1, "mobile", "第三次核对")
    assert 3_500 < refused.value.retry_after <= 3_600
    assert last_audit(han)["reason"] == "第三次核对"


def test_the_page_offers_an_eye_only_where_the_right_is_and_never_holds_the_value(visitor):
    han, li = visitor("han"), visitor("li")
    page = han.get(f"/e/{BUYER}/1").text
    assert f"/e/{BUYER}/1/unmask/mobile" in page and "13800000001" not in page
    assert "/unmask/" not in li.get(f"/e/{BUYER}/1").text
    assert "13800000001" not in han.get(f"/e/{BUYER}/1/unmask/mobile").text
    assert han.post(f"/e/{BUYER}/1/unmask/mobile", {"reason": ""}).status_code == 422
    assert "13800000001" in han.post(f"/e/{BUYER}/1/unmask/mobile", {"reason": "回访"}).text
    assert "13800000001" not in han.get(f"/e/{BUYER}/1").text
    assert li.get(f"/e/{BUYER}/1/unmask/mobile").status_code == 403
    assert visitor("nobody").get(f"/e/{BUYER}/1/unmask/mobile").status_code == 404
