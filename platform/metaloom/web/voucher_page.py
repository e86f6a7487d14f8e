"""A ledger entry as a voucher: its legs in two columns with their sums, the amount in capitals, what it comes from, what it reverses."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from flask import render_template

from metaloom.base.errors import MetaloomError
from metaloom.base.money import in_capitals
from metaloom.model.entity import LINK_TYPES
from metaloom.record.filters import Filter
from metaloom.web.cells import CODES, WORDS, Cell, cell, path_label, resolve
from metaloom.web.code_words import entity_words
from metaloom.web.current import Current, locale, say
from metaloom.web.frame import record_url
from metaloom.web.own import Own, register

ENTRY, LEG = "platform.ledger_entry", "platform.ledger_leg"
LEGS_MAX = 200
ZERO = Decimal("0.00")


def account_words(pinned: Current, code: str, row: Any = None) -> str:
    """The code of an account with its name; the bare code where the chart no longer has it."""
    found = next((one for one in pinned.catalog.accounts.values() if one.code == code), None)
    return f"{code} {say(found.label)}" if found is not None else code


def _accounts(pinned: Current) -> Iterable[tuple[str, str]]:
    return ((one.code, f"{one.code} {say(one.label)}") for one in sorted(pinned.catalog.accounts.values(), key=lambda one: one.code))


def _events(pinned: Current) -> Iterable[tuple[str, str]]:
    rules = pinned.catalog.accounting_rules.values()
    return {rule.event: say(rule.label) for rule in reversed(list(rules))}.items()


def _panel(pinned: Current, row: Any) -> str:
    """The voucher, for those who may see legs."""
    if not pinned.plan.may(LEG, "list"):
        return ""
    page = pinned.reader.list(LEG, filters=[Filter("entry", "eq", row.id)], sort=("line",), paths=("line", "account", "side", "amount", "memo"), limit=LEGS_MAX)
    legs = [(account_words(pinned, leg["account"]), leg["memo"] or "", *_sides(leg["side"], leg["amount"])) for leg in page.rows if "amount" in leg.values]
    sums = tuple(sum((leg[at] or ZERO for leg in legs), ZERO) for at in (2, 3))
    return render_template("detail/voucher.html", row=row, legs=legs, debit=sums[0], credit=sums[1], balanced=sums[0] == sums[1],
                           capitals=in_capitals(sums[0]) if locale() == "zh" else "", source=_source(pinned, row), reversals=_reversals(pinned, row))


def _sides(side: str, amount: Decimal) -> tuple[Decimal | None, Decimal | None]:
    return (amount, None) if side == "debit" else (None, amount)


def _source(pinned: Current, row: Any) -> list[tuple[str, Cell]]:
    """The record that caused the entry and the records it is about, as far as this person may read them."""
    address, id = row.values.get("entity"), row.values.get("record_id")
    definition = pinned.catalog.entities.get(str(address))
    if definition is None or id is None:
        return []
    try:
        record = pinned.reader.get(definition.address, int(id), children=False)
    except MetaloomError:
        return [(entity_words(pinned, definition.address), Cell("text", "-"))]
    found = [(entity_words(pinned, definition.address), Cell("link", record.title, href=record_url(definition.address, record.id)))]
    for name, one in definition.fields.items():
        path = resolve(pinned, definition, name) if one.type in LINK_TYPES and one.entity and one.entity != ENTRY else None
        if path is not None and record.values.get(name) is not None and (name in definition.header or one.required):
            found.append((path_label(pinned, definition, path), cell(pinned, path, record)))
    return found


def _reversals(pinned: Current, row: Any) -> list[tuple[str, str, str]]:
    """(kind, words, address) of the entry that this one takes back, and of the one that takes this one back."""
    found = [("reverses", str(row["reversal_of"]), record_url(ENTRY, row["reversal_of"]))] if row.values.get("reversal_of") else []
    later = pinned.reader.list(ENTRY, filters=[Filter("reversal_of", "eq", row.id)], paths=("event",), limit=1)
    return found + [("reversed_by", str(one.id), record_url(ENTRY, one.id)) for one in later.rows]


WORDS[LEG, "account"] = account_words
CODES[LEG, "account"] = _accounts
CODES[ENTRY, "event"] = _events
register(ENTRY, Own(panel=_panel, panel_first=True))
