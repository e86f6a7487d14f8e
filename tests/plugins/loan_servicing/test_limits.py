"""A limit's life as E24 tells it, every movement with its row."""

from decimal import Decimal as D

import pytest

from metaloom import command
from metaloom.base.errors import Invalid, NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree


def amounts(lender: Lender, limit: int) -> tuple[D, ...]:
    row = lender.row("credit_limit", limit)
    return tuple(row[name] for name in ("total", "reserved", "used", "frozen", "available"))


def test_every_event_of_e24_moves_the_amounts_as_written(lender: Lender) -> None:
    _, account, limit = lender.limit(amount=D(200000), method="INTEREST_ONLY")
    seen = [amounts(lender, limit)]
    first = lender.drawdown(limit, account, amount=D(50000), method="EQUAL_PRINCIPAL", term=5)
    lender.do("officer", "drawdown", first, "submit")
    seen.append(amounts(lender, limit))
    lender.sign(first)
    lender.do("finance", "drawdown", first, "payout")
    lender.settle_outside()
    seen.append(amounts(lender, limit))
    loan = lender.row("drawdown", first)["loan_id"]
    while lender.row("loan", loan)["principal_balance"] > D(30000):
        lender.day(lender.row("loan", loan)["next_due_on"])
        lender.repay(loan, lender.row("loan", loan)["next_due_amount"])
    seen.append(amounts(lender, limit))
    lender.do("review", "credit_limit", limit, "freeze", {"amount": D(30000)}, "预警")
    seen.append(amounts(lender, limit))
    lender.do("review", "credit_limit", limit, "unfreeze", {"amount": D(30000)}, "解除预警")
    seen.append(amounts(lender, limit))
    second = lender.drawdown(limit, account, amount=D(40000), term=3)
    lender.do("officer", "drawdown", second, "submit")
    seen.append(amounts(lender, limit))
    lender.sign(second)
    lender.gateway.inject("reject")
    lender.do("finance", "drawdown", second, "payout")
    lender.settle_outside()
    assert amounts(lender, limit) == seen[-1]            # a failed payout may be tried again …
    lender.do("finance", "drawdown", second, "void", {}, "客户放弃")
    seen.append(amounts(lender, limit))                  # … until it is given up
    assert seen == [tuple(map(D, row.split())) for row in (
        "200000 0 0 0 200000", "200000 50000 0 0 150000", "200000 0 50000 0 150000", "200000 0 30000 0 170000",
        "200000 0 30000 30000 140000", "200000 0 30000 0 170000", "200000 40000 30000 0 130000", "200000 0 30000 0 170000")]
    kinds = [row["type"] for row in lender.rows("limit_txn", limit_id=limit)]
    assert kinds == ["grant", "reserve", "use", "restore", "restore", "freeze", "unfreeze", "reserve", "release"]
    books_agree(lender)


def test_more_than_is_available_cannot_be_drawn_and_two_drawdowns_share(lender: Lender) -> None:
    _, account, limit = lender.limit()
    with pytest.raises(Invalid):
        lender.drawdown(limit, account, amount=D("100000.01"))
    one, two = (lender.drawdown(limit, account, amount=D(60000)) for _ in range(2))
    lender.do("officer", "drawdown", one, "submit")
    with pytest.raises((Invalid, NotPossible)):
        lender.do("officer", "drawdown", two, "submit")
    assert amounts(lender, limit) == (D(100000), D(60000), 0, 0, D(40000))
    lender.decide("review", "drawdown", one, "reject", "用途不实")
    lender.do("officer", "drawdown", two, "submit")
    assert amounts(lender, limit) == (D(100000), D(60000), 0, 0, D(40000))


def test_a_frozen_limit_cannot_be_drawn(lender: Lender) -> None:
    _, account, limit = lender.limit()
    drawdown = lender.drawdown(limit, account)
    lender.do("review", "credit_limit", limit, "freeze", {}, "风险预警")
    assert lender.row("credit_limit", limit)["status"] == "frozen"
    with pytest.raises((Invalid, NotPossible)):
        lender.do("officer", "drawdown", drawdown, "submit")
    with pytest.raises(NotPossible):
        lender.do("review", "credit_limit", limit, "freeze", {}, "再冻一次")
    lender.do("review", "credit_limit", limit, "unfreeze", {}, "解除")
    lender.do("officer", "drawdown", drawdown, "submit")


def test_a_one_off_limit_is_not_restored(lender: Lender) -> None:
    product = lender.product(limit_mode="one_off")
    loan = lender.loan(product, term=1, method="BULLET")
    lender.day(lender.row("loan", loan)["next_due_on"])
    lender.repay(loan, lender.row("loan", loan)["next_due_amount"])
    assert lender.row("loan", loan)["status"] == "settled"
    assert amounts(lender, lender.row("loan", loan)["limit_id"]) == (D(100000), 0, D(100000), 0, 0)
    books_agree(lender)


def test_an_expired_limit_cannot_be_drawn(lender: Lender) -> None:
    _, account, limit = lender.limit(lender.product(limit_valid_months=1), term=1)
    drawdown = lender.drawdown(limit, account, term=1)
    valid_to = lender.row("credit_limit", limit)["valid_to"]
    lender.day(valid_to.replace(day=28) if valid_to.day < 28 else valid_to)
    lender.day(valid_to.replace(year=valid_to.year + 1))
    with pytest.raises(NotPossible, match="expired"):
        lender.do("officer", "drawdown", drawdown, "submit")


def test_nobody_passes_an_amount_by_its_first_value_without_having_said_so(lender: Lender) -> None:
    """Neither one by one nor with many at once, where nothing can be entered; an empty mapping takes what the form shows."""
    customer, _ = lender.customer()
    application = lender.application(customer, lender.product())
    lender.do("officer", "credit_application", application, "submit")
    lender.settle_outside()
    person = lender.stage.as_user("check")
    task = person._task("lending.credit_application", application)
    if task["assignee"] is None:
        command.move_case(person._context("claims"), "claim", task_id=task.id)
    version = lender.row("credit_application", application)["row_version"]
    with pytest.raises(Invalid) as refused:
        command.decide_task(person._context("silent"), task.id, "pass", "同意", record_version=version)
    assert [(p.field, p.message.say("zh")) for p in refused.value.problems] == [("outputs", "该环节通过时须填写建议金额，请打开任务，填写后再通过。")]
    [outcome] = command.decide_tasks(person._context("many"), {task.id: version}, "pass", "同意")
    assert outcome.error is not None and "建议金额" in outcome.message.say("zh")
    assert not lender.rows("platform.approval_task", id=task.id)[0]["outputs"]
    command.decide_task(person._context("said"), task.id, "pass", "同意", outputs={}, record_version=version)
    assert D(lender.rows("platform.approval_task", id=task.id)[0]["outputs"]["suggest_amount"]) == D(100000)
