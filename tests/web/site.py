"""A small shop on the real engine, made through commands: what the tests of the screens look at."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.compile import read_sources
from metaloom.plugin.registry import installed
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "right-horse-7"
BUYERS = ("王芳", "李娜", "张伟", "刘洋", "陈静", "杨帆", "赵磊", "黄丽", "周涛", "吴敏", "徐强", "孙燕")
PEOPLE = {"li": ("李雷", "shop.seller"), "han": ("韩梅梅", "shop.viewer"), "nobody": ("路人甲", "shop.stranger")}


def settings_at(home: Path, **more: Any) -> Settings:
    return Settings.from_env({"METALOOM_HOME": str(home), "METALOOM_METADATA": str(ROOT / "metadata"), "METALOOM_TENANTS": str(ROOT / "tenants"), **more})


def build_tenant(tenancy: Tenancy, name: str, label: Text, *, sales: int = 57) -> Any:
    """A tenant with one company, three people, twelve buyers and some sales."""
    tenant = tenancy.create(name, label)
    sources = read_sources({"engine": ROOT / "metadata", "pack": Path(__file__).parent / "packs"}, ("platform", "shop"))
    publish(tenant, sources, reason="first")
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    company = command.create_record(ctx, "platform.company", {"code": "C1", "name": "东城分公司", "business_date": date(2026, 11, 21)}).id
    for username, (shown, role) in PEOPLE.items():
        user = command.save_user(ctx, None, {"username": username, "display_name": shown, "email": f"{username}@example.com", "company": company},
                                 password=PASSWORD).id
        command.assign_role(ctx, user, role, company=company)
    fill(tenant, sales)
    return tenant


def fill(tenant: Any, sales: int) -> None:
    """Buyers and sales, entered by the seller."""
    ctx = context_of(tenant, "li")
    buyers = [command.create_record(ctx, "shop.buyer", {"name": name, "mobile": f"138{i:08d}", "level": "gold" if i % 3 == 0 else "plain",
                                                        "usual_price": Decimal(100 * i),
                                                        **({"ways": ["post", "shop"]} if i == 2 else {})}).id for i, name in enumerate(BUYERS, 1)]
    for i in range(1, sales + 1):
        saved = command.create_record(ctx, "shop.sale", {
            "buyer": buyers[i % len(buyers)], "ordered_on": date(2026, 11, 21) - timedelta(days=i), "price": Decimal(997 * i % 90000) / 100 + 1,
            "quantity": i % 9 + 1, "express": i % 5 == 0, **({"express_reason": "客户催货"} if i % 5 == 0 else {}),
            "lines": [{"goods": "螺丝", "price": Decimal("3.50"), "quantity": 2}, {"goods": "扳手", "price": Decimal("88.00"), "quantity": 1}],
        })
        if i % 3 == 0:
            command.run_action(ctx, "shop.sale", saved.id, "send", {}, saved.row_version)


def context_of(tenant: Any, username: str) -> Any:
    """The context of a person, as a request would make it."""
    from metaloom.access import plan_for

    revision = tenant.revision()
    users = revision.tables.engine.user
    with tenant.read() as conn:
        user_id = conn.execute(users.select().where(users.c.username == username)).mappings().one()["id"]
        plan = plan_for(conn, revision, user_id)
    return command.Context(tenant=tenant, revision=revision, actor=plan.actor, plan=plan, clock=SystemClock(), request_id="test", plugins=installed())
