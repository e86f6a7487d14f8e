"""A whole pack becomes a catalog."""

import re
from decimal import Decimal
from types import MappingProxyType

import pytest

from metaloom import expression as ex
from metaloom.base.diagnostic import MetadataRefused
from metaloom.base.text import Text
from metaloom.compile import action_scope, compile_catalog, entity_scope
from metaloom.model import FieldLevel, FieldType
from tests.compile.shop import NO_PLUGINS, SHOP, catalog, findings, shop, sources


def test_the_shop_compiles_without_a_word() -> None:
    assert findings(shop()) == ()


def test_short_names_become_addresses() -> None:
    made = catalog()
    order = made.entities["shop.order_form"]
    assert order.fields["customer"].entity == "shop.customer"
    assert order.fields["order_no"].series == "shop.order_no"
    assert order.fields["lines"].parent_field == "order_form"
    assert made.entities["shop.customer"].related == {"orders": "shop.order_form.customer"}
    assert made.menus["shop.sales"].items["big"].list == "shop.order_form/big"
    assert made.quick_links["shop.new_order"].roles == ("shop.clerk",)
    assert made.entities["shop.order_line"].child_of == "shop.order_form"


def test_values_keep_their_kind() -> None:
    fields = catalog().entities["shop.customer"].fields
    assert fields["credit"].max == Decimal(100000) and fields["credit"].default == "0"
    assert catalog().entities["shop.product"].fields["price"].min == Decimal("0.01")
    assert fields["name"].label == Text("客户名称", "Name")
    assert fields["name"].address == "shop.customer/field/name"
    assert fields["mobile"].type is FieldType.PHONE


def test_what_nobody_wrote_is_generated() -> None:
    made = catalog()
    view = made.lists["shop.customer/main"]
    assert tuple(view.columns)[:2] == ("name", "customer_no") and view.sort == ("-created_at",) and view.label == Text("客户", "Customer")
    assert "mobile" not in view.search
    assert made.forms["shop.customer"].sections["basic"].fields == ("customer_no", "name", "mobile", "level", "credit", "born_on")
    assert "order_form" not in made.forms["shop.order_line"].sections["basic"].fields
    assert made.lifecycles["shop.order_form"].transitions["cancel"].label == Text("作废", "Void")
    assert made.entities["shop.product"].table == "shop__product"


def test_grants_are_made_of_both_forms() -> None:
    made = catalog()
    main = made.grants["shop.customer"][0]
    assert (main.role, main.name, main.scope) == ("shop.clerk", "main", "self")
    assert main.fields == {"*": FieldLevel.WRITE, "mobile": FieldLevel.MASKED}
    assert [g.name for g in made.grants["shop.order_form"]] == ["main", "own", "big"]


def test_steps_keep_their_verbs() -> None:
    steps = catalog().actions["shop.order_form/sell"].steps
    assert [s.verb for s in steps] == ["check", "for_each", "if", "transition"]
    assert [s.verb for s in steps[1].steps] == ["get", "update"]
    assert steps[1].steps[1].expect == "one" and steps[2].otherwise[0].when == "note is null"


def test_the_catalog_is_frozen() -> None:
    made = catalog()
    for value in vars(made).values():
        if hasattr(value, "keys") and not isinstance(value, dict):
            assert isinstance(value, MappingProxyType)
    with pytest.raises(TypeError):
        made.entities["shop.customer"].fields["x"] = None  # type: ignore[index]


def test_every_definition_knows_its_line() -> None:
    field = catalog().entities["shop.customer"].fields["mobile"]
    line = SHOP["shop/sales/customer/entity.yaml"].splitlines()[field.position.line - 1]
    assert field.position.file == "shop/sales/customer/entity.yaml" and line.strip().startswith("mobile:")


