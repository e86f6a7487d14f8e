"""The role matrix: read, changed as a draft, judged and published as an overlay of the site; never beyond one's own rights, never to a lock-out."""

import re
from dataclasses import replace
from types import MappingProxyType

import pytest

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.base.errors import Conflict, Invalid, NotAllowed, NotPossible
from metaloom.command.change_rights import FILE, draft_rights, granted, publish_rights, refuse_lockout
from metaloom.plugin.registry import installed
from metaloom.schema_change import rollback, sources_of
from tests.web.site import PASSWORD, context_of

BUYER, PAGE = "shop.buyer", "/access/rights/"


@pytest.fixture(scope="module", autouse=True)
def keeper(tenancy):
    """An administrator, who sees no business data by that."""
    system = command.system_context(tenancy.open("beta"), plugins=installed(), clock=SystemClock())
    user = command.save_user(system, None, {"username": "keeper", "display_name": "管理员", "email": "k@example.com"}, password=PASSWORD).id
    command.assign_role(system, user, "platform.admin")


@pytest.fixture
def tenant(tenancy):
    """What a test publishes is taken back."""
    found = tenancy.open("beta")
    yield found
    rollback(found, 1)


@pytest.fixture
def admin(tenant):
    return context_of(tenant, "keeper")


def value_of(ctx, id):
    return next(one for one in granted(ctx, BUYER) if one.id == id)


def without(ctx, id, *actions):
    known = value_of(ctx, id).value
    return {id: {**known, "actions": [name for name in known["actions"] if name not in actions]}}


def test_only_administrators_look_at_the_matrix(visitor, tenant):
    assert visitor("li", "beta").get(PAGE).status_code == 403
    with pytest.raises(NotAllowed):
        draft_rights(context_of(tenant, "li"), BUYER, {})
    page = visitor("keeper", "beta").get(f"{PAGE}?entity={BUYER}").text
    held = set(re.findall(r'name="may\|(\w+)" value="(\w+)"[^>]*? checked', page))
    assert {("seller", "export"), ("viewer", "read")} <= held and ("viewer", "export") not in held
    assert visitor("keeper", "beta").get(f"{PAGE}?role=shop.viewer").text.count("本公司") >= 2
    assert visitor("keeper", "beta").get(f"{PAGE}?entity=shop.nothing").status_code == 404


def test_a_right_is_taken_away_as_an_overlay_that_says_what_it_saw(admin, tenant, visitor):
    wanted = without(admin, "seller", "export")
    draft = draft_rights(admin, BUYER, wanted)
    (effect,) = draft.effects
    assert (effect.role, effect.more, effect.less, draft.beyond) == ("shop.seller", (), ("export",), ())
    assert tenant.revision().number == 1                                    # a draft writes nothing
    made = publish_rights(admin, BUYER, wanted, "导出由他人负责", 1)
    (site,) = [one for one in sources_of(tenant, made.number) if one.layer == "site"]
    assert site.path == FILE and '"set": "shop.buyer/access/seller"' in site.text and '"was"' in site.text
    assert not context_of(tenant, "li").plan.may(BUYER, "export") and context_of(tenant, "li").plan.may(BUYER, "edit")
    known = value_of(context_of(tenant, "keeper"), "seller")
    assert known.layer == "site" and "export" in known.base["actions"] and "export" not in known.value["actions"]
    assert visitor("li", "beta").get("/e/shop.buyer/export?format=csv").status_code == 403


def test_nobody_grants_what_they_lack_and_the_text_for_the_owner_is_there(admin, tenant, visitor):
    known = value_of(admin, "viewer").value
    wanted = {"viewer": {**known, "actions": [*known["actions"], "export"]}}
    draft = draft_rights(admin, BUYER, wanted)
    assert [one.what for one in draft.beyond] == [f"{BUYER}/access/shop.viewer/main: export"]
    with pytest.raises(NotAllowed):
        publish_rights(admin, BUYER, wanted, "试试", 1)
    assert tenant.revision().number == 1
    person = visitor("keeper", "beta")
    form = {"entity": BUYER, "base": "1", "do": "look", "scope|viewer": "company", "may|viewer": ["list", "read", "export"]}
    page = person.post(PAGE, form).text
    assert "metaloom apply" in page and '"set": "shop.buyer/access/viewer"'.replace('"', "&#34;") in page and 'value="publish"' not in page
    assert person.post(PAGE, {**form, "do": "publish", "reason": "x"}).status_code == 403


