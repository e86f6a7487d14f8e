"""Other programs accept our books: their own checkers say so, and the sums they come to are ours."""

import csv
import io
import shutil
import subprocess
from datetime import date
from decimal import Decimal

import pytest

from metaloom.cli.ledger import _write
from metaloom.ledger import trial_balance, vouchers
from metaloom.ledger.formats import FORMATS, Chart
from tests.ledger.test_ledger import book, entry


@pytest.fixture(scope="module")
def booked(club):
    first = book(club, entry(record=51, total="1000.10", fee="900.10", gift="100.00", facts={"memo": '=1+1 "甲"; 乙 | 丙 \\'}))[0]
    book(club, entry("fee_out", record=51, fee="0.10"), entry(record=51, reversal_of=first, day=date(2026, 4, 1)),
         entry(record=52, total="7.00", fee="7.00", company=2))
    return club


def written(club, name, **which):
    out = io.StringIO()
    with club.tenant.read() as conn:
        number = _write(name, vouchers(conn, club.tenant.revision().tables, **which), Chart.of(club.tenant.revision().catalog), out)
    return number, out.getvalue()


def ours(club):
    with club.tenant.read() as conn:
        return {b.account: b.balance for b in trial_balance(conn, club.tenant.revision().tables) if b.balance}


def test_beancount_finds_no_error_and_comes_to_the_same_balances(booked):
    from beancount import loader
    from beancount.core import data, realization

    number, text = written(booked, "beancount")
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    assert sum(isinstance(one, data.Transaction) for one in entries) == number == 4
    theirs = {}
    for node in realization.iter_children(realization.realize(entries)):
        for position in node.balance:
            theirs[node.account.rpartition(":A")[2]] = position.units.number
    assert theirs == ours(booked)


def test_beancount_refuses_what_we_would_have_written_wrong(booked):
    from beancount import loader

    _, text = written(booked, "beancount")
    _, errors, _ = loader.load_string(text.replace("1000.10 CNY", "1000.11 CNY", 1))
    assert errors, "the checker must be able to fail"


def test_hledger_checks_strictly_and_comes_to_the_same_balances(booked, tmp_path):
    program = shutil.which("hledger")
    if program is None:
        pytest.skip("hledger is not installed")
    _, text = written(booked, "hledger")
    journal = tmp_path / "books.journal"
    journal.write_text(text, encoding="utf-8")
    run = [program, "-f", str(journal)]
    environment = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    checked = subprocess.run([*run, "check", "--strict"], capture_output=True, text=True, env=environment, check=False)
    assert checked.returncode == 0, checked.stderr
    listed = subprocess.run([*run, "balance", "--flat", "--no-total", "-O", "csv"], capture_output=True, text=True, env=environment, check=True)
    theirs = {row["account"].rpartition(":")[2]: Decimal(row["balance"].removeprefix("CNY").strip()) for row in csv.DictReader(io.StringIO(listed.stdout))}
    assert theirs == ours(booked)
    journal.write_text(text.replace("CNY 1000.10", "CNY 1000.11", 1), encoding="utf-8")
    assert subprocess.run([*run, "check"], capture_output=True, env=environment, check=False).returncode != 0


@pytest.mark.parametrize(("name", "debit", "credit"), [("kingdee", "借方", "贷方"), ("yonyou", "借方金额", "贷方金额")])
def test_import_tables_balance_by_voucher_and_hold_no_formula(booked, name, debit, credit):
    number, text = written(booked, name)
    rows = list(csv.DictReader(io.StringIO(text)))
    by_voucher = {}
    for row in rows:
        by_voucher.setdefault(row["凭证号"], []).append(Decimal(row[debit] or 0) - Decimal(row[credit] or 0))
        assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
    assert len(by_voucher) == number == 4
    assert all(sum(signed) == 0 for signed in by_voucher.values())
    assert {row["摘要" if name == "yonyou" else "凭证摘要"] for row in rows} >= {"'=1+1 \"甲\"; 乙 | 丙 \\", "退费"}


def test_vouchers_are_chosen_by_company_and_booking_date(booked):
    with booked.tenant.read() as conn:
        tables = booked.tenant.revision().tables
        assert [len(one.lines) for one in vouchers(conn, tables, company_id=2)] == [2]
        assert [one.booking_date for one in vouchers(conn, tables, since=date(2026, 4, 1))] == [date(2026, 4, 1)]
        assert len(list(vouchers(conn, tables, until=date(2026, 3, 31)))) == 3
        assert not list(vouchers(conn, tables, since=date(2027, 1, 1)))
    assert set(FORMATS) == {"beancount", "hledger", "kingdee", "yonyou"}
