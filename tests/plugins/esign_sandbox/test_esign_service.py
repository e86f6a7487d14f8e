"""The e_signature door against a signing server on this machine: what it says, and what nobody may believe."""

from datetime import UTC, datetime, timedelta

import pytest

from metaloom.base.clock import FixedClock
from metaloom.plugin import Environment, registry
from metaloom.plugin.e_signature import Document, Envelope, Signer
from metaloom.plugin.signed_notice import SignedCall
from metaloom_plugins.esign_sandbox.server import serving
from metaloom_plugins.esign_sandbox.simulator import Signatures

KEY = "a-key-that-both-sides-know"
PDF = b"%PDF-1.4\nhello\n%%EOF\n"


class Office:
    def __init__(self, folder):
        self.clock = FixedClock(datetime(2025, 1, 15, 2, tzinfo=UTC))
        self.file = folder / "flows.sqlite"
        self.service = Signatures(self.file, now=lambda: self.clock.now().timestamp(), key=KEY)

    def open(self, server):
        self.server = server
        environment = Environment(tenant=server.address, clock=self.clock, secret={"esign_sandbox.client_key": KEY}.__getitem__,
                                  settings={"esign_sandbox": {"base_url": server.address, "timeout_seconds": 2}})
        self.door = registry.load().provider("e_signature", "esign_sandbox", environment)
        self.reader = registry.load().provider("signed_notice", "esign_sandbox", environment)
        return self

    def read(self, headers, body):
        return self.reader.read(SignedCall(headers={name.lower(): value for name, value in headers.items()}, body=body))

    def create(self, reference="HT1", mobile="13812345678", content=PDF):
        return self.door.create(Envelope(reference=reference, title="借款合同", documents=(Document(name="借款合同.pdf", content=content),), signers=(
            Signer(key="borrower", name="张三", id_no="110101199003071233", mobile=mobile),
            Signer(key="lender", name="某小贷公司", order=2))))


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path)
    with serving(made.service) as server:
        yield made.open(server)


def test_an_envelope_goes_from_signer_to_signer_and_comes_back_as_a_file(office):
    assert (office.create().outcome, office.door.query("HT1").signed_by) == ("signing", ())
    office.service.sign("HT1", "borrower")
    assert (office.door.query("HT1").outcome, office.door.query("HT1").signed_by) == ("partly_signed", ("borrower",))
    with pytest.raises(Exception, match="no signed file"):
        office.door.download("HT1")
    office.service.sign("HT1", "lender")
    reply, file = office.door.query("HT1"), office.door.download("HT1")
    assert reply.outcome == "signed" and reply.evidence_no == file.evidence_no != ""
    assert file.content.startswith(PDF) and file == office.door.download("HT1")


def test_the_same_reference_is_the_same_envelope_and_never_another(office):
    assert office.create().envelope_no == office.create().envelope_no
    assert len(office.service.flows()) == 1
    assert office.create(content=PDF + b"%changed\n").outcome == "refused"


def test_rejected_revoked_and_expired_are_final(office):
    office.create()
    office.service.reject("HT1", "borrower", "利率有异议")
    assert (office.door.query("HT1").outcome, "利率有异议" in office.door.query("HT1").text) == ("rejected", True)
    office.create("HT2")
    assert office.door.revoke("HT2", "客户放弃用款").outcome == "revoked"
    office.create("HT3")
    office.clock.at += timedelta(days=31)
    office.service.expire()
    assert office.door.query("HT3").outcome == "expired"


def test_a_signed_envelope_is_not_taken_back(office):
    office.create()
    office.service.sign("HT1", "borrower")
    office.service.sign("HT1", "lender")
    assert office.door.revoke("HT1", "too late").outcome == "signed"


def test_what_the_service_never_saw_it_says_so(office):
    assert office.door.query("HT9").outcome == "never_seen"
    assert office.create(mobile="13812340002").outcome == "refused"


@pytest.mark.parametrize("fault", ["silent", "503", "html", "forged", "other", "odd"])
def test_an_accident_is_unknown_and_the_envelope_is_asked_for_afterwards(office, fault):
    office.server.faults = [fault]
    reply = office.create()
    assert (reply.outcome, reply.reference, reply.signed_by) == ("unknown", "HT1", ()), reply
    assert office.door.query("HT1").outcome == ("never_seen" if fault == "503" else "signing")


def test_a_notice_is_read_only_when_it_is_the_services_own(office):
    office.create()
    office.service.sign("HT1", "borrower")
    (headers, body), = office.service.notices()
    said = office.read(headers, body)
    assert said.values == {"reference": "HT1", "state": "partly_signed"} and said.event_no
    stolen = Signatures(office.file, now=lambda: office.clock.now().timestamp(), key="another-key")
    for wrong_headers, wrong_body in ((headers, body.replace(b"PARTLY", b"SIGNED")), ({}, body), (stolen.notices()[0][0], body),
                                      ({**headers, "X-Timestamp": "1"}, body)):
        with pytest.raises(Exception, match="not from the service"):
            office.read(wrong_headers, wrong_body)
    office.clock.at += timedelta(seconds=301)
    with pytest.raises(Exception, match="too old"):
        office.read(headers, body)


def test_in_the_demonstration_everybody_signs_at_once(tmp_path):
    clock = FixedClock(datetime(2025, 1, 15, tzinfo=UTC))
    door = registry.load().provider("e_signature", "esign_sandbox", Environment(tenant="demo-signs", folder=tmp_path, clock=clock))
    signers = (Signer(key="borrower", name="张三", mobile="13812345678"),)
    assert door.create(Envelope(reference="HT1", title="借款合同", documents=(Document(name="a.pdf", content=PDF),), signers=signers)).outcome == "signed"
    assert door.download("HT1").content.startswith(b"%PDF-")
