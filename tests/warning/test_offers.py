"""What alerts offer besides handling them: the record's own actions with the person's rights there, prefilled forms, links, 改派 and 催办."""

from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.command.evaluate_warnings import _list_of
from metaloom.message import Box
from metaloom.record import Reader
from metaloom.record.filters import Filter
from tests.plugins.lender import open_lender

ALERT = "platform.alert"
LIMIT, MORTGAGE, PLEDGE, INSPECTION, OVERDUE, DUE = (
    "lending.credit_limit/limit_expiry", "lending.collateral/mortgage_expiry", "lending.pledge/pledge_expiry", "lending.loan/inspection_due",
    "lending.instalment/overdue", "lending.instalment/due_soon")


@pytest.fixture(scope="module")
def lender(tmp_path_factory):
    """Somebody is a period late, has a mortgage and a pledge that expire, and a limit that ends soon."""
    with open_lender(tmp_path_factory.mktemp("home"), "w_offers") as made:
        made.stage.user("boss", "boss", ("lending.branch_mgr",), made.company, made.unit)
        _, account, made.limit_id = made.limit()
        made.loan_id = made.paid(made.drawdown(made.limit_id, account, amount=Decimal(60000)))
        today = made.stage.today
        made.mortgage = made.create("officer", "collateral", {
            "loan": made.loan_id, "type_code": "1001", "name": "住宅", "owner_name": "张三", "cert_no": "沪1", "appraised_value": Decimal(900000),
            "secured_amount": Decimal(500000), "registration_no": "T1", "registered_on": today - timedelta(days=400), "expires_on": today + timedelta(days=60)})
        made.pledge = made.create("officer", "pledge", {
            "loan": made.loan_id, "type_code": "2001", "name": "存单", "owner_name": "李四", "voucher_no": "C1", "face_value": Decimal(100),
            "pledge_value": Decimal(90), "custody_place": "金库", "matures_on": today + timedelta(days=60)})
        made.do("check", "collateral", made.mortgage, "store")
        made.do("check", "pledge", made.pledge, "store", {"store_no": "RK1"})
        made.day(today + timedelta(days=33))
        move_end(made, made.stage.today + timedelta(days=10))
        command.evaluate_warnings(made.stage._context("warnings"))
        yield made


def move_end(lender, day):
    """The end of the limit, laid straight into the table: a limit of a year would need a year of days."""
    table = lender.tenant.revision().tables.of("lending.credit_limit")
    with lender.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == lender.limit_id).values(valid_to=day))


def alert(lender, rule, *, live=True):
    found = [row for row in lender.rows(ALERT, rule=rule) if not live or row["cleared_at"] is None]
    return found[-1] if found else None


def ctx(lender, who):
    return lender.stage.as_user(who)._context("look")


def offers(lender, who, rule):
    with lender.tenant.read() as conn:
        return command.alert_offers(ctx(lender, who), alert(lender, rule)["id"], conn)


def names(found):
    return [one.name for one in found.actions if one.enabled], [form.entity.partition(".")[2] for form in found.forms], \
        [link.entity.partition(".")[2] for link in found.links]


def version(lender, entity, record_id):
    return lender.row(entity, record_id)["row_version"]


def act(lender, who, entity, record_id, action, reason="", **given):
    return command.run_action(ctx(lender, who), f"lending.{entity}", record_id, action, given, version(lender, entity, record_id), reason)


def handle(lender, who, rule, action, reason="", **given):
    one = alert(lender, rule)
    return command.run_action(ctx(lender, who), ALERT, one["id"], action, given, one["row_version"], reason)


def messages(lender, **where):
    table = lender.tenant.revision().tables.engine.message
    with lender.tenant.read() as conn:
        found = conn.execute(sa.select(table).where(*(table.c[name] == value for name, value in where.items())).order_by(table.c.id)).mappings()
        return [dict(row) for row in found]


