# ruff: noqa: E501 — a webhook stands on one line
"""Webhooks out and in: signed, limited to rights, to public addresses only, once each."""

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.command import change_record, create_record, redeliver_webhook, run_action
from metaloom.command.receive_call import HOOK, receive_call
from metaloom.compile import Source
from metaloom.job.outbox import ATTEMPTS_MAX
from metaloom.message import post
from metaloom.plugin.signed_notice import SignedCall
from tests.command.club import NOW, Club

KEY, IN_KEY = "out-secret-1", "in-secret-2"
HOOKS = """webhooks:
  books:
    label: {zh: 账务, en: Books}
    out: {url: "http://127.0.0.1:%d/books?x=1", secret_ref: books.key, entity: member, on: [created, changed, archived, "transition:admit", "action:admit"], when: "fee >= 100", role: clerk, fields: [name, fee, rating, id_no, plan.name]}
  off:
    label: {zh: 停用, en: Off}
    enabled: false
    out: {url: "http://127.0.0.1:%d/off", secret_ref: books.key, entity: member, on: [created], role: clerk, fields: [name]}
  nosy:
    label: {zh: 好奇, en: Nosy}
    out: {url: "http://127.0.0.1:%d/nosy", secret_ref: books.key, entity: member, on: [created], role: teller, fields: [name, rating]}
  till:
    label: {zh: 收银, en: Till}
    in: {secret_ref: till.key, action: member/charge_till, role: chief, body: {no: {type: text, length: 40, required: true, label: {zh: 号, en: No}}, amount: {type: money, min: 0.01, required: true, label: {zh: 金额, en: Amount}}}, find: {member_no: no}, input: {amount: amount}, per_minute: 20}
roles:
  teller: {label: {zh: 出纳, en: Teller}}
"""
ACTIONS = """overlay:
  - {set: access/clerk/fields/rating, was: read, value: hidden}
  - {add: access/teller, value: {scope: all, actions: [list, read], fields: {"*": hidden, name: read}}}
  - add: actions/charge_till
    value:
      label: {zh: 收银, en: Till}
      when: "status == 'active'"
      message: {zh: 未入会, en: No member}
      input: {amount: {type: money, required: true, label: {zh: 金额, en: Amount}}}
      steps: [{set: {balance: "balance + input.amount"}}]
  - {add: access/chief/actions/charge_till}
"""
TENANT = """tenant:
  label: {zh: 俱乐部, en: Club}
  packs: [club]
  settings: {webhook_hosts: ["127.0.0.1:%d"]}
"""


class Other(BaseHTTPRequestHandler):
    """The other system; what it got, and how it answers."""

    got: list = []
    answer, location = 200, ""

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, dict(self.headers), body))
        self.send_response(self.answer)
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()

    def log_message(self, *_):
        pass


