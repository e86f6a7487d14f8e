"""The six warnings of the lending pack (S2-06 … S2-11) on a lender's own records: every boundary, and what ends each."""

from datetime import timedelta
from decimal import Decimal

import pytest

from metaloom import command
from tests.plugins.lender import open_lender

ALERT = "platform.alert"
LIMIT, MORTGAGE, PLEDGE, INSPECTION, OVERDUE, DUE = (
    "lending.credit_limit/limit_expiry", "lending.collateral/mortgage_expiry", "lending.pledge/pledge_expiry", "lending.loan/inspection_due",
    "lending.instalment/overdue", "lending.instalment/due_soon")


@pytest.fixture(scope="module")
def lender(tmp_path_factory):
    with open_lender(tmp_path_factory.mktemp("home"), "w_lending") as made:
        made.first = made.loan()
        yield made


def evaluate(lender):
    return command.evaluate_warnings(lender.stage._context("warnings"))


def alerts(lender, rule, record_id, *, live=True):
    found = lender.rows(ALERT, rule=rule, record_id=record_id)
    return [a for a in found if a["cleared_at"] is None] if live else found


def instalments(lender, loan):
    return sorted(lender.rows("instalment", loan_id=loan), key=lambda row: row["due_date"])


def test_instalments_are_warned_of_before_they_are_due_and_once_they_are_late(lender):
    first = instalments(lender, lender.first)[0]
    due = first["due_date"]
    seen = {}
    for days in (-8, -7, -4, -3, -1, 0, 1, 3, 4):
        lender.day(due + timedelta(days=days))
        evaluate(lender)
        seen[days] = [(a["rule"].rpartition("/")[2], a["level"], a["days"]) for rule in (DUE, OVERDUE) for a in alerts(lender, rule, first["id"])]
    assert seen == {
        -8: [], -7: [("due_soon", "info", 7)], -4: [("due_soon", "info", 4)], -3: [("due_soon", "yellow", 3)], -1: [("due_soon", "orange", 1)],
        0: [("due_soon", "orange", 0)], 1: [("overdue", "info", -1)], 3: [("overdue", "info", -3)], 4: [("overdue", "yellow", -4)]}
    late = alerts(lender, OVERDUE, first["id"])[0]
    loan = lender.row("loan", lender.first)
    assert (late["loan_id"], late["customer_id"], late["instalment_id"]) == (lender.first, loan["customer_id"], first["id"])
    assert (late["company_id"], late["owner_id"]) == (loan["company_id"], loan["owner_id"])
    assert late["unpaid_principal"] + late["unpaid_interest"] == late["unpaid_total"] == first["unpaid"] and late["note_required"]
    assert str(first["unpaid"]) in late["subject"]["zh"]


def test_paying_ends_the_warning_at_once(lender):
    first = instalments(lender, lender.first)[0]
    assert alerts(lender, OVERDUE, first["id"])
    lender.repay(lender.first, first["unpaid"] / 2)
    part = alerts(lender, OVERDUE, first["id"])
    assert len(part) == 1 and part[0]["unpaid_total"] < first["unpaid"]
    lender.repay(lender.first, lender.row("instalment", first["id"])["unpaid"])
    assert not alerts(lender, OVERDUE, first["id"])
    assert [a["status"] for a in alerts(lender, OVERDUE, first["id"], live=False)] == ["closed"]


def test_a_limit_is_warned_of_at_thirty_fifteen_and_seven_days_and_when_it_has_ended(lender):
    limit = lender.row("loan", lender.first)["limit_id"]
    ends = lender.row("credit_limit", limit)["valid_to"]
    seen = {}
    for days in (31, 30, 16, 15, 8, 7, 0, -1):
        lender.day(ends - timedelta(days=days))
        evaluate(lender)
        seen[days] = [a["level"] for a in alerts(lender, LIMIT, limit)]
    assert seen == {31: [], 30: ["info"], 16: ["info"], 15: ["yellow"], 8: ["yellow"], 7: ["orange"], 0: ["orange"], -1: ["red"]}
    assert alerts(lender, LIMIT, limit)[0]["credit_limit_id"] == limit
    lender.do("review", "credit_limit", limit, "end", reason="到期终止")
    assert not alerts(lender, LIMIT, limit)


def day_of(lender):
    return lender.stage.today


def collateral(lender, loan, expires_in, **values):
    today = day_of(lender)
    made = lender.create("officer", "collateral", {
        "loan": loan, "type_code": "1001", "name": "住宅", "owner_name": "张三", "cert_no": "沪1", "appraised_value": Decimal(900000),
        "secured_amount": Decimal(500000), "registration_no": "T1", "registered_on": today - timedelta(days=400),
        "expires_on": today + timedelta(days=expires_in), **values})
    lender.do("check", "collateral", made, "store")
    return made