OFFERED = {
    ("officer", LIMIT): (["renew", "remind"], [], ["credit_limit", "customer"]),
    ("check", LIMIT): ([], [], ["credit_limit", "customer"]),
    ("review", LIMIT): (["freeze"], [], ["credit_limit", "customer"]),
    ("boss", LIMIT): (["remind"], [], ["credit_limit", "customer"]),
    ("officer", MORTGAGE): (["renew", "remind"], ["collateral"], ["loan", "collateral"]),
    ("officer", PLEDGE): (["extend_custody", "remind"], ["pledge"], ["loan", "pledge"]),
    ("check", PLEDGE): (["cash"], [], ["loan", "pledge"]),
    ("officer", INSPECTION): ([], ["post_loan_inspection", "interview_record"], ["loan"]),
    ("check", INSPECTION): ([], [], ["loan"]),
    ("officer", OVERDUE): (["remind"], ["interview_record"], ["loan"]),
    ("boss", OVERDUE): (["remind"], [], ["loan"]),
    ("finance", OVERDUE): ([], [], ["loan"]),
    ("officer2", OVERDUE): ([], [], []),
}


@pytest.mark.parametrize(("who", "rule"), OFFERED)
def test_an_alert_offers_what_its_rule_names_and_the_person_may(lender, who, rule):
    assert names(offers(lender, who, rule)) == OFFERED[who, rule]


def test_the_buttons_stand_on_the_page_and_in_the_menu_of_the_row(lender):
    from metaloom.app import create_app
    app = create_app(lender.tenant.settings, tenancy=lender.tenant.tenancy, clock=lender.real, registry=lender.plugins)
    client = app.test_client()
    page = client.get("/w_offers/login/").get_data(as_text=True)
    token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    client.post("/w_offers/login/", data={"username": "officer", "password": "metaloom2026", "csrf_token": token})
    one, limit = alert(lender, LIMIT)["id"], lender.limit_id
    page = client.get(f"/w_offers/e/{ALERT}/{one}").get_data(as_text=True)
    menu = client.get(f"/w_offers/e/{ALERT}/{one}/menu").get_data(as_text=True)
    for html in (page, menu):
        assert f"/e/lending.credit_limit/{limit}/do/renew" in html and f"/e/lending.credit_limit/{limit}/ask/remind?next=" in html
        assert f'href="/w_offers/e/lending.credit_limit/{limit}"' in html and "查看客户详情" in html and "/freeze" not in html
    inspection = client.get(f"/w_offers/e/{ALERT}/{alert(lender, INSPECTION)['id']}").get_data(as_text=True)
    assert f"/e/lending.post_loan_inspection/new?loan={lender.loan_id}&amp;planned_on=" in inspection
    form = client.get(f"/w_offers/e/lending.post_loan_inspection/new?loan={lender.loan_id}&planned_on=2025-01-30").get_data(as_text=True)
    assert 'value="2025-01-30"' in form and lender.row("loan", lender.loan_id)["loan_no"] in form


def test_renewing_makes_a_draft_with_the_terms_of_the_limit_and_a_second_one_is_refused(lender):
    done = act(lender, "officer", "credit_limit", lender.limit_id, "renew")
    made = lender.row("credit_application", done.results["renewal"])
    limit = lender.row("credit_limit", lender.limit_id)
    assert (made["status"], made["customer_id"], made["product_id"], made["apply_amount"], made["apply_term"], made["repay_method"]) == \
        ("draft", limit["customer_id"], limit["product_id"], limit["total"], limit["term_max"], limit["repay_method"])
    assert made["owner_id"] == lender.stage._people["officer"]
    with pytest.raises(Invalid) as refused:
        act(lender, "officer", "credit_limit", lender.limit_id, "renew")
    assert "该客户已有同一产品的在途申请" in refused.value.problems[0].message.say("zh")
    with pytest.raises(NotAllowed):
        act(lender, "check", "credit_limit", lender.limit_id, "renew")


def test_freezing_from_the_alert_is_the_limits_own_action_with_its_trail(lender):
    limit = lender.limit()[2]
    act(lender, "review", "credit_limit", limit, "freeze", "即将到期", amount=Decimal(100000))
    assert lender.row("credit_limit", limit)["status"] == "frozen"
    assert [row["type"] for row in lender.rows("limit_txn", limit_id=limit)] == ["grant", "freeze"]
    audit = lender.tenant.revision().tables.engine.audit
    with lender.tenant.read() as conn:
        reasons = conn.scalars(sa.select(audit.c.reason).where(audit.c.entity == "lending.credit_limit", audit.c.record_id == limit)).all()
    assert "即将到期" in reasons