class House(Club):
    def __init__(self, home, url, name):
        self.server = HTTPServer(("127.0.0.1", 0), Other)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        port = self.port = self.server.server_port
        more = (Source("pack", "club/hooks.yaml", (HOOKS % (port, port, port)).partition("roles:")[0]), Source("client", "tenant.yaml", TENANT % port),
                Source("client", "club/desk/member/hooks.yaml", ACTIONS), Source("client", "club/roles.yaml", "roles:" + HOOKS.partition("roles:")[2]))
        super().__init__(home, url, name, more)
        self.tenant.secrets.set("books.key", KEY)
        self.tenant.secrets.set("till.key", IN_KEY)

    def work(self):
        from metaloom.job import run_due
        from metaloom.worker import handlers

        return run_due(self.tenant, handlers(self.registry, self.clock))

    def hurry(self, **values):
        with self.tenant.write() as conn:
            table = self.tenant.revision().tables.engine.outbox
            conn.execute(table.update().where(table.c.state == "pending").values(run_after=NOW.replace(year=2020), **values))

    def deliveries(self, webhook="club.books"):
        return self.engine_rows("webhook_delivery", lambda row: row["webhook"] == webhook)

    def ask(self, body, event_id="ev-1", name="till", at=None, key=IN_KEY, sign=None, address="10.0.0.9"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = int((at or NOW).timestamp())
        signed = sign if sign is not None else post.signature(key, event_id, stamp, raw)
        headers = {post.EVENT.lower(): event_id, post.TIMESTAMP.lower(): str(stamp), post.SIGNATURE.lower(): signed}
        answer = receive_call(self.tenant, HOOK, name, SignedCall(headers=headers, body=raw), plugins=self.registry, clock=self.clock, address=address)
        return answer.status, json.loads(answer.body)["status"]

    def close(self):
        self.server.shutdown()
        super().close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def whole_house(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = House(tmp_path_factory.mktemp("home"), url, "w_hooks")
    yield made
    made.close()


@pytest.fixture
def house(whole_house):
    whole_house.hurry()
    Other.answer, Other.location = 200, ""
    whole_house.work()
    Other.got.clear()
    yield whole_house


def counter(house):
    house.n = getattr(house, "n", 0) + 1
    return f"ev-{house.n}-{house.tenant.name}"


# -- out -------------------------------------------------------------------------------------------------------------------


def test_an_event_is_told_once_signed_and_limited_to_the_fields_and_rights_of_the_role(house):
    member = house.new(id_no="11010519491231002X", rating=None)
    assert len(house.deliveries()) >= 1
    house.work()
    got = [g for g in Other.got if g[0] == "/books?x=1"]
    assert len(got) == 1
    _, headers, body = got[0]
    told = json.loads(body)
    assert post.is_signed(KEY, headers[post.EVENT], int(headers[post.TIMESTAMP]), body, headers[post.SIGNATURE])
    assert not post.is_signed("other", headers[post.EVENT], int(headers[post.TIMESTAMP]), body, headers[post.SIGNATURE])
    assert (told["event"], told["entity"], told["id"]) == ("created", "club.member", headers[post.EVENT])
    assert told["record"] == {"id": member.id, "name": house.row("club.member", member.id)["name"], "fee": "100.00", "id_no": "11010519491231002X", "plan.name": "甲"}
    assert "rating" not in told["record"], "the role may not read it"
    assert house.deliveries()[-1]["status"] == "delivered" and "11010519491231002X" not in str(house.deliveries())


def test_the_condition_and_the_role_decide_whether_anything_is_told(house):
    before = len(house.deliveries()), len(house.deliveries("club.nosy")), len(house.deliveries("club.off"))
    house.new(fee=Decimal("99.00"))
    house.work()
    assert (len(house.deliveries()), len(house.deliveries("club.off"))) == (before[0], before[2])
    assert len(house.deliveries("club.nosy")) == before[1] + 1
    assert set(json.loads(Other.got[-1][2])["record"]) == {"id", "name"}


def test_a_transition_and_an_action_are_events_each_once(house):
    member = house.new()
    before = len(house.deliveries())
    run_action(house.ctx("chief"), "club.member", member.id, "admit", {}, member.row_version)
    assert sorted(row["event"] for row in house.deliveries()[before:]) == ["action:admit", "changed", "transition:admit"]


def test_a_change_that_is_undone_tells_nothing(house):
    member, before = house.new(), len(house.deliveries())
    with pytest.raises(Invalid):
        change_record(house.ctx("clerk"), "club.member", member.id, {"fee": "-1"}, member.row_version)
    assert len(house.deliveries()) == before


def test_a_system_that_is_away_is_tried_again_then_dead_and_redelivered_under_the_same_id(house):
    Other.answer = 500
    house.new()
    house.work()
    row = house.deliveries()[-1]
    assert (row["status"], row["tries"], row["answer_status"], row["error"]) == ("queued", 1, 500, "refused")
    house.hurry(attempts=ATTEMPTS_MAX - 1)
    house.work()
    assert house.deliveries()[-1]["status"] == "dead"
    with pytest.raises(NotAllowed):
        redeliver_webhook(house.ctx("clerk"), row["id"], "x")
    with pytest.raises(Invalid):
        redeliver_webhook(house.ctx("admin"), row["id"], "")
    Other.answer = 200
    redeliver_webhook(house.ctx("admin"), row["id"], "对方已恢复")
    with pytest.raises(NotPossible):
        redeliver_webhook(house.ctx("admin"), house.deliveries()[-1]["id"], "x")
    house.work()
    again = house.deliveries()[-1]
    assert (again["status"], again["resend_of"], again["event_id"]) == ("delivered", row["id"], row["event_id"])


def test_a_redirect_is_not_followed(house):
    Other.answer, Other.location = 302, f"http://127.0.0.1:{house.port}/elsewhere"
    house.new()
    house.work()
    assert {path for path, _, _ in Other.got} == {"/books?x=1", "/nosy"}
    assert house.deliveries()[-1]["error"] == "redirects are not followed"


INSIDE = ["127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
          "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "x", ""]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_known(address):
    assert not post.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_outside_are_known(address):
    assert post.is_public(address)


@pytest.mark.parametrize("url", [
    "https://127.0.0.1/", "https://[::1]/", "https://0x7f000001/", "https://2130706433/", "https://localhost/", "https://169.254.169.254/latest",
    "https://[::ffff:127.0.0.1]/", "https://127.0.0.1.:443/", "http://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "https://user@127.0.0.1/",
    "https://127.0.0.1:0/", "https:///x", "https://127.0.0.1:99999/"])
def test_nothing_inside_is_reached_and_the_error_says_nothing_of_it(url, monkeypatch):
    import socket

    def never(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(post.NotDelivered) as refused:
        post.deliver(url, b"{}", secret="s", event_id="e", timestamp=1)
    assert refused.value.why in {"the address is not public", "only https", "no address", "the name is unknown"}


def test_a_name_that_flips_is_looked_at_on_the_connection(monkeypatch, whole_house):
    """The first look finds a public address, the connection ends inside: refused before a byte of the request is sent."""
    import socket

    real, port, before = socket.create_connection, whole_house.port, len(Other.got)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(2, 1, 6, "", ("93.184.216.34", 443))])
    monkeypatch.setattr(socket, "create_connection", lambda where, timeout: _to(real, port))
    with pytest.raises(post.NotDelivered, match="not public"):
        post.deliver("https://flips.example/", b"{}", secret="s", event_id="e", timestamp=1)
    assert len(Other.got) == before


def _to(real, port):
    import socket

    sock = socket.socket()
    sock.connect(("127.0.0.1", port))
    return sock


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.1", 443))])
    with pytest.raises(post.NotDelivered, match="not public"):
        post.deliver("https://two.example/", b"{}", secret="s", event_id="e", timestamp=1)


# -- in --------------------------------------------------------------------------------------------------------------------


def test_a_signed_call_runs_the_action_once_however_often_it_comes(house):
    member, event = house.active(), counter(house)
    no = house.row("club.member", member)["member_no"]
    assert house.ask({"no": no, "amount": "12.50"}, event) == (200, "done")
    assert house.ask({"no": no, "amount": "12.50"}, event) == (200, "done")
    assert house.ask({"no": no, "amount": "99.00"}, event) == (200, "done"), "another body under a known event does nothing"
    assert house.row("club.member", member)["balance"] == Decimal("12.50")
    call = house.engine_rows("webhook_call", lambda row: row["event_id"] == event)
    assert [(row["status"], row["repeats"], row["record_id"]) for row in call] == [("done", 2, member)]
    entry = [row for row in house.engine_rows("audit") if row["record_id"] == member][-1]
    assert (entry["command"], entry["channel"], entry["actor_name"]) == ("action:charge_till", "api", "hook:till")


def test_a_known_number_with_another_body_does_nothing_and_the_administrators_are_told_once(house):
    member, event = house.active(), counter(house)
    no = house.row("club.member", member)["member_no"]
    assert house.ask({"no": no, "amount": "3.00"}, event, address="10.3.0.1") == (200, "done")
    assert house.ask({"no": no, "amount": "3.00"}, event, address="10.3.0.1") == (200, "done")
    assert not [row for row in house.engine_rows("message") if event in (row["subject"] or "")], "a true repetition is no news"
    for amount in ("4.00", "5.00"):
        assert house.ask({"no": no, "amount": amount}, event, address="10.3.0.1") == (200, "done")
    assert house.row("club.member", member)["balance"] == Decimal("3.00")
    (call,) = house.engine_rows("webhook_call", lambda row: row["event_id"] == event)
    assert (call["status"], call["repeats"]) == ("done", 3) and "不同内容" in call["error"]
    assert len([row for row in house.engine_rows("message") if event in (row["subject"] or "")]) == 1


def test_unsigned_calls_leave_one_line_per_sender_and_day_and_unknown_names_none(house):
    for _ in range(3):
        assert house.ask({"no": "x"}, counter(house), key="wrong", address="10.3.0.2") == (401, "unsigned")
        assert house.ask({"no": "x"}, counter(house), name="nothing", address="10.3.0.2") == (401, "unsigned")
    calls = house.engine_rows("webhook_call", lambda row: row["address"] == "10.3.0.2")
    assert [(row["webhook"], row["status"], row["repeats"]) for row in calls] == [("club.till", "refused", 2)]


def test_eight_of_the_same_at_once_are_one(house):
    member, event = house.active(), counter(house)
    no, answers = house.row("club.member", member)["member_no"], []
    threads = [threading.Thread(target=lambda: answers.append(house.ask({"no": no, "amount": "5.00"}, event, address="10.0.0.8"))) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert house.row("club.member", member)["balance"] == Decimal("5.00")
    assert set(answers) <= {(200, "done"), (503, "busy")} and (200, "done") in answers


def test_whoever_cannot_sign_gets_one_answer_and_changes_nothing(house):
    member = house.active()
    body = {"no": house.row("club.member", member)["member_no"], "amount": "1.00"}
    later, earlier = NOW.replace(minute=NOW.minute + 6), NOW.replace(hour=NOW.hour - 1)
    calls = [house.ask(body, counter(house), key="wrong"), house.ask(body, counter(house), sign=""), house.ask(body, counter(house), sign="v1="),
             house.ask(body, counter(house), at=later), house.ask(body, counter(house), at=earlier), house.ask(body, "", key=IN_KEY),
             house.ask(body, "a b"), house.ask(body, counter(house), name="nothing"), house.ask(body, counter(house), name="books")]
    assert set(calls) == {(401, "unsigned")}
    assert house.row("club.member", member)["balance"] == Decimal("0.00")
    house.tenant.secrets.set("till.key", "")
    assert house.ask(body, counter(house), key="") == (401, "unsigned"), "an empty secret signs nothing"
    house.tenant.secrets.set("till.key", IN_KEY)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"no":"x","no":"y","amount":1}', b'{"no":"x","amount":NaN}', b'{"no":"x"}', b'{"no":"x","amount":"-1"}',
                                  b'{"no":"x","amount":"1","more":1}', b'{"no":["x"],"amount":"1"}', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_not_as_declared_is_refused(house, body):
    assert house.ask(body, counter(house), address=counter(house)) == (400, "invalid")


def test_what_is_impossible_is_refused_written_down_and_may_be_tried_again(house):
    member, event = house.new(), counter(house)
    no = house.row("club.member", member.id)["member_no"]
    assert house.ask({"no": no, "amount": "1.00"}, event, address="10.1.1.1") == (409, "not_possible")
    assert house.ask({"no": "nobody", "amount": "1.00"}, counter(house), address="10.1.1.1") == (409, "not_possible")
    call = house.engine_rows("webhook_call", lambda row: row["event_id"] == event)
    assert [(row["status"], row["error"]) for row in call] == [("refused", "未入会")]
    run_action(house.ctx("chief"), "club.member", member.id, "admit", {}, house.version(member.id))
    assert house.ask({"no": no, "amount": "1.00"}, event, address="10.1.1.1") == (200, "done")


def test_too_many_calls_of_one_sender_wait_and_others_do_not(house):
    answers = [house.ask({"no": "x", "amount": "1.00"}, counter(house), address="10.2.2.2", key="wrong") for _ in range(25)]
    assert answers[:20] == [(401, "unsigned")] * 20 and answers[20:] == [(429, "too_many")] * 5
    assert house.ask({"no": "x", "amount": "1.00"}, counter(house), address="10.2.2.3", key="wrong") == (401, "unsigned")


def test_a_new_record_by_command_is_an_event_too(house):
    before = len(house.deliveries())
    create_record(house.ctx("chief"), "club.member", house.values())
    assert len(house.deliveries()) == before + 1
