"""A warning about a company is that company's: its own people see it and are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from metaloom import command
from metaloom.base.messages import message
from metaloom.command.close_month import keep_month
from metaloom.command.context import ActionDone
from metaloom.command.unit import Unit, perform
from metaloom.compile import tenant_sources
from metaloom.record import Reader
from metaloom.record.filters import Filter
from metaloom.schema_change import publish
from tests.plugins.lender import ROOT, Lender, open_lender

ALERT, RULE = "platform.alert", "platform.company/month_to_close"


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    """Two companies, each with somebody of finance; a month of the second one can be closed."""
    with open_lender(tmp_path_factory.mktemp("home"), "w_company") as made:
        made.other = made.stage.company("YF02", {"name": "第二家小额贷款有限公司"})    # type: ignore[attr-defined]
        made.stage.user("far", "far", ("lending.fin_maker",), made.other, None)    # type: ignore[attr-defined]
        keep(made, "2024-12")
        yield made


def keep(lender: Lender, month: str | None) -> None:
    ctx = command.system_context(lender.tenant, plugins=lender.plugins, clock=lender.stage.clock)

    def work(unit: Unit) -> ActionDone:
        keep_month(unit, lender.other, month)    # type: ignore[attr-defined]
        return ActionDone("", None, None, message("command.done", action="keep"))

    perform(ctx, "keep_month", [month], work)


def seen(lender: Lender, who: str) -> list[str]:
    """The words of the company's alert, as the person reads them."""
    ctx = lender.stage.as_user(who)._context("look")
    with lender.tenant.read() as conn:
        reader = Reader(conn, lender.tenant, ctx.revision, ctx.plan, locale="zh")
        rows = reader.list(ALERT, filters=[Filter("rule", "eq", RULE)]).rows
        return [str(reader.get(ALERT, row.id).values["subject"]) for row in rows]


def told(lender: Lender) -> list[int]:
    return [row["receiver_id"] for row in lender.rows("platform.message", kind="alert")]


def test_the_people_of_a_company_see_and_hear_of_its_alert_and_nobody_else(lender: Lender) -> None:
    (alert,) = lender.rows(ALERT, rule=RULE)
    assert (alert["company_id"], alert["record_id"]) == (lender.other, lender.other)    # type: ignore[attr-defined]
    assert told(lender) == [lender.stage.as_user("far")._context("look").actor.user_id]
    ((words,), *others) = seen(lender, "far"), seen(lender, "finance"), seen(lender, "fincheck")
    assert "第二家小额贷款有限公司 2024-12 可以月结" in words and others == [[], []]


def test_an_evaluation_of_everything_leaves_it_and_it_goes_with_its_month(lender: Lender) -> None:
    command.evaluate_warnings(lender.stage._context("warnings"))
    assert len(lender.rows(ALERT, rule=RULE)) == len(told(lender)) == 1
    keep(lender, "2025-01")
    assert [(row["cause"], row["cleared_at"] is None) for row in lender.rows(ALERT, rule=RULE)] == [("2024-12", False), ("2025-01", True)]
    keep(lender, None)
    sources = tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo")
    (path,) = [one for one in sources if one.path.endswith("platform_access.yaml") and "platform.company/access" in one.text]
    own = path.text.replace("{scope: all, actions: [read]", "{scope: expression, condition: \"id == user.company\", actions: [read]")
    publish(lender.tenant, [replace(one, text=own) if one is path else one for one in sources])
    keep(lender, "2025-02")
    assert len(told(lender)) == 3, "a right that speaks of its reader means the person who is told"
    keep(lender, None)
    assert not [row for row in lender.rows(ALERT, rule=RULE) if row["cleared_at"] is None]