def remind(lender, who="officer", channel="sms"):
    act(lender, who, "instalment", alert(lender, OVERDUE)["record_id"], "remind", channel=channel)
    return messages(lender, kind="lending.overdue_reminder")[-1]


def test_a_reminder_goes_to_the_customer_with_name_and_number(lender):
    sent = remind(lender)
    customer = lender.row("customer", lender.row("loan", lender.loan_id)["customer_id"])
    assert (sent["status"], sent["channel"], sent["receiver_id"], sent["provider"]) == ("queued", "sms", None, "sms_sandbox")
    assert customer["name"] in sent["body"] and lender.row("loan", lender.loan_id)["loan_no"] in sent["body"] and "退订回TD" in sent["body"]
    assert (sent["entity"], sent["record_id"]) == ("lending.instalment", alert(lender, OVERDUE)["record_id"]) and "****" in sent["address"]
    lender.settle_outside()
    assert messages(lender, id=sent["id"])[0]["status"] in ("sent", "delivered")


def test_a_reminder_waits_for_the_morning_and_a_number_that_opted_out_is_left_alone(lender):
    day = lender.real.at
    lender.real.at = day.replace(hour=14)          # 22:00 in Shanghai
    late = remind(lender)
    lender.real.at = day
    assert late["why"] == "quiet_hours" and late["due_at"].astimezone(lender.tenant.zone).strftime("%H:%M") == "08:00"
    with lender.tenant.write() as conn:
        Box(conn, lender.tenant.revision().tables).opt_out("sms", late["address"], late["address_mark"], word="TD")
    gone = remind(lender)
    assert (gone["status"], gone["why"]) == ("suppressed", "opt_out")


def test_a_reminder_that_cannot_be_sent_or_may_not_be_is_refused_in_words(lender):
    with pytest.raises(NotPossible) as refused:
        remind(lender, channel="wechat")
    assert refused.value.message.say("zh") == "客户没有绑定微信，请改用短信"
    with pytest.raises(NotAllowed):
        remind(lender, "finance")
    paid = sorted(lender.rows("instalment", loan_id=lender.loan_id), key=lambda row: row["due_date"])[-1]["id"]
    lender.change("officer", "customer", lender.row("loan", lender.loan_id)["customer_id"], {"wechat_openid": "oAbc123456"})
    act(lender, "officer", "instalment", paid, "remind", channel="wechat")
    sent = messages(lender, kind="lending.due_reminder")[-1]
    assert (sent["channel"], sent["provider"]) == ("wechat", "wechat_sandbox") and "oAbc123456" not in str(sent["address"])


def test_an_inspection_under_way_is_opened_instead_of_a_second_one(lender):
    form = offers(lender, "officer", INSPECTION).forms[0]
    paid_out = lender.row("loan", lender.loan_id)["disbursed_on"]
    assert (form.id, form.values) == (None, {"loan": lender.loan_id, "planned_on": paid_out + timedelta(days=15)})
    made = lender.create("officer", "post_loan_inspection", {
        "loan": lender.loan_id, "method": "on_site", "use_of_funds": "as_agreed", "operation_status": "normal", "repay_ability": "fair",
        "conclusion": "normal", "next_due_on": lender.stage.today + timedelta(days=60)})
    assert offers(lender, "officer", INSPECTION).forms[0].id == made


def test_urging_tells_the_owner_once_a_day_and_is_for_those_above(lender):
    before = len(messages(lender, kind=f"{ALERT}/action/urge"))
    handle(lender, "boss", INSPECTION, "urge")
    told = messages(lender, kind=f"{ALERT}/action/urge")[before:]
    assert [one["receiver_id"] for one in told] == [lender.stage._people["officer"]]
    assert alert(lender, INSPECTION)["alert_no"] in told[0]["subject"]
    with pytest.raises(NotPossible) as refused:
        handle(lender, "boss", INSPECTION, "urge")
    assert refused.value.message.say("zh") == "今天已催办过"
    with pytest.raises(NotAllowed):
        handle(lender, "officer", INSPECTION, "urge")


