"""What leaves the house: once, to the right address, with what may be known there; or a reason why not."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.base.messages import message
from metaloom.command import resend_message
from metaloom.command.collect_messages import opt_out_in
from metaloom.command.context import ActionDone
from metaloom.command.unit import perform
from tests.command.club import NOW

SECRET = "11010519491231002X"


def number(office) -> str:
    """A telephone number nobody had before, which causes no fault."""
    office.count = getattr(office, "count", 10_000) + 1
    return f"139{office.count:04d}5678"[:11]


def last(office, **where):
    return office.messages(**where)[-1]


def mail_of(office):
    return message_from_bytes(office.mailbox.mails[-1].content, policy=default)


def test_a_short_message_arrives_once_with_its_template(office):
    to, member = number(office), office.new(id_no=None)
    office.act("text_to", member.id, address=to, how="sms")
    queued = last(office, channel="sms")
    assert queued["status"] == "queued" and to not in str(queued), "the address stands in the clear"
    assert queued["address"] == f"{to[:3]}****{to[-4:]}"
    assert office.work() == 1 and office.work() == 0
    sent = [line for line in office.sandbox("sms_sandbox").sent() if line["address"] == to]
    name = office.row("club.member", member.id)["name"]
    assert [(line["text"], line["template"], line["calls"]) for line in sent] == [(f"{name}：100.00", "SMS_1", 1)]
    row = last(office, channel="sms")
    assert (row["status"], row["tries"], row["provider"]) == ("sent", 1, "sms_sandbox") and row["provider_no"].startswith("SMS")
    assert office.collect() >= 1 and last(office, channel="sms")["status"] == "delivered" and office.collect() == 0


def test_a_late_answer_is_unknown_and_asked_for_but_never_sent_twice(office):
    to, member = "13912340000", office.new()
    office.act("text_to", member.id, address=to, how="sms")
    office.work()
    assert last(office, channel="sms")["status"] == "unknown"
    office.hurry()
    office.work()
    row = last(office, channel="sms")
    sent = [line for line in office.sandbox("sms_sandbox").sent() if line["reference"] == row["reference"]]
    assert (row["status"], row["tries"], [line["calls"] for line in sent]) == ("delivered", 2, [1])


def test_a_lost_message_is_sent_again_under_the_same_reference_when_the_provider_never_saw_it(office, monkeypatch):
    to, member = "13912350001", office.new()
    office.act("text_to", member.id, address=to, how="sms")
    office.work()
    assert last(office, channel="sms")["status"] == "unknown"
    sandbox, calls = office.sandbox("sms_sandbox"), []
    from metaloom.plugin.message_channel import ChannelReply

    monkeypatch.setattr(type(sandbox), "send", lambda self, request: calls.append(request.reference) or ChannelReply(
        outcome="accepted", reference=request.reference, provider_no="N1"))
    office.hurry()
    office.work()
    row = last(office, channel="sms")
    assert (row["status"], calls) == ("sent", [row["reference"]])


def test_a_worker_that_died_after_sending_leaves_a_message_that_is_asked_for(office):
    """The first worker marked the message and handed it over; the second finds it, and does not hand it over again."""
    to, member = number(office), office.new()
    office.act("text_to", member.id, address=to, how="sms")
    queued = last(office, channel="sms")
    from metaloom.message import Box
    from metaloom.plugin.message_channel import Outgoing

    with office.tenant.write() as conn:
        assert Box(conn, office.tenant.revision().tables).take(queued["id"], NOW).first
    office.sandbox("sms_sandbox").send(Outgoing(reference=queued["reference"], address=to, text="x"))
    office.work()
    sent = [line for line in office.sandbox("sms_sandbox").sent() if line["reference"] == queued["reference"]]
    assert last(office, channel="sms")["status"] == "delivered" and [line["calls"] for line in sent] == [1]


def test_a_refusal_is_final_and_says_why(office):
    member = office.new()
    office.act("text_to", member.id, address="13912360002", how="sms")
    office.work()
    row = last(office, channel="sms")
    assert row["status"] == "failed" and "BLACKLIST" in row["error"]
    office.hurry()
    assert office.work() == 0


def test_wechat_takes_the_same_road(office):
    member = office.new()
    for follower, status in (("oA1b2c3", "sent"), ("oA1-gone", "failed"), ("oA1-late", "unknown")):
        office.act("text_to", member.id, address=follower, how="wechat")
        office.work()
        assert last(office, channel="wechat")["status"] == status
    office.hurry()
    office.work()
    assert last(office, channel="wechat")["status"] == "delivered"
    assert [line["fields"] for line in office.sandbox("wechat_sandbox").sent()][0] == {"fee": "100.00"}


def test_masked_and_encrypted_values_never_leave_in_full(office):
    member = office.new(id_no=SECRET)
    office.act("text_to", member.id, address="zhang@example.org", how="email")
    office.work()
    mail = mail_of(office)
    assert SECRET not in office.mailbox.mails[-1].content.decode() and "110105**********2X" in mail.get_content()
    assert SECRET not in str(office.messages()), "the log holds the secret in the clear"


def test_a_mail_is_whole_and_its_headers_cannot_be_broken(office):
    member = office.new(name="张\u2028三 Bcc: all@example.org")
    office.act("text_to", member.id, address="zhang@example.org", how="email")
    office.work()
    mail, row = mail_of(office), last(office, channel="email")
    assert row["status"] == "sent" and mail["To"] == "zhang@example.org" and mail["From"].addresses[0].addr_spec == "club@example.com"
    assert mail["Subject"].startswith("欢迎张 三 Bcc: all@example.org") and mail["Bcc"] is None
    assert mail["Message-ID"] == f"<{row['reference']}@example.com>"
    assert f"https://club.example/c/e/club.member/{member.id}" in mail.get_content()
    assert office.mailbox.mails[-1].rcpt_tos == ["zhang@example.org"]


@pytest.mark.parametrize("fault, status, after", [("refuse", "failed", "failed"), ("later", "queued", "sent"), ("late", "unknown", "unknown")])
def test_a_mail_server_that_misbehaves(office, fault, status, after):
    member, before = office.new(), len(office.mailbox.mails)
    office.mailbox.fault = fault
    office.act("text_to", member.id, address="zhang@example.org", how="email")
    office.work()
    assert last(office, channel="email")["status"] == status
    office.mailbox.fault = ""
    office.hurry()
    office.work()
    assert last(office, channel="email")["status"] == after
    assert len(office.mailbox.mails) - before == {"refuse": 0, "later": 1, "late": 1}[fault], "a mail went out twice"


def test_an_address_that_cannot_be_used_is_no_error_of_the_action(office):
    member = office.new()
    for how, address in (("sms", "12"), ("email", "zhang"), ("email", "a@b.c\r\nBcc: x@y.z"), ("sms", "")):
        office.act("text_to", member.id, address=address.replace("\r\n", " "), how=how)
        row = last(office, channel=how)
        assert (row["status"], row["why"]) == ("suppressed", "no_address")
    assert office.work() == 0


def test_quiet_hours_wait_for_the_morning_except_for_what_is_important(office):
    night = NOW.replace(hour=15, minute=30)  # 23:30 in Shanghai
    office.at(night)
    member = office.new()
    office.act("text_to", member.id, address=number(office), how="sms")
    row = last(office, channel="sms")
    assert (row["status"], row["why"]) == ("queued", "quiet_hours")
    assert row["due_at"] == (night + timedelta(days=1)).replace(hour=0, minute=0), "08:00 in Shanghai is midnight in UTC"
    office.act("text_to", member.id, address=number(office), how="alarm")
    assert last(office, channel="sms")["why"] is None and last(office, channel="sms")["due_at"] == night


def test_whoever_opted_out_gets_nothing_but_what_is_important(office):
    to, member = number(office), office.new()
    sandbox = office.sandbox("sms_sandbox")
    sandbox.answer(to, "谢谢")
    sandbox.answer(to, " 退订。")
    office.collect()
    assert [r["word"] for r in office.engine_rows("message_opt_out") if r["address"] == f"{to[:3]}****{to[-4:]}"] == ["退订。"]
    office.act("text_to", member.id, address=to, how="sms")
    assert (last(office, channel="sms")["status"], last(office, channel="sms")["why"]) == ("suppressed", "opt_out")
    office.act("text_to", member.id, address=to, how="alarm")
    assert last(office, channel="sms")["status"] == "queued"
    entry = [row for row in office.engine_rows("audit") if row["command"] == "collect_messages"][-1]
    assert entry["after"]["channel"] == "sms" and to not in str(entry)


def test_resending_is_a_new_message_with_a_right_a_reason_and_an_audit(office):
    member = office.new()
    office.act("text_to", member.id, address="13912370002", how="sms")
    office.work()
    failed = last(office, channel="sms")
    with pytest.raises(NotAllowed):
        resend_message(office.ctx("clerk"), failed["id"], "again")
    with pytest.raises(Invalid):
        resend_message(office.ctx("admin"), failed["id"], " ")
    done = resend_message(office.ctx("admin"), failed["id"], "客户要求")
    again = last(office, channel="sms")
    assert (again["id"], again["resend_of"], again["status"]) == (done.id, failed["id"], "queued") and again["reference"] != failed["reference"]
    assert [row["reason"] for row in office.engine_rows("audit") if row["command"] == "resend_message"] == ["客户要求"]
    with pytest.raises(NotPossible):
        resend_message(office.ctx("admin"), again["id"], "客户要求")


def test_a_resent_message_respects_an_opt_out_made_meanwhile(office):
    to, member = number(office), office.new()
    office.act("text_to", member.id, address=to, how="sms")
    office.work()

    def leave(unit):
        opt_out_in(unit, "sms", to, reason="asked by telephone")
        return ActionDone("", None, None, message("message.resent"))

    perform(office.system, "opt_out", [], leave)
    with pytest.raises(NotPossible):
        resend_message(office.ctx("admin"), last(office, channel="sms")["id"], "x")


def test_an_action_that_fails_sends_nothing(office):
    before, member = len(office.messages()), office.new()
    with pytest.raises(Exception, match=r"."):
        office.act("text_to", member.id, person="clerk", address=number(office), how="sms")
    assert len(office.messages()) == before and office.work() == 0