def test_mortgages_are_warned_of_by_their_next_expiry_and_when_they_end_before_the_loan(lender):
    loan = lender.loan()
    matures = lender.row("loan", loan)["matures_on"]
    far = (matures - day_of(lender)).days
    cases = {far + 40: None, far - 1: "info", 30: "info", 15: "yellow", 7: "orange", -1: "red"}
    for days, level in cases.items():
        found = alerts(lender, MORTGAGE, collateral(lender, loan, days))
        assert [a["level"] for a in found] == ([level] if level else []), days
    insured = collateral(lender, loan, far + 40, insurance_to=day_of(lender) + timedelta(days=10))
    assert alerts(lender, MORTGAGE, insured)[0]["due_on"] == day_of(lender) + timedelta(days=10)
    later = matures + timedelta(days=60)
    lender.do("officer", "collateral", insured, "renew", {"expires_on": later, "insurance_to": later, "appraised_value": Decimal(900000)})
    assert not alerts(lender, MORTGAGE, insured)


def test_pledges_are_warned_of_and_cashing_ends_it(lender):
    today = day_of(lender)
    made = lender.create("officer", "pledge", {
        "loan": lender.loan(), "type_code": "2001", "name": "存单", "owner_name": "李四", "voucher_no": "C1", "face_value": Decimal(100),
        "pledge_value": Decimal(90), "custody_place": "金库", "matures_on": today + timedelta(days=3650), "custody_until": today + timedelta(days=5)})
    assert not alerts(lender, PLEDGE, made), "not stored yet"
    lender.do("check", "pledge", made, "store", {"store_no": "RK1"})
    assert [(a["level"], a["due_on"]) for a in alerts(lender, PLEDGE, made)] == [("orange", today + timedelta(days=5))]
    lender.do("check", "pledge", made, "cash", {"cashed_on": today, "cashed_amount": Decimal(100)})
    assert not alerts(lender, PLEDGE, made) and lender.row("pledge", made)["status"] == "released"


def test_an_inspection_is_due_fifteen_days_after_the_payout_and_reviewing_one_ends_the_warning(lender):
    loan = lender.loan()
    paid = lender.row("loan", loan)["disbursed_on"]
    seen = {}
    for days in (7, 8, 12, 15, 16):
        lender.day(paid + timedelta(days=days))
        evaluate(lender)
        seen[days] = [(a["level"], a["days"], a["escalated"]) for a in alerts(lender, INSPECTION, loan)]
    assert seen == {7: [], 8: [("info", 7, 0)], 12: [("yellow", 3, 0)], 15: [("red", 0, 1)], 16: [("red", -1, 1)]}
    made = lender.create("officer", "post_loan_inspection", {
        "loan": loan, "method": "on_site", "use_of_funds": "as_agreed", "operation_status": "normal", "repay_ability": "fair", "conclusion": "attention",
        "measures": "加强跟踪", "next_due_on": day_of(lender) + timedelta(days=60)})
    lender.do("officer", "post_loan_inspection", made, "submit")
    assert not alerts(lender, INSPECTION, loan), "one is under review"
    lender.decide("check", "post_loan_inspection", made, "return", "照片不清")
    assert alerts(lender, INSPECTION, loan)
    lender.move("officer", "post_loan_inspection", made, "resubmit")
    lender.decide("check", "post_loan_inspection", made, opinion="属实")
    assert lender.row("post_loan_inspection", made)["check_opinion"] == "属实"
    lender.decide("review", "post_loan_inspection", made)
    stored = lender.row("loan", loan)
    assert (stored["next_inspection_on"], stored["last_conclusion"]) == (day_of(lender) + timedelta(days=60), "attention")
    evaluate(lender)
    assert not alerts(lender, INSPECTION, loan)
    lender.day(day_of(lender) + timedelta(days=53))
    evaluate(lender)
    assert [a["days"] for a in alerts(lender, INSPECTION, loan)] == [7]


def test_the_job_finds_nothing_to_raise_after_saves_and_every_list_reads(lender):
    evaluate(lender)
    assert evaluate(lender).total.raised == 0
    catalog = lender.tenant.revision().catalog
    names = ("limit_expiry", "mortgage_expiry", "pledge_expiry", "inspection_due", "overdue", "due_soon")
    ctx = lender.stage.as_user("officer")._context("looking")
    from metaloom.record import Reader
    with lender.tenant.read() as conn:
        reader = Reader(conn, lender.tenant, ctx.revision, ctx.plan, locale="zh")
        found = {name: reader.list(ALERT, view=catalog.lists[f"{ALERT}/{name}"], limit=50).rows for name in names}
        assert all(found[name] for name in ("mortgage_expiry", "inspection_due")), {k: len(v) for k, v in found.items()}
        assert all(row.values["customer"] for rows in found.values() for row in rows)
