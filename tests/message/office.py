# ruff: noqa: E501 — a template stands on one line
"""The club with a post office: templates, actions that tell, a mail server, two sandboxes, and a clock that can be set."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from aiosmtpd.controller import Controller

from metaloom.base.clock import FixedClock
from metaloom.command import collect_messages, run_action
from metaloom.compile import Source
from metaloom.job import run_due
from metaloom.plugin.registry import Place
from metaloom.worker import handlers
from tests.command.club import NOW, ROOT, Club

TELLING = """messages:
  welcome:
    label: {zh: 入会通知, en: Welcome}
    entity: member
    outside: [name, plan.name, fee, id_no]
    channels:
      in_app: {subject: {zh: "{name}入会：{rating}", en: "{name} joined: {rating}"}, body: {zh: "身份证{id_no}，{plan.name}，{fee}", en: "{id_no} {plan.name} {fee}"}}
      email: {subject: {zh: "欢迎{name}", en: "Welcome {name}"}, body: {zh: "{name}，会费{fee}，{id_no}", en: "{name}, fee {fee}, {id_no}"}}
      sms: {template_code: "SMS_1", body: {zh: "{name}：{fee}", en: "{name}: {fee}"}, fields: {name: {zh: "{name}", en: "{name}"}}}
      wechat: {template_code: "WX_1", body: {zh: "{name}", en: "{name}"}, fields: {fee: {zh: "{fee}", en: "{fee}"}}}
  alarm:
    label: {zh: 安全提醒, en: Alarm}
    entity: member
    important: true
    outside: [name]
    channels:
      in_app: {subject: {zh: "安全：{name}", en: "Safety: {name}"}, body: {zh: 注意, en: Mind}}
      sms: {template_code: "SMS_2", body: {zh: "安全：{name}", en: "Safety: {name}"}}
"""
ACTIONS = """overlay:
  - add: actions/tell_chiefs
    value:
      label: {zh: 通知主管, en: Tell the chiefs}
      steps:
        - {notify: [{role: chief}, {role: clerk}, {field: created_by}], template: welcome}
  - add: actions/text_to
    value:
      label: {zh: 发短信, en: Text}
      input: {address: {type: text, length: 100, label: {zh: 地址, en: Address}}, how: {type: text, length: 20, label: {zh: 渠道, en: Channel}}}
      steps:
        - {send: welcome, to: "input.address", channel: sms, when: "input.how == 'sms'"}
        - {send: welcome, to: "input.address", channel: wechat, when: "input.how == 'wechat'"}
        - {send: welcome, to: "input.address", channel: email, when: "input.how == 'email'"}
        - {send: alarm, to: "input.address", channel: sms, when: "input.how == 'alarm'"}
  - {set: access/clerk/fields/rating, was: read, value: hidden}
  - {add: access/chief/actions/tell_chiefs}
  - {add: access/chief/actions/text_to}
  - {add: access/guest, value: {scope: all, actions: [list, read], fields: {"*": hidden, name: read}}}
"""
TENANT = """tenant:
  label: {zh: 俱乐部, en: Club}
  packs: [club]
  settings:
    messages:
      email: {host: 127.0.0.1, port: %d, security: none, from: club@example.com, from_name: 俱乐部}
      channels: {sms: sms_sandbox, wechat: wechat_sandbox}
      base_url: "https://club.example/c"
      quiet_hours: {from: "22:00", to: "08:00"}
"""
SANDBOXES = tuple(Place(ROOT / "plugins" / name, f"metaloom_plugins.{name}") for name in ("sms_sandbox", "wechat_sandbox"))


class Mailbox:
    """What the mail server took; ``fault`` makes it misbehave: refuse | later | late (hangs up after the text)."""

    def __init__(self) -> None:
        self.mails: list = []
        self.fault = ""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - named by aiosmtpd
        if self.fault == "refuse":
            return "550 no such person"
        if self.fault == "later":
            return "451 come back"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - named by aiosmtpd
        self.mails.append(envelope)
        if self.fault == "late":
            server.transport.abort()
        return "250 taken as 1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Office(Club):
    def __init__(self, home: Path, url: str, name: str) -> None:
        self.mailbox = Mailbox()
        port = free_port()
        self.server = Controller(self.mailbox, hostname="127.0.0.1", port=port)
        self.server.start()
        more = (Source("pack", "club/telling.yaml", TELLING), Source("client", "tenant.yaml", TENANT % port),
                Source("client", "club/desk/member/telling.yaml", ACTIONS))
        super().__init__(home, url, name, more, SANDBOXES)

    def act(self, name: str, member: int, person: str = "chief", **given):
        return run_action(self.ctx(person), "club.member", member, name, given, self.version(member))

    def messages(self, **where) -> list[dict]:
        return self.engine_rows("message", lambda row: all(row[key] == value for key, value in where.items()))

    def work(self) -> int:
        """A worker's round: everything that is due now is tried once."""
        return run_due(self.tenant, handlers(self.registry, self.clock))

    def hurry(self) -> None:
        """No row of the outbox waits any longer."""
        with self.tenant.write() as conn:
            table = self.tenant.revision().tables.engine.outbox
            conn.execute(table.update().where(table.c.state == "pending").values(run_after=NOW.replace(year=2020)))

    def sandbox(self, name: str):
        """The log of a sandbox, as it stands in its own folder."""
        from metaloom.command.providers import environment_for

        return self.registry.provider("message_channel", name, environment_for(self.system))._channel

    def collect(self) -> int:
        return collect_messages(self.tenant, plugins=self.registry, clock=self.clock)

    def at(self, moment) -> None:
        self.clock = FixedClock(moment)
        self.system = type(self.system)(**{**self.system.__dict__, "clock": self.clock})

    def close(self) -> None:
        self.server.stop()
        super().close()


def fields(row: dict) -> dict:
    return json.loads(row["fields"])
