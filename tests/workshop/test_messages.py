"""The workshop tells its clients, its technicians, and, once a client switches it on, its books."""

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.compile import Source, read_sources
from metaloom.job import run_due
from metaloom.message import post
from metaloom.schema_change import publish
from metaloom.worker import handlers
from tests.workshop.shop import ROOT, Shop

TENANT = """tenant:
  label: {zh: 修理厂, en: Garage}
  packs: [workshop]
  settings:
    messages: {channels: {sms: sms_sandbox}}
    webhook_hosts: ["127.0.0.1:%d"]
"""
ON = """overlay:
  - {set: workshop/webhooks/books/enabled, was: false, value: true}
  - {set: workshop/webhooks/books/out/url, was: "https://books.example/repairs", value: "http://127.0.0.1:%d/repairs"}
"""


class Books(BaseHTTPRequestHandler):
    got: list = []

    def do_POST(self):  # noqa: N802 - named by the library
        self.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    server = HTTPServer(("127.0.0.1", 0), Books)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Shop(tmp_path_factory.mktemp("home"))
    sources = read_sources({"engine": ROOT / "metadata", "pack": ROOT / "metadata"}, ("workshop",))
    more = (Source("client", "tenant.yaml", TENANT % server.server_port), Source("client", "workshop/books.yaml", ON % server.server_port))
    publish(made.tenant, (*sources, *more))
    made.tenant.secrets.set("workshop.books", "k" * 32)
    yield made
    made.close()
    server.shutdown()


def do(shop, who, record, action, **given):
    ctx = shop.as_(who)
    table = shop.tenant.revision().tables.of("workshop.repair_order")
    with shop.tenant.read() as conn:
        version = conn.scalar(sa.select(table.c.row_version).where(table.c.id == record))
    return command.run_action(ctx, "workshop.repair_order", record, action, given, version)


def order(shop, serial, promised_on=None):
    ctx = shop.as_("reception")
    client = command.create_record(ctx, "workshop.client", {"name": "王五", "phone": "13812345678"}).id
    device = command.create_record(ctx, "workshop.device", {"client": client, "name": "笔记本", "kind": "laptop", "serial_no": serial}).id
    return command.create_record(ctx, "workshop.repair_order", {
        "device": device, "fault": "不开机", "technician": shop.people["tech"], "lines": [{"work": "检测", "hours": "0.50"}],
        **({"received_on": date(2026, 11, 1), "promised_on": promised_on} if promised_on else {})}).id


def rows(shop, name, **where):
    table = getattr(shop.tenant.revision().tables.engine, name)
    with shop.tenant.read() as conn:
        found = [dict(row) for row in conn.execute(sa.select(table).order_by(table.c.id)).mappings()]
    return [row for row in found if all(row[key] == value for key, value in where.items())]


def test_who_is_done_is_told_and_a_delivery_is_signed_for_the_books(shop):
    made = order(shop, "SN-1")
    do(shop, "tech", made, "begin")
    do(shop, "tech", made, "finish")
    told, = rows(shop, "message", kind="workshop.repaired")
    assert (told["status"], told["address"]) == ("queued", "138****5678") and "王五您好" in told["body"] and "笔记本" in told["body"]
    do(shop, "reception", made, "deliver")
    run_due(shop.tenant, handlers(shop.registry, SystemClock()))
    headers, body = Books.got[-1]
    stamp = int(headers[post.TIMESTAMP])
    assert post.is_signed("k" * 32, headers[post.EVENT], stamp, body, headers[post.SIGNATURE])
    assert not post.is_signed("x" * 32, headers[post.EVENT], stamp, body, headers[post.SIGNATURE])
    said = json.dumps(json.loads(body), ensure_ascii=False)
    assert "王五" in said and "13812345678" not in said
    assert rows(shop, "webhook_delivery", status="delivered")


def test_a_job_tells_the_technician_of_each_late_order(shop):
    late, _ = order(shop, "SN-2", date(2026, 11, 10)), order(shop, "SN-3", date(2026, 12, 20))
    command.schedule_jobs(shop.tenant, plugins=shop.registry, clock=SystemClock())
    job = rows(shop, "scheduled_job", job="workshop.late_orders")[0]["id"]
    system = command.system_context(shop.tenant, plugins=shop.registry, clock=SystemClock())
    command.start_job(system, job, company=shop.company, dry_run=True)
    run_due(shop.tenant, handlers(shop.registry, SystemClock()))
    assert not rows(shop, "message", kind="workshop.late"), "a dry run tells nobody"
    command.start_job(system, job, company=shop.company)
    run_due(shop.tenant, handlers(shop.registry, SystemClock()))
    told = rows(shop, "message", kind="workshop.late", channel="in_app")
    assert [(row["receiver_id"], row["record_id"]) for row in told] == [(shop.people["tech"], late)]
    assert "王五" in told[0]["subject"] and "2026-11-10" in told[0]["subject"]