def test_an_alert_is_reassigned_to_somebody_who_then_sees_it(lender):
    other = lender.stage._people["officer2"]
    with pytest.raises(NotAllowed):
        handle(lender, "officer", PLEDGE, "assign", handler=other)
    assert not seen(lender, "officer2")
    handle(lender, "boss", PLEDGE, "assign", handler=other)
    one = alert(lender, PLEDGE)
    assert (one["status"], one["handler_id"], seen(lender, "officer2")) == ("working", other, [one["id"]])
    assert messages(lender, kind=f"{ALERT}/action/assign")[-1]["receiver_id"] == other
    assert words(lender, "officer", one["id"]) == one["subject"]["zh"] and words(lender, "officer2", one["id"]) is None, "no right on the record"
    with pytest.raises(NotPossible) as refused:
        handle(lender, "boss", PLEDGE, "assign", handler=other)
    assert refused.value.message.say("zh") == "该预警已由此人处理"
    handle(lender, "officer2", PLEDGE, "handle", measure="contacted", note="已联系客户补充材料")
    assert alert(lender, PLEDGE)["status"] == "handled"


def words(lender, who, alert_id):
    person = ctx(lender, who)
    with lender.tenant.read() as conn:
        row = Reader(conn, lender.tenant, person.revision, person.plan, locale="zh").get(ALERT, alert_id)
    said = row.values.get("subject")
    return said.get("zh") if isinstance(said, dict) else said


def seen(lender, who, name="pledge_expiry", **asked):
    person = ctx(lender, who)
    with lender.tenant.read() as conn:
        reader = Reader(conn, lender.tenant, person.revision, person.plan, locale="zh")
        return [row.id for row in reader.list(ALERT, view=person.revision.catalog.lists[f"{ALERT}/{name}"], limit=50, **asked).rows]


def test_alerts_are_found_by_the_last_digits_or_the_whole_of_a_masked_number(lender):
    number = lender.stage.as_user("officer").read("lending.customer", lender.row("loan", lender.loan_id)["customer_id"])["mobile"]
    assert len(number) == 11 and number.isdigit()
    one = alert(lender, OVERDUE)["id"]
    for op, asked in (("eq", number), ("last4", number[-4:])):
        assert one in seen(lender, "check", "overdue", filters=[Filter("customer.mobile", op, asked)])
    assert not seen(lender, "check", "overdue", filters=[Filter("customer.mobile", "eq", "13800000000")])


def test_the_overdue_message_names_customer_and_loan_and_leads_to_the_alert(lender):
    customer = lender.row("customer", lender.row("loan", lender.loan_id)["customer_id"])["name"]
    told = messages(lender, kind="lending.alert_overdue", receiver_id=lender.stage._people["officer"])
    one = alert(lender, OVERDUE)
    assert len(told) == 1 and told[0]["link"] == f"/e/{ALERT}/{one['id']}"
    for said in (customer, lender.row("loan", lender.loan_id)["loan_no"], f"{one['unpaid_total']:,}"):
        assert said in told[0]["subject"]
    catalog = lender.tenant.revision().catalog
    assert {_list_of(catalog, catalog.warning_rules[rule]).rpartition("/")[2] for rule in (LIMIT, MORTGAGE, PLEDGE, INSPECTION, OVERDUE)} == {
        "limit_expiry", "mortgage_expiry", "pledge_expiry", "inspection_due", "overdue"}


def test_an_alert_whose_cause_is_gone_offers_only_where_to_look(lender):
    late = alert(lender, OVERDUE)["record_id"]
    while lender.row("instalment", late)["unpaid"]:        # the first receipt charges the penalty up to its day, the next one pays it
        lender.repay(lender.loan_id, lender.row("instalment", late)["unpaid"])
    closed = alert(lender, OVERDUE, live=False)
    assert closed["status"] == "closed"
    with lender.tenant.read() as conn:
        assert names(command.alert_offers(ctx(lender, "officer"), closed["id"], conn)) == ([], [], ["loan"])
