"""Vouchers in the files of other programs: Beancount, hledger, and the import tables of two Chinese accounting programs.

The plain-text formats are complete books: every account is declared, and the programs' own checkers accept the file. The
tables follow the column order of the import templates of Kingdee K/3 (金蝶, 标准格式凭证引入) and Yonyou U8/T3 (用友, 凭证导入);
installations differ, so whoever imports compares the heads with the template of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from metaloom.ledger.vouchers import Voucher
from metaloom.model import Account, Catalog

Cell = str | int | date | Decimal
_OPENED = "1970-01-01"


@dataclass(frozen=True)
class Chart:
    """Accounts by code, and what events are called."""

    accounts: Mapping[str, Account]
    events: Mapping[str, str]

    @classmethod
    def of(cls, catalog: Catalog, locale: str = "zh") -> Chart:
        return cls({a.code: a for a in catalog.accounts.values()}, {r.event: r.label.say(locale) for r in catalog.accounting_rules.values()})

    def name(self, code: str) -> str:
        return self.accounts[code].label.zh if code in self.accounts else code

    def kind(self, code: str) -> str:
        """Assets, Liabilities, Income or Expenses: by the side on which the account grows and whether it closes; Equity off the books."""
        account = self.accounts.get(code)
        if account is None or account.off_book:
            return "Equity"
        if account.closes_to:
            return "Income" if account.normal == "credit" else "Expenses"
        return "Assets" if account.normal == "debit" else "Liabilities"

    def summary(self, voucher: Voucher) -> str:
        """What a voucher is about, in a line."""
        return voucher.memo or self.events.get(voucher.event, voucher.event)


@dataclass(frozen=True)
class TextFormat:
    """Lines of a plain-text book."""

    suffix: str
    lines: Callable[[Iterable[Voucher], Chart], Iterator[str]]


@dataclass(frozen=True)
class TableFormat:
    """Heads and rows of a table."""

    heads: tuple[str, ...]
    rows: Callable[[Iterable[Voucher], Chart], Iterator[tuple[Cell, ...]]]
    suffix: str = "csv"


def _beancount(vouchers: Iterable[Voucher], chart: Chart) -> Iterator[str]:
    opened: set[str] = set()
    for voucher in vouchers:
        for code in dict.fromkeys(line.account for line in voucher.lines):
            if code not in opened:
                opened.add(code)
                yield f"{_OPENED} open {_beancount_account(chart, code)}  ; {_plain(chart.name(code))}"
        links = f" ^entry-{voucher.id}" + (f" ^entry-{voucher.reversal_of}" if voucher.reversal_of else "")
        yield f'{voucher.booking_date.isoformat()} * "{_quoted(chart.summary(voucher))}"{links}'
        yield f'  voucher: "{voucher.id}"'
        yield f"  value_date: {voucher.value_date.isoformat()}"
        for line in voucher.lines:
            yield f"  {_beancount_account(chart, line.account)}  {line.signed:.2f} {voucher.currency}"
        yield ""


def _beancount_account(chart: Chart, code: str) -> str:
    return f"{chart.kind(code)}:A{re.sub(r'[^A-Za-z0-9]', '-', code)}"


def _hledger(vouchers: Iterable[Voucher], chart: Chart) -> Iterator[str]:
    declared: set[str] = set()
    for voucher in vouchers:
        if voucher.currency not in declared:
            declared.add(voucher.currency)
            yield f"commodity {voucher.currency} 1000.00"
        for code in dict.fromkeys(line.account for line in voucher.lines):
            if code not in declared:
                declared.add(code)
                yield f"account {_hledger_account(chart, code)}  ; {_plain(chart.name(code))}"
        yield (f"{voucher.booking_date.isoformat()}={voucher.value_date.isoformat()} * ({voucher.id}) {_plain(chart.summary(voucher)).replace('|', '/')}"
               + (f"  ; reversal_of: {voucher.reversal_of}" if voucher.reversal_of else ""))
        for line in voucher.lines:
            yield f"    {_hledger_account(chart, line.account)}  {voucher.currency} {line.signed:.2f}"
        yield ""


def _hledger_account(chart: Chart, code: str) -> str:
    return f"{chart.kind(code).lower()}:{re.sub(r'[^A-Za-z0-9.]', '-', code)}"


_KINGDEE = ("凭证日期", "会计年度", "会计期间", "凭证字", "凭证号", "科目代码", "科目名称", "币别代码", "原币金额", "借方", "贷方", "制单", "凭证摘要",
            "业务日期", "附件数", "序号", "分录序号", "汇率")


def _kingdee(vouchers: Iterable[Voucher], chart: Chart) -> Iterator[tuple[Cell, ...]]:
    zero = Decimal("0.00")
    for place, voucher in enumerate(vouchers, start=1):
        for number, line in enumerate(voucher.lines, start=1):
            debit, credit = (line.amount, zero) if line.side == "debit" else (zero, line.amount)
            yield (voucher.booking_date, voucher.booking_date.year, voucher.booking_date.month, "记", voucher.id, line.account, chart.name(line.account),
                   voucher.currency, line.amount, debit, credit, voucher.author, line.memo or chart.summary(voucher), voucher.value_date, 0, place,
                   number, 1)


_YONYOU = ("制单日期", "凭证类别", "凭证号", "附单据数", "摘要", "科目编码", "借方金额", "贷方金额", "数量", "外币", "汇率", "制单人", "结算方式", "票号",
           "发生日期")


def _yonyou(vouchers: Iterable[Voucher], chart: Chart) -> Iterator[tuple[Cell, ...]]:
    for voucher in vouchers:
        for line in voucher.lines:
            debit, credit = (line.amount, "") if line.side == "debit" else ("", line.amount)
            yield (voucher.booking_date, "记", voucher.id, 0, line.memo or chart.summary(voucher), line.account.replace(".", ""), debit, credit, "", "", "",
                   voucher.author, "", "", voucher.value_date)


FORMATS: Mapping[str, TextFormat | TableFormat] = {
    "beancount": TextFormat("beancount", _beancount), "hledger": TextFormat("journal", _hledger),
    "kingdee": TableFormat(_KINGDEE, _kingdee), "yonyou": TableFormat(_YONYOU, _yonyou),
}


def _plain(text: str) -> str:
    """One line without what begins a comment."""
    return re.sub(r"[\s;]+", " ", text).strip() or "-"


def _quoted(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace('"', '\\"')
