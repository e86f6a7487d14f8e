"""The lender's papers: note, plan, receipt and approval form say what the books say."""

import io
from datetime import date

import pypdf
import pytest
import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.command.print_records import print_record
from metaloom.command.session import Pinned
from tests.plugins.lender import D, Lender


@pytest.fixture(scope="module")
def loan(lender: Lender) -> int:
    return lender.loan(lender.product(), amount=D("100000.00"))


def paper(house: Lender, who: str, entity: str, id: int, name: str) -> str:
    """The words of a paper, printed by the person."""
    users = house.tenant.revision().tables.engine.user
    with house.tenant.read() as conn:
        user = conn.scalar(sa.select(users.c.id).where(users.c.username == who))
    pinned = Pinned(house.tenant, "test", house.stage.clock)
    pinned.enter(user, "cli")
    try:
        made = print_record(pinned, pinned.entity(f"lending.{entity}"), id, name, locale="zh")
    finally:
        pinned.release()
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made.content)).pages)


def test_the_note_names_the_borrower_masked_and_the_amount_in_words(lender: Lender, loan: int) -> None:
    row = lender.row("loan", loan)
    customer = lender.row("customer", row["customer_id"])
    text = paper(lender, "finance", "loan", loan, "note")
    for said in ("借款借据", row["loan_no"], customer["name"], "100,000.00（大写：壹拾万元整）", "12.00%", "等额本息", "借款人（签字并按手印）"):
        assert said in text, said
    assert customer["name"] in text and "****" in text


def test_the_plan_adds_up_to_the_loan(lender: Lender, loan: int) -> None:
    text = paper(lender, "finance", "loan", loan, "plan")
    plan = lender.plan(loan)
    assert len(plan) == 12 and all(f"{amount:,.2f}" in text for pair in plan for amount in pair)
    foot = next(line for line in text.split("\n") if line.startswith("合计"))
    assert "100,000.00" in text[text.index(foot):] and f"{sum(interest for _, interest in plan):,.2f}" in text[text.index(foot):]


def test_a_receipt_is_printed_until_it_is_reversed(lender: Lender, loan: int) -> None:
    due = lender.rows("instalment", loan_id=loan)[0]
    made = lender.repay(loan, due["total_due"], on=date(2025, 1, 15))
    receipt = lender.rows("repayment", loan_id=loan)[0]
    text = paper(lender, "finance", "repayment", receipt["id"], "receipt")
    assert receipt["receipt_no"] in text and f"{receipt['amount']:,.2f}（大写：" in text and made is not None
    table = lender.tenant.revision().tables.of("lending.repayment")
    with lender.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == receipt["id"]).values(status="reversed"))
    with pytest.raises(NotPossible) as refused:
        paper(lender, "finance", "repayment", receipt["id"], "receipt")
    assert "已冲正" in refused.value.message.say("zh")


def test_the_approval_form_tells_who_agreed(lender: Lender, loan: int) -> None:
    drawdown = lender.row("loan", loan)["drawdown_id"]
    text = paper(lender, "review", "drawdown", drawdown, "approval_form")
    assert "放款审批表" in text and "100,000.00（大写：壹拾万元整）" in text and "发起" in text and "同意" in text
