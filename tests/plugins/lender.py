"""A small lender to test with: one company, one person per role, and the steps of the main job as short verbs.

Everything goes through the engine's commands with the rights of the person named; see :class:`metaloom.app.demo.DemoStage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from metaloom import command
from metaloom.app.demo import DemoStage
from metaloom.app.login_tables import make_login_tables
from metaloom.base.clock import FixedClock
from metaloom.compile import tenant_sources
from metaloom.plugin import registry
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy, Tenant
from metaloom_plugins.gateway_sandbox.simulator import GatewaySimulator
from metaloom_plugins.loan_demo import people

ROOT = Path(__file__).resolve().parents[2]
D = Decimal
START = date(2025, 1, 15)
ROLES = {"officer": "officer", "check": "risk_check", "review": "risk_review", "approve": "approver", "finance": "fin_maker",
         "fincheck": "fin_check", "product": "product", "service": "service", "manager": "branch_mgr", "member1": "credit_committee",
         "member2": "credit_committee", "member3": "credit_committee"}
SMALL = {"amount": D(100000), "term": 12, "method": "EQUAL_INSTALMENT", "rate": D("0.12")}
WRITE_OFF = {"reason_code": "no_assets", "reason": "借款人失联，法院已终结本次执行，查明无财产可供执行。", "liability": "尽职调查，无责任人。",
             "collection_summary": "电话、上门催收各三次，已诉讼并申请执行。", "checklist": ["collected", "evidence", "liability", "allowance"]}
QUESTIONS_MAX = 12
"""Questions about one payment order that are put to a channel; the ones after it are left out."""
PROOF = b"\x89PNG\r\n\x1a\n" + b"0" * 40


def signers(amount: Decimal) -> tuple[str, ...]:
    """Who signs for an amount, in order (metadata/lending/credit_centre/credit_application/approval.yaml)."""
    if amount <= D(50000):
        return ("manager",)
    return ("review", *(() if amount <= D(200000) else ("approve",) if amount <= D(1000000) else ("member1", "member2")))


@contextmanager
def open_lender(home: Path, name: str, url: str | None = None) -> Iterator[Lender]:
    """A tenant with the lending and workshop packs; dropped at the end."""
    settings = Settings.from_env({
        "METALOOM_HOME": str(home), "METALOOM_METADATA": str(ROOT / "metadata"), "METALOOM_TENANTS": str(ROOT / "tenants"),
        **({"METALOOM_DATABASE_URL": url} if url else {})})
    plugins = registry.load()
    assert not plugins.diagnostics
    tenancy = Tenancy(settings, manifest=plugins.manifest())
    tenant = tenancy.create(name, "测试小贷", after_create=(make_login_tables,))
    publish(tenant, tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    try:
        yield Lender(tenant, plugins)
    finally:
        tenancy.drop(name)
        tenancy.close()


class Lender:
    """The company ``YF01`` with the logins officer, check, review, approve, finance, fincheck, product, service, manager, member1 to
    member3 (the credit committee), officer2."""

    _usual: int | None = None

    def __init__(self, tenant: Tenant, plugins: Any) -> None:
        self.tenant, self.plugins = tenant, plugins
        self.real = FixedClock(datetime(2025, 1, 15, 2, tzinfo=UTC))
        self.stage = DemoStage(tenant, plugins, self.real)
        self.stage.open()
        self._call, self.stage._handlers["call"] = self.stage._handlers["call"], self._one_call
        self._keys, self._random = count(1), Random(20250115)
        self.company = self.stage.company("YF01", {"name": "测试小额贷款有限公司"})
        self.unit = self.stage.org_unit("YF0110", {"name": "信贷业务部", "company": self.company})
        for login, role in {**ROLES, "officer2": "officer"}.items():
            self.stage.user(login, login, (f"lending.{role}",), self.company, self.unit)

    # -- the door ----------------------------------------------------------------------------------------------------

    def create(self, who: str, entity: str, values: Mapping[str, Any]) -> int:
        return self.stage.as_user(who).create(f"t{next(self._keys)}", f"lending.{entity}", values)

    def do(self, who: str, entity: str, id: int, action: str, input: Mapping[str, Any] | None = None, reason: str = "") -> None:
        self.stage.as_user(who).do(f"t{next(self._keys)}", f"lending.{entity}", id, action, input, reason)

    def decide(self, who: str, entity: str, id: int, decision: str = "pass", opinion: str = "同意", to: str = "", **outputs: Any) -> None:
        """The approval task that waits for the person on the record."""
        self.stage.as_user(who).decide(f"t{next(self._keys)}", f"lending.{entity}", id, decision, opinion, outputs, to)

    def move(self, who: str, entity: str, id: int, kind: str, words: str = "") -> None:
        """Another move in the record's newest approval case."""
        self.stage.as_user(who).move(f"t{next(self._keys)}", f"lending.{entity}", id, kind, words)

    def run(self, who: str, entity: str, id: int, action: str, row_version: int | None, input: Mapping[str, Any] | None = None,
            key: str | None = None) -> command.ActionDone:
        """The bare command, with the version (and key) that the caller says."""
        ctx = replace(self.stage.as_user(who)._context(f"t{next(self._keys)}"), idempotency_key=key)
        return command.run_action(ctx, f"lending.{entity}", id, action, input or {}, row_version, "")

    def change(self, who: str, entity: str, id: int, values: Mapping[str, Any]) -> None:
        ctx = self.stage.as_user(who)._context(f"t{next(self._keys)}")
        command.change_record(ctx, f"lending.{entity}", id, values, self.row(entity, id)["row_version"])

    def settle_outside(self) -> None:
        """The worker does what waits."""
        self.stage._waiting = True
        self.stage.drain()

    def day(self, day: date) -> None:
        self.real.at = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
        self.stage.next_day(day)

    def _one_call(self, tenant: Tenant, row: Any) -> Any:
        """The clock of the stage stands in the past, where an order that stays in process is asked about at once and again: here so often at most."""
        if row.key.startswith("call:query:") and int(row.key.rpartition(":")[2]) > QUESTIONS_MAX:
            return None
        return self._call(tenant, row)

    @property
    def gateway(self) -> GatewaySimulator:
        folder = self.tenant.settings.home / "plugins" / self.tenant.name / "gateway_sandbox"
        folder.mkdir(parents=True, exist_ok=True)
        return GatewaySimulator(folder / "gateway.sqlite", now=lambda: self.stage.clock.now().timestamp())

    # -- looking -----------------------------------------------------------------------------------------------------

    def row(self, entity: str, id: int) -> Mapping[str, Any]:
        """The stored row, by column."""
        table = self.tenant.revision().tables.of(f"lending.{entity}")
        with self.tenant.read() as conn:
            return conn.execute(sa.select(table).where(table.c.id == id)).mappings().one()

    def rows(self, entity: str, /, **where: Any) -> list[Mapping[str, Any]]:
        table = self.tenant.revision().tables.of(entity if "." in entity else f"lending.{entity}")
        found = sa.select(table).where(*(table.c[name] == value for name, value in where.items())).order_by(table.c.id)
        with self.tenant.read() as conn:
            return list(conn.execute(found).mappings())

    def outbox(self) -> list[Mapping[str, Any]]:
        table = self.tenant.revision().tables.engine.outbox
        with self.tenant.read() as conn:
            return list(conn.execute(sa.select(table).order_by(table.c.id)).mappings())

    def account(self, account: str) -> Decimal:
        """Debits less credits of everything posted."""
        leg, entry = (self.tenant.revision().tables.engine.ledger_leg, self.tenant.revision().tables.engine.ledger_entry)
        with self.tenant.read() as conn:
            rows = conn.execute(sa.select(leg.c.side, leg.c.amount).join(entry, entry.c.id == leg.c.entry_id)
                                .where(leg.c.account == account, entry.c.state == "posted")).all()
        return sum((amount if side == "debit" else -amount for side, amount in rows), D("0.00"))

    # -- the main job, step by step ----------------------------------------------------------------------------------

    @property
    def usual(self) -> int:
        """The product of everybody for whom none is named; most tests change nothing about theirs."""
        if self._usual is None:
            self._usual = self.product()
        return self._usual

    def product(self, **version: Any) -> int:
        """A product on sale whose version 1 holds ``version`` over the usual terms."""
        code = f"P{next(self._keys)}"
        product = self.create("product", "loan_product", {"product_code": code, "name": f"产品{code}", "customer_type": "personal"})
        self.release_version(product, 1, **version)
        self.do("approve", "loan_product", product, "release")
        return product

    def release_version(self, product: int, number: int, **version: Any) -> int:
        values = {
            "product": product, "version_no": number, "version_name": f"第{number}版", "guarantee_modes": ["credit"],
            "amount_min": D(1000), "amount_max": D(500000), "term_min": 1, "term_max": 36,
            "repay_methods": ["EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET"], "annual_rate_min": D("0.06"),
            "annual_rate_max": D("0.24"), "prepay_allowed": "both", **version}
        made = self.create("product", "loan_product_version", values)
        self.do("product", "loan_product_version", made, "submit")
        self.decide("check", "loan_product_version", made)
        self.decide("review", "loan_product_version", made)
        return made

    def customer(self, who: str = "officer", *, id_no: str = "", mobile_ending: str = "", card_ending: str = "") -> tuple[int, int]:
        """A person and a card to pay out to."""
        person = people.personal(self._random, "personal", START, id_no=id_no, mobile_ending=mobile_ending)
        customer = self.create(who, "customer", person.values)
        card = people.card(self._random, card_ending)
        account = self.create(who, "bank_account", {"customer": customer, "account_name": person.name, "bank_code": card.bank,
                                                    "card_no": card.number, "usage": ["payout", "repay"]})
        return customer, account

    def application(self, customer: int, product: int, who: str = "officer", **values: Any) -> int:
        return self.create(who, "credit_application", {
            "customer": customer, "product": product, "apply_amount": D(100000), "apply_term": 12, "repay_method": "EQUAL_INSTALMENT",
            "purpose": "working_capital", "consent": True, **values})

    def approved(self, application: int, amount: Decimal, rate: Decimal) -> int:
        """Through the chain of its amount; the limit that came out."""
        self.do("officer", "credit_application", application, "submit")
        self.settle_outside()
        self.decide("check", "credit_application", application, opinion="资料齐全，建议通过", suggest_amount=amount)
        first, *others = signers(amount)
        self.decide(first, "credit_application", application, approved_amount=amount, annual_rate=rate)
        for who in others:
            self.decide(who, "credit_application", application)
        return int(self.rows("credit_limit", application_id=application)[0]["id"])

    def limit(self, product: int | None = None, *, amount: Decimal = D(100000), term: int = 12, rate: Decimal = D("0.12"),
              method: str = "EQUAL_INSTALMENT", card_ending: str = "") -> tuple[int, int, int]:
        """(customer, account, limit) of somebody approved."""
        customer, account = self.customer(card_ending=card_ending)
        made = self.application(customer, product or self.usual, apply_amount=amount, apply_term=term, repay_method=method)
        return customer, account, self.approved(made, amount, rate)

    def drawdown(self, limit: int, account: int, *, amount: Decimal = D(100000), term: int = 12, method: str = "EQUAL_INSTALMENT") -> int:
        return self.create("officer", "drawdown", {"limit": limit, "amount": amount, "term_months": term, "repay_method": method,
                                                   "payout_account": account, "purpose": "working_capital"})

    def to_pay(self, drawdown: int) -> int:
        self.do("officer", "drawdown", drawdown, "submit")
        self.sign(drawdown)
        return drawdown

    def sign(self, drawdown: int) -> None:
        """Everybody whose word a submitted drawdown needs says yes."""
        for who in signers(self.row("drawdown", drawdown)["amount"]):
            self.decide(who, "drawdown", drawdown)

    def paid(self, drawdown: int) -> int:
        """Paid out; the loan."""
        self.do("finance", "drawdown", self.to_pay(drawdown), "payout")
        self.settle_outside()
        return int(self.row("drawdown", drawdown)["loan_id"])

    def loan(self, product: int | None = None, *, amount: Decimal = D(100000), term: int = 12, rate: Decimal = D("0.12"),
             method: str = "EQUAL_INSTALMENT") -> int:
        _, account, limit = self.limit(product, amount=amount, term=term, rate=rate, method=method)
        return self.paid(self.drawdown(limit, account, amount=amount, term=term, method=method))

    def repay(self, loan: int, amount: str | Decimal, *, kind: str = "due", on: date | None = None, **more: Any) -> Mapping[str, Any]:
        """Books a receipt; the stored repayment."""
        self.do("finance", "loan", loan, "repay", {"amount": D(amount), "kind": kind, "value_date": on or self.stage.today,
                                                   "source": "transfer", **more})
        return self.rows("repayment", loan_id=loan)[-1]

    def agree(self, change: int) -> None:
        """Risk check, risk review and approver say yes to a write-off, a prepayment or an early settlement."""
        for who in ("check", "review", "approve"):
            self.decide(who, "loan_change", change)

    def ask_write_off(self, loan: int, who: str = "officer", **given: Any) -> int:
        ctx = self.stage.as_user(who)._context(f"t{next(self._keys)}")
        proof = command.upload_file(ctx, f"终本裁定{loan}.png", PROOF)
        self.do(who, "loan", loan, "propose_write_off", {**WRITE_OFF, "evidence": [proof.id], **given})
        return int(self.rows("loan_change", loan_id=loan)[-1]["id"])

    def ask_prepay(self, loan: int, principal: str | Decimal, plan_change: str = "reduce_payment", who: str = "officer", **more: Any) -> int:
        self.do(who, "loan", loan, "propose_prepayment", {"principal": D(principal), "plan_change": plan_change, **more})
        return int(self.rows("loan_change", loan_id=loan)[-1]["id"])

    def ask_settle(self, loan: int, on: date | None = None, who: str = "officer") -> int:
        self.do(who, "loan", loan, "propose_settlement", {"valid_until": on or self.stage.today})
        return int(self.rows("loan_change", loan_id=loan)[-1]["id"])

    def settle(self, loan: int, amount: str | Decimal) -> Mapping[str, Any]:
        """Applied for, agreed to and paid before maturity, all today; the stored repayment."""
        self.agree(self.ask_settle(loan))
        return self.repay(loan, amount, kind="settle")

    def plan(self, loan: int) -> list[tuple[Decimal, Decimal]]:
        """(principal, interest) of the instalments that stand, in order."""
        rows = [row for row in self.rows("instalment", loan_id=loan) if row["status"] != "cancelled"]
        return [(row["principal"], row["interest"]) for row in sorted(rows, key=lambda row: row["due_date"])]
