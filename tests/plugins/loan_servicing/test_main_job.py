"""From product to settled loan, by commands, with the numbers of the domain specification §4.3, on both databases."""

from datetime import date
from decimal import Decimal as D

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree

CASES = {  # method, term, day count, first, second, last (principal, interest), interest in all
    "E01": ("EQUAL_INSTALMENT", 12, "30/360", ("7884.88", "1000.00"), ("7963.73", "921.15"), ("8796.88", "87.97"), "6618.53"),
    "E03": ("EQUAL_PRINCIPAL", 12, "30/360", ("8333.33", "1000.00"), ("8333.33", "916.67"), ("8333.37", "83.33"), "6500.00"),
    "E06": ("INTEREST_ONLY", 12, "30/360", ("0.00", "1000.00"), ("0.00", "1000.00"), ("100000.00", "1000.00"), "12000.00"),
    "E09": ("BULLET", 6, "30/360", ("100000.00", "6000.00"), None, ("100000.00", "6000.00"), "6000.00"),
    "E09 ACT/360": ("BULLET", 6, "ACT/360", ("100000.00", "6033.33"), None, ("100000.00", "6033.33"), "6033.33"),
    "E09 ACT/365": ("BULLET", 6, "ACT/365", ("100000.00", "5950.68"), None, ("100000.00", "5950.68"), "5950.68"),
}


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    return both_lenders


@pytest.mark.parametrize("example", CASES)
def test_a_paid_out_drawdown_gets_the_plan_of_the_specification(shop: Lender, example: str) -> None:
    method, term, day_count, first, second, last, interest = CASES[example]
    loan = shop.loan(shop.product(day_count=day_count), term=term, method=method)
    plan, row = shop.plan(loan), shop.row("loan", loan)
    assert plan[0] == (D(first[0]), D(first[1]))
    assert plan[-1] == (D(last[0]), D(last[1]))
    assert second is None or plan[1] == (D(second[0]), D(second[1]))
    assert (len(plan), row["periods"]) == ((1, 1) if method == "BULLET" else (12, 12))
    assert sum(principal for principal, _ in plan) == D("100000.00")
    assert sum(interest for _, interest in plan) == D(interest) == row["interest_balance"]
    assert (row["disbursed_on"], row["principal_balance"], row["status"]) == (START, D("100000.00"), "normal")
    snapshot = shop.row("term_snapshot", row["snapshot_id"])
    assert (snapshot["total_interest"], snapshot["day_count"], snapshot["annual_rate"]) == (D(interest), day_count, D("0.12"))


def test_a_loan_is_repaid_to_its_end_and_the_books_agree_at_every_step(shop: Lender) -> None:
    loan = shop.loan()
    first_due = shop.row("loan", loan)["next_due_on"]
    assert first_due == date(2025, 2, 15)
    for period in range(1, 13):
        row = shop.row("loan", loan)
        assert row["paid_periods"] == period - 1
        shop.day(row["next_due_on"])
        booked = shop.repay(loan, row["next_due_amount"])
        assert booked["principal"] + booked["interest"] == booked["amount"] == (D("8884.85") if period == 12 else D("8884.88"))
        books_agree(shop)
    row = shop.row("loan", loan)
    assert (row["status"], row["principal_balance"], row["interest_balance"], row["next_due_on"]) == ("settled", 0, 0, None)
    assert shop.row("credit_limit", row["limit_id"])["used"] == 0
    with pytest.raises(NotPossible):
        shop.repay(loan, "1.00")
    books_agree(shop)


def test_the_snapshot_is_not_touched_by_a_new_version_of_the_product(shop: Lender) -> None:
    product = shop.product()
    loan = shop.loan(product)
    before, plan = dict(shop.row("term_snapshot", shop.row("loan", loan)["snapshot_id"])), shop.plan(loan)
    version = shop.release_version(product, 2, annual_rate_min=D("0.18"), day_count="ACT/365", prepay_allowed="no", prepay_fee_rate=D("0.05"))
    assert shop.row("loan_product", product)["current_version_id"] == version
    assert [row["status"] for row in shop.rows("loan_product_version", product_id=product)] == ["retired", "on_sale"]
    assert dict(shop.row("term_snapshot", before["id"])) == before
    assert shop.plan(loan) == plan
    assert shop.repay(loan, "9884.88", kind="due")["principal"] == D("7884.88")