def test_back_to_what_the_pack_says_leaves_no_overlay(admin, tenant):
    publish_rights(admin, BUYER, without(admin, "seller", "export"), "一", 1)
    owner = replace(context_of(tenant, "keeper"), system=True)              # on the machine
    made = publish_rights(owner, BUYER, {"seller": value_of(owner, "seller").base}, "二", tenant.revision().number)
    assert not [one for one in sources_of(tenant, made.number) if one.layer == "site"]


def test_through_the_browser_with_reason_and_only_on_what_was_looked_at(admin, tenant, visitor):
    person = visitor("keeper", "beta")
    form = {"entity": BUYER, "base": "1", "do": "publish", "scope|viewer": "company", "may|viewer": ["list"]}
    assert person.post(PAGE, form).status_code == 422 and tenant.revision().number == 1
    assert person.post(PAGE, {**form, "reason": "收回查看"}).status_code == 303 and tenant.revision().number > 1
    assert not context_of(tenant, "han").plan.may(BUYER, "read")
    with pytest.raises(Conflict):                                           # somebody published meanwhile
        publish_rights(context_of(tenant, "keeper"), BUYER, without(admin, "seller", "history"), "晚了", 1)


def test_what_somebody_published_meanwhile_is_not_taken_back_by_a_preview(admin, tenant, visitor):
    person = visitor("keeper", "beta")
    seen = re.search(r'name="base" value="(\d+)"', person.get(f"{PAGE}?entity={BUYER}").text)[1]
    publish_rights(admin, BUYER, without(admin, "seller", "export"), "收回导出", 1)
    known = value_of(admin, "seller").base
    form = {"entity": BUYER, "base": seen, "scope|seller": known["scope"], "may|seller": [*known["actions"]]}
    look = person.post(PAGE, {**form, "do": "look"})
    assert look.status_code == 409 and f'name="base" value="{seen}"' in look.text and 'value="publish"' not in look.text
    assert person.post(PAGE, {**form, "do": "publish", "reason": "再试"}).status_code == 409
    assert not context_of(tenant, "li").plan.may(BUYER, "export")


def test_field_levels_are_changed_for_one_role(admin, tenant, visitor):
    form = {"entity": BUYER, "base": "1", "do": "publish", "reason": "手机号保密", "fields_of": "viewer", "scope|viewer": "company",
            "may|viewer": ["list", "read"], "level|*": "read", "level|mobile": "hidden"}
    assert visitor("keeper", "beta").post(PAGE, form).status_code == 303
    assert value_of(context_of(tenant, "keeper"), "viewer").value["fields"] == {"*": "read", "mobile": "hidden"}


def test_what_does_not_compile_is_told_and_not_published(admin, tenant):
    known = value_of(admin, "viewer").value
    wanted = {"viewer": {**known, "actions": ["list", "comment"]}}
    assert {f.code for f in draft_rights(admin, BUYER, wanted).findings} == {"ML-ACCESS-005"}
    with pytest.raises(Invalid):
        publish_rights(admin, BUYER, wanted, "x", 1)
    with pytest.raises(NotPossible):
        draft_rights(admin, BUYER, {"viewer": known})                       # nothing changed
    with pytest.raises(Invalid):
        draft_rights(admin, BUYER, {"ghost": None})


def test_administrators_cannot_lock_themselves_out(admin, tenant):
    known = next(one for one in granted(admin, "platform.user") if one.role == "platform.admin")
    for value in (None, {**known.value, "actions": ["list"]}, {**known.value, "scope": "none"}):
        with pytest.raises(NotPossible):
            draft_rights(replace(admin, system=True), "platform.user", {known.id: value})
    before = admin.revision.catalog
    kept = tuple(grant for grant in before.grants["platform.user"] if grant.role != "platform.admin")
    with pytest.raises(NotPossible):                                        # whatever way it came about
        refuse_lockout(before, replace(before, grants=MappingProxyType({**before.grants, "platform.user": kept})))
    refuse_lockout(before, before)
