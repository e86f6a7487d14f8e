"""Nothing is asked without consent, an answer is used again only for the same customer, and who opens a report is written down."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from metaloom.base.errors import MetaloomError
from tests.plugins.lender import START, Lender

D = Decimal


@pytest.fixture(scope="module")
def house(lender: Lender) -> Iterator[Lender]:
    lender.stage.user("rules", "rules", ("lending.rule",), lender.company, lender.unit)
    for code, kind, price, days in (("PBOC", "bureau", "5.00", 30), ("SB", "social_security", "2.00", 0), ("K3", "kyc3", "0.50", 0)):
        lender.create("rules", "data_source", {"source_code": code, "source_name": code, "kind": kind, "provider": "sandbox", "price": D(price),
                                               "reuse_days": days})
    yield lender


def consented(house: Lender, scopes=("bureau", "social_security", "kyc3"), **values) -> int:
    customer, _ = house.customer(id_no="", mobile_ending="1234")
    house.create("officer", "consent", {"customer": customer, "scopes": list(scopes), **values})
    return customer


def ask(house: Lender, customer: int, kind: str = "bureau"):
    house.do("check", "customer", customer, "query_data", {"kind": kind})
    house.settle_outside()
    return house.rows("data_query", customer_id=customer)[-1]


def refused(house: Lender, customer: int, kind: str = "bureau") -> str:
    before = len(house.outbox())
    with pytest.raises(MetaloomError) as why:
        house.do("check", "customer", customer, "query_data", {"kind": kind})
    assert house.rows("data_query", customer_id=customer) == [] and len(house.outbox()) == before
    return why.value.message.say("zh")


def test_without_consent_nothing_is_asked(house: Lender) -> None:
    customer, _ = house.customer()
    assert refused(house, customer) == "没有客户对“征信”查询的有效授权书，不能查询。请先登记授权书。"


def test_a_consent_holds_for_what_it_names_until_it_ends_or_is_revoked(house: Lender) -> None:
    assert "征信" in refused(house, consented(house, scopes=("kyc3",)))
    assert "征信" in refused(house, consented(house, signed_on=START - timedelta(days=90), valid_until=START - timedelta(days=1)))
    customer = consented(house)
    row = house.rows("consent", customer_id=customer)[0]
    house.do("officer", "consent", row["id"], "revoke", {}, "客户书面撤回")
    assert "征信" in refused(house, customer)
    assert house.row("consent", row["id"])["revoked_on"] == house.stage.today


def test_a_kind_without_source_is_not_asked(house: Lender) -> None:
    customer = consented(house, scopes=("carrier",))
    assert "数据源" in refused(house, customer, "carrier")


def test_an_answer_costs_its_price_and_is_kept_encrypted(house: Lender) -> None:
    customer = consented(house)
    query = ask(house, customer, "social_security")
    assert (query["status"], query["cost"], query["consent_id"] is not None) == ("success", D("2.00"), True)
    assert query["raw"].startswith("m1.") and "employer" not in query["raw"]


def test_an_answer_is_used_again_for_the_same_customer_only_and_only_while_it_holds(house: Lender) -> None:
    first, other = consented(house), consented(house)
    paid, again, others = ask(house, first), ask(house, first), ask(house, other)
    assert (paid["cost"], again["cost"], again["reused_id"]) == (D("5.00"), D("0.00"), paid["id"])
    assert again["status"] == paid["status"] and again["report_id"] == paid["report_id"]
    assert (others["cost"], others["reused_id"]) == (D("5.00"), None)
    assert others["report_id"] is None or others["report_id"] != paid["report_id"]
    house.day(START + timedelta(days=31))
    assert (ask(house, first)["cost"], ask(house, first)["cost"]) == (D("5.00"), D("0.00"))


def test_no_answer_costs_nothing_and_says_nothing(house: Lender) -> None:
    customer, _ = house.customer(mobile_ending="0000")
    house.create("officer", "consent", {"customer": customer, "scopes": ["bureau"]})
    query = ask(house, customer)
    assert (query["status"], query["cost"], query["hit"], query["report_id"]) == ("timeout", D("0.00"), None, None)


def test_somebody_elses_mobile_is_a_hit(house: Lender) -> None:
    customer, _ = house.customer(mobile_ending="0002")
    house.create("officer", "consent", {"customer": customer, "scopes": ["kyc3"]})
    assert ask(house, customer, "kyc3")["hit"] in (True, 1)


def reported(house: Lender) -> int:
    while True:
        query = ask(house, consented(house))
        if query["report_id"] is not None:
            return int(query["report_id"])


def test_a_report_has_its_sections_and_only_those_who_judge_may_read_it(house: Lender) -> None:
    report = reported(house)
    row = house.stage.as_user("review").read("lending.credit_report", report)
    lines = house.rows("credit_report_line", report_id=report)
    assert row["accounts"] == len([line for line in lines if line["section"] == "credit"]) >= 2
    assert row["balance"] == sum(line["amount"] for line in lines if line["section"] == "credit")
    for who in ("officer", "finance", "service", "manager"):
        with pytest.raises(MetaloomError):
            house.stage.as_user(who).read("lending.credit_report", report)


def test_the_screening_asks_on_a_consent_that_the_application_made(house: Lender) -> None:
    product = house.product()
    customer, _ = house.customer()
    application = house.application(customer, product)
    house.do("officer", "credit_application", application, "submit")
    house.settle_outside()
    (consent,) = house.rows("consent", customer_id=customer)
    (query,) = house.rows("data_query", customer_id=customer)
    assert (consent["application_id"], query["consent_id"], query["cost"]) == (application, consent["id"], D("0.00"))


def test_a_revoked_consent_is_not_made_again_by_the_tick_of_the_same_application(house: Lender) -> None:
    product = house.product()
    customer, _ = house.customer()
    application = house.application(customer, product)
    house.do("officer", "credit_application", application, "submit")
    house.settle_outside()
    house.move("officer", "credit_application", application, "withdraw", "暂缓")
    house.do("officer", "consent", house.rows("consent", customer_id=customer)[0]["id"], "revoke", {}, "客户书面撤回")
    with pytest.raises(MetaloomError) as why:
        house.do("officer", "credit_application", application, "submit")
    assert "撤回授权" in why.value.message.say("zh")