def test_the_same_content_in_other_files_has_the_same_digest() -> None:
    whole = catalog().digest
    parts = SHOP["shop/basics.yaml"]
    cut = parts.index("choices:")
    split = {"shop/basics.yaml": None, "shop/zz.yaml": parts[:cut], "shop/sales/aa.yaml": parts[cut:]}
    order = "\n".join(SHOP[f"shop/sales/order_form/{name}.yaml"] for name in ("screens", "actions", "entity", "lifecycle"))
    joined = {f"shop/sales/order_form/{name}.yaml": None for name in ("screens", "actions", "entity", "lifecycle")}
    assert catalog({**split, **joined, "shop/sales/order_form/all.yaml": order}).digest == whole
    assert compile_catalog(tuple(reversed(shop()))).digest == whole
    commented = {path: "# a word\n" + text for path, text in SHOP.items()}
    assert catalog(commented).digest == whole


def test_attributes_have_no_order_but_fields_have() -> None:
    path = "shop/sales/product/entity.yaml"
    swapped = SHOP[path].replace("{type: text, required: true,", "{required: true, type: text,")
    assert swapped != SHOP[path] and catalog({path: swapped}).digest == catalog().digest
    lines = SHOP[path].splitlines(keepends=True)
    price = next(i for i, line in enumerate(lines) if line.strip().startswith("price:"))
    lines[price], lines[price + 1] = lines[price + 1], lines[price]
    assert catalog({path: "".join(lines)}).digest != catalog().digest


def test_every_change_of_a_word_changes_the_digest() -> None:
    path = "shop/sales/customer/entity.yaml"
    assert catalog({path: SHOP[path].replace("客户名称", "客户姓名")}).digest != catalog().digest


def test_a_json_file_is_read_like_yaml() -> None:
    made = catalog({"shop/sales/module.yaml": None, "shop/sales/module.json": '{"module": {"label": {"zh": "销售", "en": "Sales"}}}'})
    assert made.digest == catalog().digest


def test_an_overlay_gives_the_digest_of_the_same_thing_written_out() -> None:
    over = catalog(client={"shop/sales/customer/x.yaml": "overlay:\n- {set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}\n"})
    assert over.digest == catalog({"shop/sales/customer/entity.yaml": SHOP["shop/sales/customer/entity.yaml"].replace("客户名称", "客户姓名")}).digest


# -- scopes ------------------------------------------------------------------------------------------------------------


def verdict(scope: ex.Scope, text: str) -> str:
    """The type of an expression, or the code of what is wrong with it."""
    try:
        return str(ex.compile(text, scope, None, frozenset({ex.PYTHON})).type)
    except ex.ExpressionError as error:
        return error.code


@pytest.mark.parametrize(("text", "expected"), [
    ("credit + 1", "decimal"), ("level == 'vip'", "bool"), ("level == 'nobody'", "expression.unknown_choice"),
    ("company == user.company", "bool"), ("owner.display_name", "text"), ("org_unit.company.name", "text"), ("id", "record(shop.customer)"),
    ("created_by == user.id", "bool"), ("created_at", "datetime"), ("business_date()", "date"), ("nonsense", "expression.unknown_name"),
    ("company == owner", "expression.operands"), ("id_card_birthday(customer_no)", "date"),
])
def test_the_names_of_an_entity(text: str, expected: str) -> None:
    assert verdict(entity_scope(catalog(), "shop.customer"), text) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("input.paid >= total", "bool"), ("record.total", "decimal"), ("record.customer == customer.id", "bool"), ("record", "record(shop.order_form)"),
    ("lines", "expression.children_alone"), ("sum(lines.amount)", "decimal"), ("input.nothing", "expression.unknown_name"),
])
def test_the_names_of_an_action(text: str, expected: str) -> None:
    made = catalog()
    assert verdict(action_scope(made, made.actions["shop.order_form/sell"]), text) == expected


def test_extra_names_enter_a_scope_of_their_own() -> None:
    made = catalog()
    assert verdict(entity_scope(made, "shop.customer", extra={"limit": ex.INT}), "credit > limit") == "bool"
    assert verdict(entity_scope(made, "shop.customer"), "credit > limit") == "expression.unknown_name"


def test_scopes_do_not_keep_an_old_catalog_alive() -> None:
    import gc
    import weakref

    made = catalog()
    entity_scope(made, "shop.customer")
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


