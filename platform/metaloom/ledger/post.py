"""One posting: from event and amounts to a balanced entry in the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom import expression
from metaloom.base.crash import crash_point
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.model import AccountingRule, Catalog

register({
    "ledger.no_rule": ("没有适用于“{event}”的记账规则，未入账。", "No accounting rule applies to “{event}”; nothing was posted."),
    "ledger.unbalanced": ("记账规则“{rule}”借贷不平（借 {debit}，贷 {credit}），未入账。",
                          "The accounting rule “{rule}” does not balance (debit {debit}, credit {credit}); nothing was posted."),
    "ledger.reversed": ("这笔分录已经冲销过，不能再次冲销。", "This entry has been reversed already."),
    "ledger.is_reversal": ("冲销分录不能再被冲销。", "A reversal cannot be reversed."),
    "ledger.unknown_entry": ("没有要冲销的分录。", "There is no such entry to reverse."),
})

CENT = Decimal("0.01")
_TYPES = ((bool, expression.BOOL), (int, expression.INT), (Decimal, expression.DECIMAL), (str, expression.TEXT),
          (datetime, expression.DATETIME), (date, expression.DATE))


KINDS = {"text": expression.TEXT, "integer": expression.INT, "decimal": expression.DECIMAL, "boolean": expression.BOOL, "date": expression.DATE,
         "datetime": expression.DATETIME}
"""The types that a rule may declare for its facts, as the expression language calls them."""


@dataclass(frozen=True)
class Cause:
    """Why an entry exists: the record, the command that did it, under which revision."""

    entity: str
    record_id: int
    command: str = ""
    revision_number: int | None = None
    revision_digest: str | None = None
    actor_id: int | None = None


@dataclass(frozen=True)
class Entry:
    """What to post. ``facts`` choose between rules; ``org_unit``, ``party`` (entity, id) and ``memo`` among them are stored."""

    event: str
    amounts: Mapping[str, Decimal]
    company_id: int
    booking_date: date
    value_date: date
    cause: Cause
    facts: Mapping[str, Any] = field(default_factory=dict)
    currency: str = "CNY"
    reversal_of: int | None = None
    posting_key: str | None = None


@dataclass(frozen=True)
class Leg:
    """``side`` debit | credit. ``amount`` is above zero, below zero only in a reversal."""

    account: str
    side: str
    amount: Decimal


def post(conn: sa.Connection, revision: Any, entry: Entry, *, now: datetime) -> int:
    """Posts in the running transaction and returns the entry's id.

    NotPossible: no rule applies, the rule does not balance, the entry was reversed before. ValueError: amounts that no
    book takes (negative, more than two places, not finite, all zero).
    """
    if entry.reversal_of is not None:
        legs = _reversed_legs(conn, revision.tables, entry)
    else:
        check_amounts(entry.amounts)
        rule = rule_for(revision.catalog, entry.event, {**entry.amounts, **entry.facts})
        legs = legs_of(rule, entry.amounts)
    return store(conn, revision.tables, entry, legs, now)


def check_amounts(amounts: Mapping[str, Decimal]) -> None:
    """Exactly two places at most, finite, not negative; something above zero."""
    for name, amount in amounts.items():
        if not isinstance(amount, Decimal) or not amount.is_finite():
            raise ValueError(f"amount {name} must be a finite Decimal, found {amount!r}")
        if amount != amount.quantize(CENT) or amount < 0:
            raise ValueError(f"amount {name} must be at least 0 with at most two places, found {amount}")
    if not any(amounts.values()):
        raise ValueError("every amount is zero: there is nothing to post")


def rule_for(catalog: Catalog, event: str, facts: Mapping[str, Any]) -> AccountingRule:
    """The first rule of the event whose ``when`` is true, in the order of the metadata. An amount of the event that is not given is 0."""
    rules = [rule for rule in catalog.accounting_rules.values() if rule.event == event]
    given = {**{leg.amount: Decimal(0) for rule in rules for leg in rule.legs}, **facts}
    for rule in rules:
        if not rule.when or _holds(rule, given):
            return rule
    raise NotPossible(message("ledger.no_rule", event=event))


def _holds(rule: AccountingRule, facts: Mapping[str, Any]) -> bool:
    known = {name: kind for name, value in facts.items() if (kind := _type_of(value)) is not None}
    wrong = sorted(name for name, kind in rule.facts.items() if name not in known or known[name] != KINDS[kind])
    if wrong:
        raise ValueError(f"accounting rule {rule.address}: {', '.join(wrong)} not given as the rule declares it (facts given: {', '.join(sorted(facts))})")
    try:
        checked = expression.compile(rule.when, expression.Scope(fields=known), expression.BOOL, {"python"})
    except expression.ExpressionError as error:
        raise ValueError(f"accounting rule {rule.address}: {error} (facts given: {', '.join(sorted(facts))})") from error
    return expression.to_python(checked)(facts, expression.Env()) is True


def _type_of(value: object) -> expression.Type | None:
    return next((kind for python, kind in _TYPES if isinstance(value, python)), None)


def legs_of(rule: AccountingRule, amounts: Mapping[str, Decimal]) -> tuple[Leg, ...]:
    """The rule's legs with these amounts; an amount that is absent or zero writes no leg. Balanced, or NotPossible."""
    legs = tuple(Leg(leg.account, leg.side, amounts[leg.amount].quantize(CENT)) for leg in rule.legs if amounts.get(leg.amount))
    debit = sum((leg.amount for leg in legs if leg.side == "debit"), Decimal("0.00"))
    credit = sum((leg.amount for leg in legs if leg.side == "credit"), Decimal("0.00"))
    if debit != credit or len(legs) < 2:
        raise NotPossible(message("ledger.unbalanced", rule=rule.label, debit=debit, credit=credit))
    return legs


