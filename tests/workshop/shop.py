"""The people of a workshop, and short words for what they do; everything goes through commands or REST."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metaloom import command
from metaloom.access import plan_for
from metaloom.base.clock import SystemClock
from metaloom.compile import read_sources
from metaloom.expression import Env
from metaloom.plugin.registry import installed
from metaloom.record import Reader
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct-horse-7-battery"
PEOPLE = {"reception": "workshop.reception", "tech": "workshop.technician", "tech2": "workshop.technician", "store": "workshop.storekeeper",
          "boss": "workshop.manager", "second": "workshop.manager"}
NUMBERS = itertools.count(1)


class Shop:
    """One company, one department, six people."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        from metaloom.app.login_tables import make_login_tables

        self.settings = Settings(home=home, database_url=url, master_key=b"k" * 32, secret_key="0123456789abcdef" * 4)
        self.registry = installed()
        self.tenancy = Tenancy(self.settings, manifest=self.registry.manifest())
        self.tenant = self.tenancy.create("garage", "garage", after_create=(make_login_tables,))
        publish(self.tenant, read_sources({"engine": ROOT / "metadata", "pack": ROOT / "metadata"}, ("workshop",)))
        ctx = command.system_context(self.tenant, plugins=self.registry, clock=SystemClock())
        self.company = command.create_record(ctx, "platform.company", {"code": "W", "name": "Workshop", "business_date": date(2026, 11, 20)}).id
        unit = command.create_record(ctx, "platform.org_unit", {"code": "W1", "name": "Bench", "company": self.company}).id
        self.people = {}
        for name, role in PEOPLE.items():
            user = command.save_user(ctx, None, {"username": name, "display_name": name.title(), "email": f"{name}@example.cn", "company": self.company,
                                                 "org_unit": unit}, password=PASSWORD).id
            command.assign_role(ctx, user, role)
            command.assign_role(ctx, user, "platform.staff")
            self.people[name] = user

    @cached_property
    def app(self) -> Any:
        from metaloom.app import create_app

        return create_app(self.settings, tenancy=self.tenancy, registry=self.registry)

    def as_(self, name: str) -> command.Context:
        with self.tenant.read() as conn:
            plan = plan_for(conn, self.tenant.revision(), self.people[name])
        return command.Context(tenant=self.tenant, revision=self.tenant.revision(), actor=plan.actor, plan=plan, plugins=self.registry, request_id="shop")

    def make(self, who: str, entity: str, **values: Any) -> int:
        return command.create_record(self.as_(who), f"workshop.{entity}", values).id

    def do(self, who: str, entity: str, id: int, name: str, reason: str = "", **given: Any) -> command.ActionDone:
        return command.run_action(self.as_(who), f"workshop.{entity}", id, name, given, self.version(entity, id), reason)

    def see(self, who: str, entity: str, id: int) -> Any:
        ctx = self.as_(who)
        with self.tenant.read() as conn:
            env = Env(user_id=ctx.actor.user_id, user={"id": ctx.actor.user_id})
            return Reader(conn, self.tenant, self.tenant.revision(), ctx.plan, env).get(f"workshop.{entity}", id)

    def value(self, entity: str, id: int, column: str) -> Any:
        table = self.tenant.revision().tables.of(f"workshop.{entity}")
        with self.tenant.read() as conn:
            return conn.scalar(sa.select(table.c[column]).where(table.c.id == id))

    def version(self, entity: str, id: int) -> int:
        return self.value(entity, id, "row_version")

    def moves(self, part: int) -> int:
        table = self.tenant.revision().tables.of("workshop.stock_move")
        with self.tenant.read() as conn:
            return int(conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(table.c.quantity), 0)).where(table.c.part_id == part)))

    def stock(self, part: int) -> int:
        return self.value("spare_part", part, "stock")

    def part(self, stock: int = 0, price: str = "30.00") -> int:
        part = self.make("boss", "spare_part", part_code=f"P{next(NUMBERS)}", name="Screen", price=Decimal(price))
        if stock:
            self.do("store", "spare_part", part, "count", "opening stock", counted=stock)
        return part

    def order(self, technician: str | None = "tech", *, bought_on: date | None = date(2020, 1, 1)) -> int:
        client = self.make("reception", "client", name=f"Client {next(NUMBERS)}", phone=f"138{next(NUMBERS):08d}")
        device = self.make("reception", "device", client=client, name="Laptop", kind="laptop", serial_no=f"SN{next(NUMBERS)}", bought_on=bought_on)
        more = {"technician": self.people[technician]} if technician else {}
        return self.make("reception", "repair_order", device=device, fault="dead", lines=[{"work": "look", "hours": Decimal("0.50")}], **more)

    def purchase(self, part: int, quantity: int) -> int:
        return self.make("store", "purchase", supplier="Parts Ltd", lines=[{"part": part, "quantity": quantity, "unit_cost": Decimal("12.50")}])

    def token(self, name: str) -> Any:
        client = self.app.test_client(use_cookies=False)
        answer = client.post("/garage/api/v1/auth/login", json={"username": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return client, {"Authorization": f"Bearer {answer.json['access_token']}", "Accept-Language": "en"}

    def close(self) -> None:
        self.tenancy.drop("garage")
        self.tenancy.close()
