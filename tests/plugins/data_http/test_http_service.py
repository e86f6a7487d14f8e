"""Questions over HTTP against a service that shares no code with the plugin and fails on demand (reliability 105)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from metaloom.base.clock import FixedClock
from metaloom.plugin import Environment, registry
from metaloom.plugin.data_provider import DataRequest
from tests.plugins.data_http.service import APP, KEY, running

PERSON = {"name": "张三", "id_no": "110101199003071233", "mobile": "13812345678", "card_no": "6222020200112233446", "photo": "aGVsbG8="}


@pytest.fixture(scope="module")
def place():
    with running() as made:
        yield made


@pytest.fixture
def service(place):
    made, _ = place
    made.faults, made.nobody, made.rsa, made.now = [], set(), False, datetime(2025, 1, 15, 2, tzinfo=UTC).timestamp()
    made.asked.clear()
    made.charged.clear()
    made._answers.clear()
    return made


class Client:
    """The provider as the engine hands it out, behind the engine's checks."""

    def __init__(self, service, address, private_key="", **settings):
        self.clock = FixedClock(datetime(2025, 1, 15, 2, tzinfo=UTC))
        self.service = service
        secrets = {"data_http.hmac_key": KEY, "data_http.private_key": private_key or service.client_pem}
        environment = Environment(tenant=f"t{id(self)}", clock=self.clock, secret=secrets.__getitem__,
                                  settings={"data_http": {"base_url": address, "app_id": APP, "timeout_seconds": 0.4, **settings}})
        self.provider = registry.load().provider("data_provider", "http", environment)

    def ask(self, kind="bureau", reference="CX1", **subject):
        return self.provider.fetch(DataRequest(reference=reference, method=kind, subject={**PERSON, **subject}))


@pytest.fixture
def client(service, place):
    return Client(service, place[1])


@pytest.mark.parametrize("kind", ["bureau", "blacklist", "social_security", "carrier", "kyc3", "kyc4", "face"])
def test_every_kind_is_answered_with_its_facts(client, kind):
    reply = client.ask(kind)
    assert (reply.outcome, reply.reference, reply.provider_no) == ("found", "CX1", "O1"), reply
    assert reply.values and "secret_extra" not in reply.values and '"request_no": "CX1"' in reply.raw
    assert client.service.asked[0]["subject"]["id_no"] == PERSON["id_no"]


def test_facts_have_their_types(client):
    values = client.ask().values
    assert (values["balance"], values["report_date"], values["score"]) == (Decimal("41200.50"), date(2025, 1, 14), 642)


def test_nobody_found_is_a_definite_answer(client):
    client.service.nobody.add(PERSON["id_no"])
    assert client.ask().outcome == "not_found"


def test_with_rsa_both_sides_are_sure_of_each_other(service, place):
    service.rsa = True
    assert Client(service, place[1], algorithm="rsa", service_key=service.public_pem).ask().outcome == "found"
    service.faults = ["tampered"]
    assert Client(service, place[1], algorithm="rsa", service_key=service.public_pem).ask(reference="CX2").outcome == "unavailable"


@pytest.mark.parametrize(("ours", "theirs", "why"), [("no key", "", "private key"), ("", "no key", "service_key"), ("", "ours", "service_key")])
def test_a_key_that_is_none_asks_nothing_and_is_named_without_its_text(service, place, ours, theirs, why):
    service.rsa = True
    theirs = {"ours": service.client_pem, "": service.public_pem}.get(theirs, theirs)
    made = Client(service, place[1], private_key=ours, algorithm="rsa", service_key=theirs)
    before, reply = len(service.asked), made.ask()
    assert (reply.outcome, reply.values, len(service.asked)) == ("unavailable", {}, before)
    assert why in reply.text and "no key" not in reply.text and "BEGIN" not in reply.text, reply.text


@pytest.mark.parametrize("fault", ["html", "list", "twice", "nan", "float", "negative", "tampered", "unsigned", "old_answer", "other_person",
                                   "other_request", "no_data", "huge", "401", "302", "400"])
def test_what_is_no_answer_is_never_believed_and_not_asked_again(client, fault):
    client.service.faults = [fault]
    reply = client.ask()
    assert (reply.outcome, reply.values, reply.reference) == ("unavailable", {}, "CX1"), reply
    assert len(client.service.asked) == 1


def test_a_comparison_without_a_result_is_no_match(client):
    client.service.faults = ["no_result"]
    assert client.ask("kyc3").outcome == "unavailable"


@pytest.mark.parametrize("fault", ["500", "503", "cut", "lost"])
def test_a_broken_line_is_asked_again_with_the_same_number_and_paid_once(client, fault):
    client.service.faults = [fault]
    assert client.ask().outcome == "found"
    assert [question["request_no"] for question in client.service.asked] == ["CX1", "CX1"]
    assert client.service.charged == ["CX1"]


def test_a_kind_that_is_not_repeatable_is_asked_once(client):
    client.service.faults = ["500"]
    assert client.ask("face").outcome == "unavailable"
    assert len(client.service.asked) == 1


@pytest.mark.parametrize("fault", ["silent", "drip"])
def test_nobody_waits_longer_than_agreed(client, fault):
    client.service.faults = [fault]
    begun = datetime.now(UTC)
    reply = client.ask()
    assert (reply.outcome, reply.code) == ("unavailable", "TimeoutError")
    assert datetime.now(UTC) - begun < timedelta(seconds=1.5)


def test_a_service_that_fails_again_and_again_is_left_alone_and_tried_later(service, place):
    client = Client(service, place[1], failures=3, rest_seconds=60, retries=0)
    service.faults = ["500"] * 4
    assert [client.ask().outcome for _ in range(3)] == ["unavailable"] * 3
    assert "left alone" in client.ask().text and len(service.asked) == 3
    client.clock.at += timedelta(seconds=61)
    service.now += 61
    assert client.ask().outcome == "unavailable" and len(service.asked) == 4, "one question tries the way"
    assert "left alone" in client.ask().text and len(service.asked) == 4
    client.clock.at += timedelta(seconds=61)
    service.now += 61
    assert client.ask().outcome == "found"
    assert client.ask("kyc3", "CX9").outcome == "found"


def test_a_used_up_quota_is_told_and_does_not_shut_the_service_out(service, place):
    client = Client(service, place[1], failures=1)
    service.faults = ["quota"]
    reply = client.ask()
    assert reply.outcome == "unavailable" and "quota" in reply.text
    assert client.ask(reference="CX2").outcome == "found"


def test_what_is_missing_is_not_asked(client):
    assert client.ask("kyc4", card_no="").outcome == "unavailable"
    assert client.service.asked == []


@pytest.mark.parametrize("address", ["http://data.example.cn", "https://user@data.example.cn", "ftp://data.example.cn", "https://data.example.cn/?a=1"])
def test_an_address_without_protection_is_refused(service, address):
    with pytest.raises(Exception, match="base_url"):
        Client(service, address).ask()
