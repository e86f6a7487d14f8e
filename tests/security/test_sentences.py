"""Sentences that metadata fills with values print for each person what that person reads."""

import pytest

from metaloom.base.errors import Invalid
from metaloom.command import create_record, run_action
from metaloom.compile import Source
from metaloom.schema_change import publish, rollback, sources_of
from tests.security.conftest import values_of

SALE, BUYER = "depot.sale", "depot.buyer"
EDITS = (
    ("sale/entity.yaml", "  rules:\n", """  rules:
    not_ninety:
      check: "amount != 90"
      field: amount
      message: {zh: "评语{buyer.secret}，手机{buyer.mobile}，金额{amount}", en: "{buyer.secret} {buyer.mobile} {amount}"}
"""),
    ("sale/entity.yaml", "    bulk: true\n", """    bulk: true
    done: {zh: "已提交给{buyer.name}：{buyer.secret}", en: "Sent to {buyer.name}: {buyer.secret}; {record.note} {input.why}"}
    input:
      why: {type: text, length: 20, label: {zh: 原因, en: Why}}
      said: {type: text, length: 60, default: buyer.secret, label: {zh: 评语, en: Verdict}}
"""),
    ("sale/entity.yaml", "  chief: {scope: company, actions: [list, read, create",
     "  packer: {scope: company, actions: [list, read, send], fields: {\"*\": read, note: hidden}}\n  chief: {scope: company, actions: [list, read, create"),
)


@pytest.fixture(scope="module")
def told(world):
    tenant = world.tenants["one"]
    before, made = tenant.revision().number, []
    for source in sources_of(tenant, before):
        text = source.text
        for end, old, new in EDITS:
            if source.path.endswith(end):
                assert old in text
                text = text.replace(old, new, 1)
        made.append(Source(source.layer, source.path, text if source.path != "depot/rights.yaml" else _without_packer(text)))
    publish(tenant, made)
    yield world
    rollback(tenant, before)


def _without_packer(text):
    return text[:text.index("- {add: depot.sale/access/depot.packer")]


def buyer(world, username):
    return create_record(world.ctx(username), BUYER, {"code": f"t{values_of()}", "name": "欧阳无名", "mobile": "13812345678"}).id


def verdict(world, id):
    """The chief writes what the clerk may not read."""
    from metaloom.command import change_record

    change_record(world.ctx("chief"), BUYER, id, {"secret": "ZZ-verdict"}, 1)
    return id


def test_a_rule_s_message_shows_each_person_what_they_read(told):
    own = verdict(told, buyer(told, "clerk"))
    with pytest.raises(Invalid) as refused:
        create_record(told.ctx("clerk"), SALE, {"buyer": own, "amount": "90.00"})
    assert refused.value.problems[0].message.say("en") == "- 13812345678 90.00"
    with pytest.raises(Invalid) as refused:
        create_record(told.ctx("chief"), SALE, {"buyer": own, "amount": "90.00"})
    assert refused.value.problems[0].message.say("zh") == "评语ZZ-verdict，手机13812345678，金额90.00"


def test_a_done_sentence_masks_and_hides(told):
    own = verdict(told, buyer(told, "chief"))

    def sent_by(username):
        made = create_record(told.ctx("chief"), SALE, {"buyer": own, "amount": "10.00", "note": "ZZ-note"})
        return run_action(told.ctx(username), SALE, made.id, "send", {"why": "now"}, made.row_version).message.say("en")

    assert sent_by("chief") == "Sent to 欧阳无名: ZZ-verdict; ZZ-note now"
    assert sent_by("packer") == "Sent to 欧***: -; - now"


def test_a_default_is_offered_only_to_who_reads_what_it_is_made_of(told):
    own = verdict(told, buyer(told, "clerk"))
    made = create_record(told.ctx("clerk"), SALE, {"buyer": own, "amount": "10.00"})
    pages = {name: told.browser(name).get(f"/e/{SALE}/{made.id}/ask/send").text for name in ("clerk", "chief")}
    assert "ZZ-verdict" in pages["chief"] and "ZZ-verdict" not in pages["clerk"] and 'name="why"' in pages["clerk"]
