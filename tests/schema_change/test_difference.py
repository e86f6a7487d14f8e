"""What ``metaloom plan`` says of changed metadata: every part of a catalog by its address, not only tables."""

import dataclasses
from pathlib import Path

import pytest

from metaloom.compile import compile_catalog, read_sources
from metaloom.model import Catalog
from metaloom.schema_change import differences
from metaloom.schema_change.difference import PARTS
from tests.compile.shop import ENGINE, SHOP, Source, catalog

CUSTOMER, ORDER, LIFE, ACTIONS, SCREENS, BASICS = (
    "shop/sales/customer/entity.yaml", "shop/sales/order_form/entity.yaml", "shop/sales/order_form/lifecycle.yaml",
    "shop/sales/order_form/actions.yaml", "shop/sales/order_form/screens.yaml", "shop/basics.yaml")
REST = frozenset({"digest", "warnings"})


def said(path: str, old: str, new: str) -> list[str]:
    assert SHOP[path].count(old) == 1, "the text to change stands there once"
    return [one.say() for one in differences(catalog(), catalog({path: SHOP[path].replace(old, new)}))]


def test_nothing_changed_is_nothing_said_also_where_lines_moved() -> None:
    assert differences(catalog(), catalog({CUSTOMER: "# a comment\n" + SHOP[CUSTOMER]})) == ()


def test_every_part_of_a_catalog_is_compared() -> None:
    assert set(PARTS) | REST == {one.name for one in dataclasses.fields(Catalog)}


@pytest.mark.parametrize(("path", "old", "new", "line"), [
    (CUSTOMER, "max: 100000", "max: 500000", "~ entity shop.customer/entity/fields/credit/max: 100000 → 500000"),
    (CUSTOMER, "credit > 0", "credit > 1", "~ entity shop.customer/entity/rules/vip_has_credit/check: credit > 0 → credit > 1"),
    (CUSTOMER, "unmask]", "unmask, history]", "shop.customer/access/shop.boss/actions"),
    (CUSTOMER, "mobile: masked", "mobile: write", "shop.customer/access/shop.clerk/fields"),
    (LIFE, 'when: "total > 0"', 'when: "total > 5"', "~ lifecycle shop.order_form/lifecycle/transitions/sell/when: total > 0 → total > 5"),
    (ACTIONS, "    maker_is_not: created_by\n", "", "~ action shop.order_form/actions/sell/maker_is_not: created_by → nothing"),
    (SCREENS, "search: [order_no, customer, status]", "search: [customer, order_no, status]", "shop.order_form/list/search"),
    (SCREENS, "columns: [order_no, total]", "columns: [total, order_no]", "~ list shop.order_form/lists/big/columns (order): [order_no, total]"),
    (SCREENS, "fields: [lines, total]", "fields: [total, lines]", "~ form shop.order_form/form/sections/detail/fields: [lines, total] → [total, lines]"),
    (SCREENS, "total > 1000 and", "total > 2000 and", "shop.order_form/access/shop.boss/big/condition"),
    (BASICS, "boss: {label: {zh: 店长, en: Boss}}", "boss: {label: {zh: 老板, en: Boss}}", "~ role shop/roles/boss/label: 店长 → 老板"),
    (BASICS, "vip: {label: {zh: 贵宾", "vip: {label: {zh: 大客户", "shop/choices/level/items/vip/label: 贵宾 → 大客户"),
    (BASICS, 'cron: "0 6 * * 1-5"', 'cron: "0 7 * * 1-5"', "shop/jobs/remind"),
    (BASICS, '"1001", side: debit, amount: total', '"1001", side: debit, amount: paid', "accounting rule shop/accounting_rules"),
])
def test_a_change_is_said_at_its_address(path: str, old: str, new: str, line: str) -> None:
    lines = said(path, old, new)
    assert any(line in one for one in lines), lines
    assert len(lines) <= 3, lines


def test_what_comes_and_goes_is_one_line_each() -> None:
    lines = said(CUSTOMER, "    born_on: {type: date, label: {zh: 生日, en: Born}}\n", "    fax: {type: text, label: {zh: 传真, en: Fax}}\n")
    assert {"- entity shop.customer/entity/fields/born_on", "+ entity shop.customer/entity/fields/fax"} <= set(lines)
    assert all(one.verb == "added" for one in differences(None, catalog()))


def test_a_step_taken_out_of_an_approval_chain_is_said() -> None:
    root = Path(__file__).parents[1] / "packs"
    texts = read_sources({"engine": Path(__file__).parents[2] / "metadata", "pack": root}, ("guild",))
    path = next(one for one in texts if one.path.endswith("request/approval.yaml"))
    old, new = 'start: {roles: [clerk], when: "amount < 1000000"', 'start: {roles: [clerk], when: "amount < 5000"'
    assert path.text.count(old) == 1
    other = tuple(Source(one.layer, one.path, one.text.replace(old, new)) if one is path else one for one in texts)
    lines = [one.say() for one in differences(compile_catalog(texts), compile_catalog(other))]
    assert lines == ["~ approval chain guild.request/approval/main/start/when: amount < 1000000 → amount < 5000"]
    assert ENGINE
