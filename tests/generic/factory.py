"""Makes a valid record of any entity that somebody may create, as that person, through the command.

It starts with what is required and lets the refusals teach it: a missing field is added, an optional one at fault is left
out, a required one gets another value. HINTS say what no amount of trying finds; they are the visible exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from metaloom import command
from metaloom.base.errors import Invalid
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES, LINK_TYPES
from metaloom.record import Writer
from metaloom.record.paths import target_of
from metaloom.record.schema import accepts
from tests.generic import values
from tests.generic.oracle import level
from tests.generic.world import NOW, World

ROUNDS = 14
Hint = Callable[[World, dict[str, Any]], Mapping[str, Any]]


class Factory:
    """Records for alice with some role."""

    def __init__(self, world: World, role: str) -> None:
        self.world, self.role = world, role
        self.ctx = world.context(role)
        self.catalog = world.catalog

    def create(self, address: str) -> tuple[command.Saved, dict[str, Any]]:
        """The stored record and the values that were sent; AssertionError tells the last refusals."""
        entity = self.catalog.entities[address]
        prepare = PREPARE.get(address)
        if prepare is not None:
            prepare(self.world)
        sent = self.first(entity)
        problems: list[str] = []
        for _ in range(ROUNDS):
            sent.update(HINTS.get(address, _nothing)(self.world, sent))
            try:
                return command.create_record(self.ctx, address, sent), sent
            except Invalid as refused:
                problems = [f"{p.field}: {p.message.say('en')}" for p in refused.problems]
                for problem in refused.problems:
                    self._learn(entity, problem.field, sent)
        raise AssertionError(f"{self.role} cannot make a {address}: {problems}; sent {sent}")

    def first(self, entity: Entity) -> dict[str, Any]:
        """What is required, and one row in every child grid."""
        found: dict[str, Any] = {}
        filled = {target for f in entity.fields.values() for target in f.fill}
        for field in entity.fields.values():
            if self.takes(entity, field) and (field.required and not field.default and field.name not in filled or field.type is FieldType.CHILD):
                found[field.name] = self.value(entity, field, found)
        return {name: value for name, value in found.items() if value is not None}

    def takes(self, entity: Entity, field: Field) -> bool:
        """Whether this role may write the field of a new record."""
        grants = [g for g in self.catalog.grants.get(entity.address, ()) if g.role == self.role and {"create", "edit"} & g.actions]
        return accepts(entity, field, "create") and (bool(entity.child_of) or any(level(field, g) is FieldLevel.WRITE for g in grants))

    def value(self, entity: Entity, field: Field, record: Mapping[str, Any]) -> Any:
        if field.type is FieldType.CHILD:
            return [self.first(self.catalog.entities[field.entity])]
        if field.type in FILE_TYPES:
            return None
        if field.type in LINK_TYPES:
            return self.link(entity, field, record)
        return values.plain(self.catalog, entity, field, f"ZZ-{field.name}")

    def link(self, entity: Entity, field: Field, record: Mapping[str, Any]) -> int | None:
        """A row that the role may see and the link's filter takes; another one at each asking."""
        place = self.world.alpha
        own = {FieldType.USER: place.people["alice"], FieldType.COMPANY: place.companies["C1"], FieldType.ORG_UNIT: place.units["D1"]}
        if field.type in own:
            return own[field.type]
        with self.world.reader(self.ctx.plan) as reader:
            if not (self.ctx.plan.may(target_of(field), "list") or self.ctx.plan.may(target_of(field), "read")):
                return None
            found = reader.lookup(target_of(field), limit=50, filter=field.filter, for_entity=entity.address, record=record)
        return found[next(values.NUMBERS) % len(found)].id if found else None

    def _learn(self, entity: Entity, path: str, sent: dict[str, Any]) -> None:
        name, _, rest = path.partition(".")
        field = entity.fields.get(name)
        if field is None or not self.takes(entity, field):
            return
        if rest:
            index, _, inner = rest.partition(".")
            self._learn(self.catalog.entities[field.entity], inner, sent[name][int(index)])
        elif name in sent and not field.required and not field.required_when:
            del sent[name]
        else:
            sent[name] = self.value(entity, field, sent)


