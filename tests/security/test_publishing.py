"""Whoever publishes grants nothing that they lack; the owner, on the machine, may."""

import re
from datetime import date

import pytest

from metaloom.access import widenings
from metaloom.base.errors import Conflict, NotAllowed
from metaloom.command import move_business_date, publish, roll_back
from metaloom.compile import Source
from metaloom.schema_change import publish as publish_as_owner
from metaloom.schema_change import sources_of


def changed(world, **edits):
    """The served sources with some texts replaced: path ending → (old, new)."""
    tenant = world.tenants["one"]
    found = []
    for source in sources_of(tenant, tenant.revision().number):
        text = source.text
        for end, (old, new) in edits.items():
            if source.path.endswith(f"{end.replace('__', '/')}.yaml"):
                assert re.search(old, text), (old, source.path)
                text = re.sub(old, new, text, count=1)
        found.append(Source(source.layer, source.path, text))
    return found


# what somebody wrote into the metadata to get more: place, pattern, replacement, and what the refusal names
GRABS = {
    "an action for a role": ("buyer__entity", r"cashier: \{scope: company, actions: \[list, read\]",
                            "cashier: {scope: company, actions: [list, read, delete]", "delete"),
    "more rows": ("buyer__entity", r"clerk: \{scope: self", "clerk: {scope: company", "buyer/access"),
    "all rows": ("payment__entity", r"cashier: \{scope: company", "cashier: {scope: all", "payment/access"),
    "a hidden field": ("buyer__entity", r"secret: hidden, mobile: masked, photo", "mobile: masked, photo", "secret"),
    "a masked field": ("buyer__entity", r"mobile: masked, photo", "mobile: read, photo", "mobile read"),
    "a mask": ("buyer__entity", r"(?s)mask: phone, (.*?)mobile: masked, photo(.*?)mobile: masked", r"\1photo\2mobile: hidden", "mobile read"),
    "a role with rights": ("buyer__entity", r"access:\n", "access:\n  platform.admin: {scope: all, actions: [list, read]}\n", "platform.admin"),
    "rows of another owner": ("payment__entity", r"scope_from: sale", "owned_by: [company]", "payment/access"),
    "four eyes": ("sale__entity", r"    maker_is_not: created_by\n", "", "four eyes"),
    "what an action does": ("sale__entity", r"set: \{pieces: input.grade\}", "set: {amount: '1.00'}", "what it does"),
    "a way of the lifecycle": ("sale__entity", r"finish: \{from: \[sent\]", "finish: {from: [sent, draft]", "lifecycle"),
    "a copy of a hidden field": ("sale__entity", r"    twice: ",
                                 "    verdict: {type: text, length: 60, computed: buyer.secret, label: {zh: 评, en: V}}\n    twice: ",
                                 "depot.buyer/secret"),
    "a read-only field": ("sale__entity", r"paid: \{type: money, read_only: true", "paid: {type: money", "paid"),
    "the audit of a field": ("buyer__entity", r"secret: \{type: text, length: 60", "secret: {type: text, length: 60, history: false", "audit"),
    "physical deletion": ("payment__entity", r"delete: never", "delete: physical", "delete"),
}


@pytest.fixture
def served(world):
    """The revision that is served; served again afterwards, whatever the test published."""
    tenant = world.tenants["one"]
    number = tenant.revision().number
    yield number
    from metaloom.schema_change import rollback

    if tenant.revision().number != number:
        rollback(tenant, number)


@pytest.mark.parametrize("grab", GRABS)
def test_an_author_does_not_grant_what_they_lack(world, served, grab):
    place, old, new, named = GRABS[grab]
    sources = changed(world, **{place: (old, new)})
    with pytest.raises(NotAllowed) as refused:
        publish(world.ctx("admin"), sources)
    assert refused.value.message.code == "publish.beyond" and named in refused.value.message.say("en")
    assert world.tenants["one"].revision().number == served


def test_the_owner_may_and_an_author_may_take_away_and_arrange(world, served):
    tenant = world.tenants["one"]
    less = changed(world, buyer__entity=(r"secret: hidden, mobile: masked, photo: hidden, name: read",
                                         "secret: hidden, mobile: hidden, photo: hidden, name: read"),
                   sale__entity=(r"note: \{type: text, length: 200",
                                 "memo: {type: text, length: 20, label: {zh: 备, en: Memo}}\n    note: {type: text, length: 200"))
    made = publish(world.ctx("admin"), less, "less")
    assert tenant.revision().number == made.number > served
    with pytest.raises(NotAllowed):
        roll_back(world.ctx("admin"), served)
    more = publish_as_owner(tenant, changed(world, buyer__entity=(r"cashier: \{scope: company, actions: \[list, read\]",
                                                                 "cashier: {scope: company, actions: [list, read, delete]")))
    assert tenant.revision().number == more.number
    roll_back(world.ctx("admin"), made.number)
    assert tenant.revision().number == made.number, "going back to less is allowed"


def test_what_an_author_holds_in_every_row_can_be_passed_on(world, served):
    """The administrator holds the accounts; the auditor's rights on them may grow that far and no further."""
    def grown(words):
        return [*(one for one in changed(world) if one.layer != "site"),
                Source("site", "site/more.yaml", f"overlay:\n- {{add: platform.user/access/depot.reader, value: {words}}}\n")]

    publish(world.ctx("admin"), grown("{scope: all, actions: [list, read, history]}"))
    with pytest.raises(NotAllowed):
        publish(world.ctx("admin"), grown("{scope: all, actions: [list, read, print]}"))


def test_a_field_that_finds_old_data_again_is_not_new(world, served):
    admin = world.ctx("admin")
    publish(admin, _without_secret(world))
    with pytest.raises(NotAllowed) as refused:
        publish(world.ctx("admin"), _with_open_secret(world))
    assert "secret" in refused.value.message.say("en")


def _without_secret(world):
    tenant = world.tenants["one"]
    found = []
    for source in sources_of(tenant, tenant.revision().number):
        text = source.text
        if source.path.endswith("buyer/entity.yaml"):
            text = re.sub(r"    secret: \{type[^\n]*\n", "", text)
        text = re.sub(r", secret: hidden|secret: hidden, |, buyer\.secret|；评语：\{buyer\.secret\}|; verdict: \{buyer\.secret\}", "", text)
        found.append(Source(source.layer, source.path, text))
    return found


def _with_open_secret(world):
    return [Source(s.layer, s.path, s.text.replace("    photo: {type", "    secret: {type: text, length: 60, label: {zh: 评, en: V}}\n    photo: {type"))
            if s.path.endswith("buyer/entity.yaml") else s for s in _without_secret(world)]


def test_somebody_else_published_meanwhile(world, served):
    admin = world.ctx("admin")
    publish_as_owner(world.tenants["one"], changed(world, depot__pack=("Depot", "Depots")))
    with pytest.raises(Conflict):
        publish(admin, changed(world, depot__pack=("Depots", "Depot")))


def test_an_administrator_of_one_company_is_none_of_the_tenant(world, served):
    branch = world.ctx("branch_admin")
    for refused in (lambda: publish(branch, changed(world)), lambda: roll_back(branch, served), lambda: move_business_date(branch, 1, date(2027, 1, 1))):
        with pytest.raises(NotAllowed):
            refused()


def test_nothing_changed_is_no_widening(world):
    catalog = world.tenants["one"].revision().catalog
    assert widenings(catalog, catalog) == ()