def test_nobody_decides_what_they_made_or_checked(shop: Lender) -> None:
    customer, account = shop.customer()
    application = shop.application(customer, shop.product())
    shop.do("officer", "credit_application", application, "submit")
    shop.settle_outside()
    for stranger in ("officer", "finance", "review", "manager"):
        with pytest.raises(NotAllowed):
            shop.decide(stranger, "credit_application", application, suggest_amount=D(100000))
    shop.decide("check", "credit_application", application, suggest_amount=D(90000))
    for stranger in ("officer", "check", "approve"):
        with pytest.raises(NotAllowed):
            shop.decide(stranger, "credit_application", application, approved_amount=D(90000), annual_rate=D("0.12"))
    shop.decide("review", "credit_application", application, approved_amount=D(90000), annual_rate=D("0.12"))
    limit = shop.rows("credit_limit", application_id=application)[0]
    assert (limit["total"], limit["available"], limit["mode"]) == (D(90000), D(90000), "revolving")
    drawdown = shop.drawdown(limit["id"], account, amount=D(90000))
    shop.do("officer", "drawdown", drawdown, "submit")
    for stranger in ("officer", "check", "finance", "approve"):
        with pytest.raises(NotAllowed):
            shop.decide(stranger, "drawdown", drawdown)
    shop.decide("review", "drawdown", drawdown)
    for stranger in ("officer", "approve", "review"):
        with pytest.raises(NotAllowed):
            shop.do(stranger, "drawdown", drawdown, "payout")


def test_a_person_with_both_hats_still_needs_a_second_person(shop: Lender) -> None:
    shop.stage.user("twohats", "两岗", ("lending.officer", "lending.risk_check", "lending.risk_review", "lending.fin_maker", "lending.fin_check"),
                    shop.company, shop.unit)
    customer, account = shop.customer("twohats")
    application = shop.application(customer, shop.product(), who="twohats")
    shop.do("twohats", "credit_application", application, "submit")
    shop.settle_outside()
    with pytest.raises(NotAllowed):
        shop.decide("twohats", "credit_application", application, suggest_amount=D(100000))
    shop.decide("check", "credit_application", application, suggest_amount=D(100000))
    with pytest.raises(NotAllowed):
        shop.decide("twohats", "credit_application", application, approved_amount=D(100000), annual_rate=D("0.12"))


def test_whoever_started_or_approved_a_drawdown_does_not_pay_it_with_a_second_account_either(shop: Lender) -> None:
    unit = {"company": shop.company, "org_unit": shop.unit}
    for login, roles, person in (("sign1", ("branch_mgr",), "P-SIGN"), ("sign2", ("fin_maker",), "P-SIGN"),
                                 ("make1", ("officer",), "P-MAKE"), ("make2", ("fin_check",), "P-MAKE")):
        shop.stage.user(login, login, tuple(f"lending.{role}" for role in roles), person_key=person, **unit)
    customer, account = shop.customer("make1")
    application = shop.application(customer, shop.product(), who="make1", apply_amount=D(30000))
    shop.do("make1", "credit_application", application, "submit")
    shop.settle_outside()
    shop.decide("check", "credit_application", application, suggest_amount=D(30000))
    shop.decide("manager", "credit_application", application, approved_amount=D(30000), annual_rate=D("0.12"))
    limit = shop.rows("credit_limit", application_id=application)[0]["id"]
    drawdown = shop.create("make1", "drawdown", {"limit": limit, "amount": D(30000), "term_months": 12, "repay_method": "EQUAL_INSTALMENT",
                                                 "payout_account": account, "purpose": "working_capital"})
    shop.do("make1", "drawdown", drawdown, "submit")
    shop.decide("sign1", "drawdown", drawdown)
    for same in ("sign2", "make2"):
        with pytest.raises(NotAllowed, match="another person"):
            shop.do(same, "drawdown", drawdown, "payout")
    assert not shop.rows("payment_order", drawdown_id=drawdown)
    shop.do("finance", "drawdown", drawdown, "payout")
    shop.settle_outside()
    assert shop.row("drawdown", drawdown)["status"] == "paid"


