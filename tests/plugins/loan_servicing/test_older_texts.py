"""Cases that began under an older text of their chain run on under it, to the same end of the loan (docs/approval.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal as D

import pytest
import sqlalchemy as sa

from metaloom.base.errors import MetaloomError
from metaloom.compile import tenant_sources
from metaloom.schema_change import publish
from tests.plugins.lender import ROOT, Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_lapse import classified, withdrawn

CLASSES, CHANGES = "post_loan/risk_classification/approval.yaml", "accounting_centre/loan_change/approval.yaml"
BY_STATE = """
        - {transition: withdraw, when: "loan.status == 'normal'"}
        - {transition: lapse, when: "loan.status != 'normal'"}"""
REVIEW = """      review:
        label: {zh: 风控审核, en: Risk review}
"""
QUOTE = "        - run: loan_servicing.hold_quote\n"


@contextmanager
def older(shop: Lender, path: str, *pairs: tuple[str, str]) -> Iterator[None]:
    """A chain as it stood once; what begins meanwhile began under that text. Afterwards the text of today is published."""
    now = tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo")
    (source,) = [one for one in now if one.path.endswith(path)]
    text = source.text
    for said, was in pairs:
        assert said in text
        text = text.replace(said, was)
    publish(shop.tenant, [replace(one, text=text) if one is source else one for one in now])
    yield
    publish(shop.tenant, now)


def steps_of(shop: Lender, change: int) -> list[str]:
    """The steps at which somebody had a task of the change, in order."""
    tables = shop.tenant.revision().tables.engine
    task, case = tables.approval_task, tables.approval_case
    mine = sa.select(case.c.id).where(case.c.entity == "lending.loan_change", case.c.record_id == change)
    with shop.tenant.read() as conn:
        return list(dict.fromkeys(conn.scalars(sa.select(task.c.step).where(task.c.case_id.in_(mine)).order_by(task.c.id))))


def test_a_change_of_class_that_would_have_become_a_draft_ends_with_its_loan(lender: Lender) -> None:
    """Once every withdrawal made a draft of it again, also of a loan on which nothing can be handed in any more."""
    loan = lender.loan()
    with older(lender, CLASSES, (BY_STATE, "\n        - transition: withdraw")):
        graded = classified(lender, loan)
        untouched = classified(lender, lender.loan())
    change(lender, loan, "transfer", amount=D("80000.00"))
    assert lender.row("risk_classification", graded)["status"] == "withdrawn"
    withdrawn(lender, "risk_classification", graded)
    lender.move("officer", "risk_classification", untouched, "withdraw")
    assert lender.row("risk_classification", untouched)["status"] == "draft"


def test_a_write_off_takes_the_steps_of_the_text_it_began_with(lender: Lender) -> None:
    first, second = lender.loan(), lender.loan()
    loans = lender.tenant.revision().tables.of("lending.loan")
    with lender.tenant.write() as conn:
        conn.execute(loans.update().where(loans.c.id.in_([first, second])).values(risk_class="loss"))
    with older(lender, CHANGES, (REVIEW, REVIEW.replace("review:", "second_look:")), ("to: [check, review]", "to: [check]")):
        before = lender.ask_write_off(first)
        lender.decide("check", "loan_change", before)
    after = lender.ask_write_off(second)
    lender.agree(after)
    with pytest.raises(MetaloomError):
        lender.decide("review", "loan_change", after)
    for who in ("review", "approve"):
        lender.decide(who, "loan_change", before)
    assert (steps_of(lender, before), steps_of(lender, after)) == (["check", "second_look", "sign"], ["check", "review", "sign"])
    for made, loan in ((before, first), (after, second)):
        assert (lender.row("loan_change", made)["status"], lender.row("loan", loan)["status"]) == ("applied", "written_off")
    books_agree(lender)


def test_a_settlement_that_began_before_its_quote_was_held_is_withdrawn_or_agreed_to_as_it_was_written(lender: Lender) -> None:
    kept, sold = lender.loan(), lender.loan()
    with older(lender, CHANGES, (QUOTE, "")):
        agreed, lapsed = lender.ask_settle(kept), lender.ask_settle(sold)
    change(lender, sold, "transfer", amount=D("90000.00"))
    withdrawn(lender, "loan_change", lapsed)
    lender.agree(agreed)
    assert lender.row("loan_change", agreed)["status"] == "agreed"
    quote = lender.stage.as_user("finance").ask("lending.loan", kept, "settle_quote", {"value_date": lender.stage.today})
    lender.repay(kept, quote["total"], kind="settle")
    assert (lender.row("loan", kept)["status"], lender.row("loan_change", agreed)["status"]) == ("settled", "used")
    books_agree(lender)
