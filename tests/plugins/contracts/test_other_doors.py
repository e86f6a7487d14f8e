"""What every gateway, data provider and posting provider must keep, whatever it is asked."""

from datetime import date
from decimal import Decimal

import pytest

from metaloom.plugin.data_provider import OUTCOMES as FOUND
from metaloom.plugin.data_provider import DataRequest
from metaloom.plugin.e_signature import OUTCOMES as SIGNED
from metaloom.plugin.e_signature import Document, Envelope, Signer
from metaloom.plugin.ledger_posting import Happening
from metaloom.plugin.message_channel import OUTCOMES as CARRIED
from metaloom.plugin.message_channel import Outgoing
from metaloom.plugin.payment_gateway import OUTCOMES, PayRequest
from metaloom.plugin.signed_notice import SignedCall


def request(reference, amount="10.00"):
    return PayRequest(reference=reference, amount=Decimal(amount), account_no="6222020200112233445", account_name="张三", purpose="contract")


def test_a_payment_has_one_of_the_four_outcomes_and_speaks_of_its_reference(payment_gateway):
    reply = payment_gateway.pay(request("contract-1"))
    assert reply.outcome in OUTCOMES
    assert reply.reference in ("", "contract-1")


def test_the_same_reference_again_is_the_same_payment(payment_gateway):
    first = payment_gateway.pay(request("contract-2"))
    again = payment_gateway.pay(request("contract-2"))
    if first.outcome != "unknown" and again.outcome != "unknown":
        assert (first.gateway_no, first.amount) == (again.gateway_no, again.amount)


def test_an_unknown_reference_is_never_a_failed_payment(payment_gateway):
    reply = payment_gateway.query("never-sent")
    assert reply.outcome == "unknown"


def test_the_statement_of_a_day_without_payments_is_empty_or_refused(payment_gateway):
    try:
        lines = payment_gateway.statement(date(2001, 1, 1))
    except OSError:
        return  # refused: a channel that cannot be asked has not said that nothing happened
    assert lines == ()


def test_a_question_has_one_of_the_three_outcomes(data_provider):
    for method in data_provider.methods():
        reply = data_provider.fetch(DataRequest(reference="contract-1", method=method, subject={}))
        assert reply.outcome in FOUND
    assert data_provider.methods()


def test_an_unknown_question_is_no_answer(data_provider):
    assert data_provider.fetch(DataRequest(reference="contract-2", method="nonsense", subject={})).outcome == "unavailable"


def test_an_unknown_happening_is_a_value_error(ledger_posting):
    assert ledger_posting.happenings()
    with pytest.raises(ValueError):
        ledger_posting.postings(Happening(name="nonsense", amounts={"principal": Decimal("1.00")}))


def words(reference, address="13912345678"):
    return Outgoing(reference=reference, address=address, text="您好", template_code="T1", fields={"name": "张三"})


def test_a_message_has_one_of_the_outcomes_and_speaks_of_its_reference(message_channel):
    reply = message_channel.send(words("m-1"))
    assert reply.outcome in CARRIED - {"never_seen"} and reply.reference in ("", "m-1")
    assert message_channel.length_max() >= 20


def test_the_same_reference_again_is_the_same_message(message_channel):
    first, again = message_channel.send(words("m-2")), message_channel.send(words("m-2"))
    if "unknown" not in (first.outcome, again.outcome):
        assert first.provider_no == again.provider_no
    numbers = [item.number for item in message_channel.collect() if item.reference == "m-2"]
    assert len(numbers) <= 1, "one message has two receipts"


def test_a_reference_that_was_never_sent_was_never_seen_or_nobody_can_say(message_channel):
    assert message_channel.query("m-never").outcome in ("never_seen", "unknown")


def test_what_was_acknowledged_does_not_come_again(message_channel):
    message_channel.send(words("m-3"))
    numbers = tuple(item.number for item in message_channel.collect())
    message_channel.acknowledge(numbers)
    message_channel.acknowledge(numbers)
    assert not {item.number for item in message_channel.collect()} & set(numbers)


def envelope(reference):
    signers = (Signer(key="borrower", name="张三", id_no="110101199003071233", mobile="13912345678"), Signer(key="lender", name="某公司", seal=True, order=2))
    paper = Document(name="借款合同.pdf", content=b"%PDF-1.4\n%%EOF\n")
    return Envelope(reference=reference, title="借款合同", documents=(paper,), signers=signers)


def test_an_envelope_has_one_of_the_outcomes_and_the_same_reference_is_the_same_one(e_signature):
    first, again = e_signature.create(envelope("e-1")), e_signature.create(envelope("e-1"))
    assert first.outcome in SIGNED - {"never_seen"} and first.reference in ("", "e-1")
    if "unknown" not in (first.outcome, again.outcome):
        assert first.envelope_no == again.envelope_no


def test_an_envelope_that_was_never_made_was_never_seen_or_nobody_can_say(e_signature):
    assert e_signature.query("e-never").outcome in ("never_seen", "unknown")
    assert e_signature.revoke("e-never", "").outcome in ("never_seen", "unknown")
    with pytest.raises(Exception):  # noqa: B017 - whatever it raises: there is no file
        e_signature.download("e-never")


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]", b'{"event_no": "1"}'])
def test_a_notice_of_nobody_is_not_read(signed_notice, body):
    with pytest.raises(Exception):  # noqa: B017 - whatever it raises: it is not genuine
        signed_notice.read(SignedCall(headers={"x-signature": "00", "x-timestamp": "1"}, body=body))


def test_a_provider_says_taken_and_later_in_different_words(signed_notice):
    taken, later = signed_notice.answer(True), signed_notice.answer(False)
    assert taken.status == 200 and (later.status, later.body) != (taken.status, taken.body)