def test_a_version_is_not_approved_by_its_author(shop: Lender) -> None:
    shop.stage.user("author", "产品兼风控", ("lending.product", "lending.risk_check", "lending.risk_review"), shop.company, shop.unit)
    product = shop.create("author", "loan_product", {"product_code": "OWN1", "name": "自审产品", "customer_type": "personal"})
    version = shop.create("author", "loan_product_version", {
        "product": product, "version_no": 1, "version_name": "一", "guarantee_modes": ["credit"], "amount_min": D(1), "amount_max": D(2),
        "term_min": 1, "term_max": 2, "repay_methods": ["BULLET"], "annual_rate_min": D("0.1"), "annual_rate_max": D("0.1")})
    shop.do("author", "loan_product_version", version, "submit")
    with pytest.raises(NotAllowed):
        shop.decide("author", "loan_product_version", version)
    shop.decide("check", "loan_product_version", version)
    with pytest.raises(NotAllowed):
        shop.decide("author", "loan_product_version", version)
    assert shop.row("loan_product_version", version)["status"] == "reviewing"


@pytest.mark.parametrize(("values", "field"), [
    ({"apply_amount": D("999.99")}, "apply_amount"), ({"apply_amount": D("500000.01")}, "apply_amount"), ({"apply_amount": D(0)}, "apply_amount"),
    ({"apply_term": 37}, "apply_term"), ({"apply_term": 0}, "apply_term"), ({"purpose": "securities"}, "purpose"),
])
def test_an_application_outside_the_product_is_refused_at_its_field(shop: Lender, values: dict[str, object], field: str) -> None:
    customer, _ = shop.customer()
    product = shop.product()
    with pytest.raises(Invalid) as refused:
        shop.application(customer, product, **values)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert not shop.rows("credit_application", customer_id=customer)


def test_the_edges_of_the_product_are_inside_it(shop: Lender) -> None:
    for amount, term in ((D(1000), 1), (D(500000), 36)):
        customer, _ = shop.customer()
        assert shop.application(customer, shop.product(), apply_amount=amount, apply_term=term)


def test_a_blacklisted_customer_cannot_apply_draw_or_be_paid(shop: Lender) -> None:
    customer, account, limit = shop.limit()
    drawdown = shop.to_pay(shop.drawdown(limit, account))
    shop.do("check", "customer", customer, "blacklist", {"reason_code": "fraud"}, "提供虚假材料")
    with pytest.raises(NotPossible, match="blacklisted"):
        shop.do("finance", "drawdown", drawdown, "payout")
    assert not shop.rows("payment_order", drawdown_id=drawdown)
    with pytest.raises(Invalid):
        shop.application(customer, shop.product())
    with pytest.raises(NotPossible, match="blacklisted"):
        shop.do("officer", "customer", customer, "apply", {"product": shop.product(), "apply_amount": D(5000), "apply_term": 3, "purpose": "medical"})
    shop.do("review", "customer", customer, "whitelist", {}, "核实无误")
    shop.do("finance", "drawdown", drawdown, "payout")
    shop.settle_outside()
    assert shop.row("drawdown", drawdown)["status"] == "paid"


def test_a_hit_with_the_third_party_rejects_and_silence_goes_to_a_person(shop: Lender) -> None:
    listed, _ = shop.customer(id_no="110101199003070011")
    hit = shop.application(listed, shop.product())
    unanswered, _ = shop.customer(mobile_ending="0000")
    silent = shop.application(unanswered, shop.product())
    nonsense, _ = shop.customer(mobile_ending="0001")
    odd = shop.application(nonsense, shop.product())
    for application in (hit, silent, odd):
        shop.do("officer", "credit_application", application, "submit")
    assert {shop.row("credit_application", one)["status"] for one in (hit, silent, odd)} == {"auto_review"}
    shop.settle_outside()
    assert [shop.row("credit_application", hit)[name] for name in ("status", "screening")] == ["rejected", "hit"]
    for application in (silent, odd):
        row = shop.row("credit_application", application)
        assert (row["status"], row["screening"]) == ("checking", "unknown")
    results = {shop.rows("platform.approval_case", entity="lending.credit_application", record_id=one)[0]["result"] for one in (hit, silent, odd)}
    assert results == {"rejected", None}