def _nothing(world: World, sent: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


def stored(world: World, address: str, id: int) -> dict[str, Any]:
    """The record whoever asks."""
    with world.alpha.tenant.read() as conn:
        return Writer(conn, world.alpha.tenant, world.alpha.tenant.revision(), user_id=None, now=NOW).stored(address, id)


def store(world: World, address: str, id: int, **changes: Any) -> None:
    """Below the commands: puts a row into the condition that a test needs."""
    with world.alpha.tenant.write() as conn:
        writer = Writer(conn, world.alpha.tenant, world.alpha.tenant.revision(), user_id=None, now=NOW)
        writer.update(address, id, changes, writer.stored(address, id)["row_version"])


# What the metadata's rules ask that trying does not find -----------------------------------------------------------


def _account(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    return {"account_name": stored(world, "lending.customer", sent["customer"])["name"]} if sent.get("customer") else {}


def _drawdown(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    """A limit that is active and has money, the customer's own account, and terms that the product offers."""
    mine = [row for row in world.alpha.rows["lending.credit_limit"] if row.owner == "alice"][0]
    account = next(row for row in world.alpha.rows["lending.bank_account"] if row.values["customer"] == mine.values["customer"])
    version = stored(world, "lending.loan_product_version", mine.values["product_version"])
    return {"limit": mine.id, "payout_account": account.id, "amount": Decimal("1.00"), "term_months": 1, "purpose": "medical",
            "repay_method": version["repay_methods"][0]}


def _open_limit(world: World) -> None:
    for row in world.alpha.rows["lending.credit_limit"]:
        if row.owner == "alice":
            zero = Decimal("0.00")
            store(world, row.entity, row.id, status="active", total=Decimal("9000.00"), used=zero, reserved=zero, frozen=zero, available=Decimal("9000.00"))
    for row in world.alpha.rows["lending.bank_account"]:
        store(world, row.entity, row.id, status="in_use")


def _application(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    """A customer in good standing and a product on sale that is made for such customers; another pair at each asking."""
    mine = [row for row in world.alpha.rows["lending.customer"] if row.owner == "alice"]
    products = world.alpha.rows["lending.loan_product"]
    number = next(values.NUMBERS)
    customer, product = mine[number % len(mine)], products[number // len(mine) % len(products)]
    store(world, customer.entity, customer.id, customer_status="normal")
    kind = stored(world, customer.entity, customer.id)["customer_type"]
    store(world, product.entity, product.id, status="on_sale", customer_type=kind)
    return {"customer": customer.id, "product": product.id}


def _running_loan(world: World) -> None:
    """A mortgage or pledge is given for a loan that runs, and such a loan is inspected; the seeds stand in any state."""
    for row in world.alpha.rows["lending.loan"]:
        if row.owner == "alice":
            store(world, row.entity, row.id, status="normal")


def _unclassified_loan(world: World) -> None:
    """One more running loan of alice's for each classification, the only one on offer: a loan has at most one that is open."""
    seed = next(row for row in world.alpha.rows["lending.loan"] if row.owner == "alice")
    drawdown, loan = (_copied(world, address, id) for address, id in (("lending.drawdown", seed.values["drawdown"]), ("lending.loan", seed.id)))
    number = f"ZZ-alpha-alice-{next(values.NUMBERS):06d}"
    with world.alpha.tenant.write() as conn:
        writer = Writer(conn, world.alpha.tenant, world.alpha.tenant.revision(), user_id=seed.owner_id, now=NOW)
        loans = writer.revision.tables.of("lending.loan")
        conn.execute(loans.update().where(loans.c.owner_id == seed.owner_id).values(status="settled"))
        paid = writer.insert("lending.drawdown", {**drawdown, "draw_no": number})
        writer.insert("lending.loan", {**loan, "loan_no": number, "drawdown": paid, "status": "normal", "risk_class": "normal"})


def _adjustable_limit(world: World) -> None:
    """One more limit of alice's customer for each adjustment, the only active one: a limit has at most one that is open."""
    seed = next(row for row in world.alpha.rows["lending.credit_limit"] if row.owner == "alice")
    kept, number = _copied(world, seed.entity, seed.id), f"ZZ-alpha-alice-{next(values.NUMBERS):06d}"
    nothing = dict.fromkeys(("used", "reserved", "frozen"), Decimal("0.00"))
    with world.alpha.tenant.write() as conn:
        writer = Writer(conn, world.alpha.tenant, world.alpha.tenant.revision(), user_id=seed.owner_id, now=NOW)
        conn.execute(writer.revision.tables.of(seed.entity).update().values(status="ended"))
        writer.insert(seed.entity, {**kept, **nothing, "limit_no": number, "status": "active", "total": Decimal("9000.00"), "available": Decimal("9000.00")})


def _copied(world: World, address: str, id: int) -> dict[str, Any]:
    """What a copy of the row is stored with."""
    entity, row = world.catalog.entities[address], stored(world, address, id)
    owned = ("owner" if part == "user" else part for part in entity.ownership.owned_by)
    return {name: row[name] for name in (*owned, *(f.name for f in entity.fields.values() if f.stored)) if name in row}


def _agreement(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    """A customer of the person's own, and that customer's account."""
    account = [row for row in world.alpha.rows["lending.bank_account"] if row.owner == "alice"][next(values.NUMBERS) % 2]
    return {"customer": account.values["customer"], "account": account.id, "gateway": "sandbox"}


def _refund(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    return {"order": next(row for row in world.alpha.rows["lending.payment_order"] if row.owner == "alice").id, "amount": Decimal("0.01")}


def _debited(world: World) -> None:
    """A debit that succeeded and that nobody has refunded yet."""
    order = next(row for row in world.alpha.rows["lending.payment_order"] if row.owner == "alice")
    store(world, order.entity, order.id, biz_type="collect", status="succeeded", refunded=0)
    refunds = world.alpha.tenant.revision().tables.of("lending.payment_refund")
    with world.alpha.tenant.write() as conn:
        conn.execute(refunds.update().values(status="cancelled"))


def _other_money(world: World, sent: dict[str, Any]) -> Mapping[str, Any]:
    """The other two kinds need tax that is owed, or an asset that was taken."""
    return {"kind": "capital"} if "kind" in sent else {}


HINTS: dict[str, Hint] = {"lending.bank_account": _account, "lending.credit_application": _application,
                          "lending.debit_agreement": _agreement, "lending.drawdown": _drawdown, "lending.other_money": _other_money,
                          "lending.payment_refund": _refund}
PREPARE: dict[str, Callable[[World], None]] = {"lending.collateral": _running_loan, "lending.debit_agreement": _open_limit,
                                               "lending.drawdown": _open_limit, "lending.payment_refund": _debited,
                                               "lending.limit_adjustment": _adjustable_limit,
                                               "lending.pledge": _running_loan, "lending.post_loan_inspection": _running_loan,
                                               "lending.risk_classification": _unclassified_loan}