def _reversed_legs(conn: sa.Connection, tables: Any, entry: Entry) -> tuple[Leg, ...]:
    """The original's legs with the sign turned: same accounts, same sides (红字冲销)."""
    entries, legs = tables.engine.ledger_entry, tables.engine.ledger_leg
    original = conn.execute(sa.select(entries.c.state, entries.c.reversal_of).where(entries.c.id == entry.reversal_of)
                            .with_for_update()).one_or_none()
    if original is None or original.state != "posted":
        raise NotPossible(message("ledger.unknown_entry"))
    if original.reversal_of is not None:
        raise NotPossible(message("ledger.is_reversal"))
    if conn.scalar(sa.select(sa.func.count()).where(entries.c.reversal_of == entry.reversal_of)):
        raise NotPossible(message("ledger.reversed"))
    rows = conn.execute(sa.select(legs.c.account, legs.c.side, legs.c.amount).where(legs.c.entry_id == entry.reversal_of)
                        .order_by(legs.c.line))
    return tuple(Leg(row.account, row.side, -row.amount) for row in rows)


def store(conn: sa.Connection, tables: Any, entry: Entry, legs: tuple[Leg, ...], now: datetime) -> int:
    """Writes the entry with these legs and flips it to posted, where the database adds up and looks at the month."""
    entries = tables.engine.ledger_entry
    shared = {
        "booking_date": entry.booking_date, "value_date": entry.value_date, "company_id": entry.company_id,
        "org_unit_id": entry.facts.get("org_unit"), "entity": entry.cause.entity, "record_id": entry.cause.record_id,
        "currency": entry.currency,
    }
    header = {
        **shared, "event": entry.event, "state": "draft", "reversal_of": entry.reversal_of, "posting_key": entry.posting_key,
        "memo": entry.facts.get("memo"), "command": entry.cause.command, "revision_number": entry.cause.revision_number,
        "revision_digest": entry.cause.revision_digest, "created_by": entry.cause.actor_id, "updated_by": entry.cause.actor_id,
        "created_at": now, "updated_at": now,
    }
    entry_id = int(conn.execute(entries.insert().values(**header).returning(entries.c.id)).scalar_one())
    conn.execute(tables.engine.ledger_leg.insert(), [_leg_row(entry, entry_id, line, leg, shared, now)
                                                     for line, leg in enumerate(legs, start=1)])
    conn.execute(entries.update().where(entries.c.id == entry_id).values(state="posted", posted_at=now, row_version=2))
    crash_point("ledger.posted")
    return entry_id


def _leg_row(entry: Entry, entry_id: int, line: int, leg: Leg, shared: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    party_entity, party_id = entry.facts.get("party") or (None, None)
    return {
        **shared, "entry_id": entry_id, "line": line, "account": leg.account, "side": leg.side, "amount": leg.amount,
        "party_entity": party_entity, "party_id": party_id, "created_at": now, "updated_at": now,
        "created_by": entry.cause.actor_id, "updated_by": entry.cause.actor_id,
    }
