"""Number series count, accounting rules balance."""

from __future__ import annotations

import re

from metaloom import expression as ex
from metaloom.base.position import Position
from metaloom.compile.checks.look import say, spot
from metaloom.compile.codes import finding_said
from metaloom.compile.context import Context
from metaloom.compile.expressions import code_of
from metaloom.compile.schema import _did_you_mean
from metaloom.model import AccountingRule, Catalog

_SLOT = re.compile(r"\{([^{}]*)\}")
_DATES = {"yyyy": ("year",), "yy": ("year",), "MM": ("month",), "dd": ("day",), "yyyyMM": ("year", "month"), "yyMM": ("year", "month"),
          "MMdd": ("month", "day"), "yyyyMMdd": ("year", "month", "day"), "yyMMdd": ("year", "month", "day")}
_NEEDED = {"company": set[str](), "year": {"year"}, "month": {"year", "month"}, "day": {"year", "month", "day"}}


def series_count(catalog: Catalog, context: Context) -> None:
    """A pattern holds one counter, known slots only, and the dates by which its counter starts anew (else numbers come twice)."""
    for series in catalog.series.values():
        pack, _, name = series.address.partition(".")
        where = spot(context, pack, "number_series", name, "pattern")
        slots = _SLOT.findall(series.pattern)
        rest = _SLOT.sub("", series.pattern)
        counters = [s for s in slots if re.fullmatch(r"seq:(?:[1-9]|1[0-2])", s)]
        unknown = [s for s in slots if s not in _DATES and s not in counters]
        if len(counters) != 1:
            say(context, "ML-SERIES-001", where, series.address, found=len(counters))
        if unknown or "{" in rest or "}" in rest:
            say(context, "ML-SERIES-002", where, series.address, found=unknown[0] if unknown else rest, known=", ".join((*_DATES, "seq:6")))
        for unit in series.per:
            if not _tells(slots, unit):
                say(context, "ML-SERIES-003", where, series.address, unit=unit)


def _tells(slots: list[str], unit: str) -> bool:
    """Whether the pattern shows enough of the date: per day needs year, month and day."""
    shown = {part for slot in slots for part in _DATES.get(slot, ())}
    return _NEEDED[unit] <= shown


def accounts_exist(catalog: Catalog, context: Context) -> None:
    """A leg posts to an account of the chart."""
    codes = {account.code for account in catalog.accounts.values()}
    for rule in catalog.accounting_rules.values():
        for index, leg in enumerate(rule.legs):
            if leg.account not in codes:
                where = _leg(context, rule, index, "account")
                say(context, "ML-REF-001", where, rule.address, what="account", name=leg.account, hint=_did_you_mean(leg.account, codes))


def accounts_close(catalog: Catalog, context: Context) -> None:
    """A balance is handed to an account of the same books that hands nothing on itself."""
    accounts = {account.code: account for account in catalog.accounts.values()}
    for account in catalog.accounts.values():
        if not account.closes_to:
            continue
        pack, _, _ = account.address.partition(".")
        where, target = spot(context, pack, "accounts", account.code, "closes_to"), accounts.get(account.closes_to)
        if target is None:
            say(context, "ML-REF-001", where, account.address, what="account", name=account.closes_to,
                hint=_did_you_mean(account.closes_to, set(accounts)))
        elif target.closes_to or target.off_book is not account.off_book:
            say(context, "ML-LEDGER-004", where, account.address, target=target.code)


def legs_can_balance(catalog: Catalog, context: Context) -> None:
    """Both sides have a leg, in the books and off the books apart."""
    off_book = {account.code: account.off_book for account in catalog.accounts.values()}
    for rule in catalog.accounting_rules.values():
        for off in (False, True):
            legs = [leg for leg in rule.legs if off_book.get(leg.account, False) is off]
            if legs and len({leg.side for leg in legs}) < 2:
                say(context, "ML-LEDGER-001", _rule(context, rule, "legs"), rule.address, side=legs[0].side, books="off the books" if off else "in the books")


def rules_are_reachable(catalog: Catalog, context: Context) -> None:
    """Of several rules for one event the first whose condition holds wins: one without condition ends the list."""
    closed: dict[tuple[str, str], str] = {}
    for rule in catalog.accounting_rules.values():
        key = (rule.address.partition(".")[0], rule.event)
        if key in closed:
            say(context, "ML-LEDGER-002", rule.position, rule.address, event=rule.event, other=closed[key])
        elif not rule.when:
            closed[key] = rule.address


def conditions_have_types(catalog: Catalog, context: Context) -> None:
    """A condition reads the amounts of its event and declared facts, each of one type in all rules of the event, and is true or false."""
    for event in dict.fromkeys(rule.event for rule in catalog.accounting_rules.values()):
        rules = [rule for rule in catalog.accounting_rules.values() if rule.event == event]
        known: dict[str, str] = {leg.amount: "decimal" for rule in rules for leg in rule.legs}
        for rule in rules:
            for name, kind in rule.facts.items():
                if known.setdefault(name, kind) != kind:
                    say(context, "ML-LEDGER-003", _rule(context, rule, "facts", name), rule.address, name=name, kind=kind, other=known[name], event=event)
        scope = ex.Scope({name: _TYPES[kind] for name, kind in known.items()})
        for rule in rules:
            if rule.when:
                _compiles(context, rule, scope)


_TYPES = {"text": ex.TEXT, "integer": ex.INT, "decimal": ex.DECIMAL, "boolean": ex.BOOL, "date": ex.DATE, "datetime": ex.DATETIME}


def _compiles(context: Context, rule: AccountingRule, scope: ex.Scope) -> None:
    try:
        ex.compile(rule.when, scope, ex.BOOL, frozenset({"python"}))
    except ex.ExpressionError as error:
        context.report(finding_said(code_of(error), _rule(context, rule, "when"), error.localized("zh"), address=rule.address, detail=error.message,
                                    hint=error.hint or ""))


def _rule(context: Context, rule: AccountingRule, *path: str) -> Position:
    pack, _, name = rule.address.partition(".")
    return spot(context, pack, "accounting_rules", name, *path)


def _leg(context: Context, rule: AccountingRule, index: int, key: str) -> Position:
    return _rule(context, rule, "legs", str(index), key)
