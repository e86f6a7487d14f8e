"""Catalogs of tenants that differ in little share what is equal, and nothing that is not (memory of a process with many tenants)."""

from decimal import Decimal

from metaloom.compile.node import Node
from metaloom.compile.shared import shared
from tests.compile.shop import catalog

CUSTOMER = "shop/sales/customer/x.yaml"


def test_a_tenant_with_a_field_more_shares_every_part_that_says_the_same():
    plain = catalog()
    wider = catalog(client={CUSTOMER: "overlay:\n- {add: entity/fields/wechat, value: {type: text, label: {zh: 微信, en: WeChat}}, after: mobile}\n"})
    own, others = wider.entities["shop.customer"], plain.entities["shop.customer"]
    assert own is not others and "wechat" in own.fields and "wechat" not in others.fields
    assert all(own.fields[name] is field for name, field in others.fields.items())
    assert {a for a, entity in plain.entities.items() if wider.entities[a] is not entity} == {"shop.customer"}
    assert all(wider.roles[a] is role for a, role in plain.roles.items()) and plain.roles
    grants = [(one, wider.grants[a][at]) for a, held in plain.grants.items() for at, one in enumerate(held)]
    assert grants and all(one is other for one, other in grants)


def test_a_changed_field_is_the_tenants_own_and_the_other_keeps_what_it_says():
    plain = catalog()
    changed = catalog(client={CUSTOMER: "overlay:\n- {set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}\n"})
    again = catalog()
    assert changed.entities["shop.customer"].fields["name"].label.zh == "客户姓名"
    assert again.entities["shop.customer"].fields["name"].label.zh == plain.entities["shop.customer"].fields["name"].label.zh == "客户名称"


def test_equal_values_of_other_texts_stay_as_they_are_spelled():
    one, other = Node(Decimal("0.1")), Node(Decimal("0.10"))
    assert f"{shared(one, Decimal('0.1'))} {shared(other, Decimal('0.10'))}" == "0.1 0.10"
    kept = shared(one, ("a", 1))
    assert shared(one, ("a", 1)) is kept and shared(one, ("a", 2)) == ("a", 2)