# -- packs and formats -------------------------------------------------------------------------------------------------


def test_a_pack_of_format_0_is_upgraded() -> None:
    old = {path: re.sub(r"\blabel:", "caption:", text).replace("format: 1", "format: 0") for path, text in SHOP.items()}
    assert "label:" not in old["shop/basics.yaml"]
    assert catalog(old).digest == catalog().digest
    assert findings(shop(old)) == ()


def test_an_overlay_of_an_old_pack_speaks_the_current_format() -> None:
    old = {path: re.sub(r"\blabel:", "caption:", text).replace("format: 1", "format: 0") for path, text in SHOP.items()}
    over = "overlay:\n- {set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}\n"
    assert catalog(old, client={"shop/sales/customer/x.yaml": over}).entities["shop.customer"].fields["name"].label.zh == "客户姓名"


def test_a_finding_in_an_expression_points_into_its_text() -> None:
    path = "shop/sales/customer/entity.yaml"
    for written in ('check: "credit > limti"', "check: credit > limti", "check: 'credit  > limti'"):
        [found] = findings(shop({path: SHOP[path].replace('check: "credit > 0"', written)}))
        line = SHOP[path].replace('check: "credit > 0"', written).splitlines()[found.position.line - 1]
        assert line[found.position.column - 1:].startswith("limti"), (written, found.position)


def test_a_pack_of_the_real_size_compiles_within_a_second() -> None:
    """Forty entities of fifteen fields, with expressions, from cold caches; the processor's time, not the wall's."""
    import time

    from metaloom.compile import document, load

    text = SHOP["shop/sales/customer/entity.yaml"].replace("  related:\n    orders: {entity: order_form, field: customer, label: {zh: 订单, en: Orders}}\n", "")
    more = "".join(f"    f{i}: {{type: money, min: 0, visible_when: \"credit > {i}\", label: {{zh: 金额{i}, en: Amount {i}}}}}\n" for i in range(9))
    many = {f"shop/sales/c{i}/entity.yaml": text.replace("    born_on:", more + "    born_on:") for i in range(40)}
    for cache in (load._load, document._read):
        cache.cache_clear()
    begin = time.process_time()
    made = catalog(many)
    seconds = time.process_time() - begin
    assert sum(len(e.fields) for e in made.entities.values()) > 600
    assert seconds < 2, seconds  # alone on a core it takes half a second


def test_a_format_0_key_in_a_format_1_pack_is_refused() -> None:
    found = findings(shop({"shop/sales/module.yaml": "module:\n  caption: {zh: 销售, en: Sales}\n"}))
    assert {d.code for d in found} == {"ML-SCHEMA-002", "ML-SCHEMA-003"}


def test_a_pack_of_the_future_is_refused() -> None:
    found = findings(shop({"shop/pack.yaml": SHOP["shop/pack.yaml"].replace("format: 1", "format: 3")}))
    assert "ML-PACK-005" in {d.code for d in found}


def test_all_findings_come_at_once_and_in_file_order() -> None:
    with pytest.raises(MetadataRefused) as caught:
        compile_catalog(shop({
            "shop/sales/product/entity.yaml": SHOP["shop/sales/product/entity.yaml"].replace("title: name", "titel: name").replace("money", "mony"),
            "shop/sales/module.yaml": "module: 1\n"}), plugins=NO_PLUGINS)
    found = caught.value.diagnostics
    assert len(found) == 4 and list(found) == sorted(found, key=lambda d: (d.position, d.code))
    assert any("did you mean title?" in d.hint for d in found) and any("did you mean money?" in d.hint for d in found)


def test_the_tenant_card_becomes_settings() -> None:
    card = "tenant:\n  label: {zh: 甲, en: A}\n  packs: [platform, shop]\n  settings: {accent: '#206bc4'}\n"
    made = compile_catalog((*shop(), *sources({"tenant.yaml": card}, "client")))
    assert made.settings["accent"] == "#206bc4" and made.settings["label"] == Text("甲", "A")
