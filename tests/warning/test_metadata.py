"""Rules that cannot work are refused with the line and the cure."""

import re
from dataclasses import replace

import pytest

from metaloom.base.diagnostic import MetadataRefused
from metaloom.compile import compile_catalog
from metaloom.compile.manifest import PluginManifest
from tests.warning.world import FILES, PERMIT, sources

WHOLE = PluginManifest({}, complete=True) if "complete" in PluginManifest.__dataclass_fields__ else PluginManifest()


def refusals(files):
    try:
        return {d.code for d in compile_catalog(sources(**files), plugins=WHOLE).warnings}
    except MetadataRefused as refused:
        assert all(d.position.line for d in refused.diagnostics)
        return {d.code for d in refused.diagnostics}


def edited(old, new):
    assert old in PERMIT, old
    return {"permit": PERMIT.replace(old, new, 1)}


def noted(more):
    """The rule with another key after its note."""
    return edited("    note: required\n", f"    note: required\n    {more}\n")


TIDY = "actions:\n  tidy: {label: {zh: 整理, en: Tidy}, on: list, steps: [{check: 'true', message: {zh: 无, en: None}}]}\n"
FORM = "forms: {f: {label: {zh: 甲, en: A}, entity: %s}}"
CASES = {
    "who asks": (edited('when: "active and valid_to', 'when: "has_role(\'chief\') and valid_to'), "ML-WARN-002"),
    "whose name": (edited('when: "active and valid_to', 'when: "owner == user.id and valid_to'), "ML-WARN-002"),
    "no link": (edited("field: permit, where", "field: state, where"), "ML-WARN-003"),
    "at without since": (edited(', since: "add_days(business_date(), -90)"', ""), "ML-WARN-004"),
    "at is no date": (edited("at: done_on", "at: state"), "ML-WARN-005"),
    "cause is an amount": (edited("    due: valid_to\n", "    due: valid_to\n    cause: worth\n"), "ML-WARN-005"),
    "the engine's field": (edited("set: {permit: id,", "set: {level: kind, permit: id,"), "ML-WARN-006"),
    "a masked field": (edited("{code}（", "{phone}（"), "ML-WARN-007"),
    "behind a link": (edited("{code}（", "{owner.username}（"), "ML-WARN-007"),
    "no person": (edited("{field: owner}", "{field: code}"), "ML-WARN-008"),
    "a role that reads nothing": (edited("{role: chief}]\n    measures", "{role: platform.auditor}]\n    measures"), "ML-WARN-009"),
    "the same condition twice": (edited('orange: "valid_to <= add_days(business_date(), 7)"', 'orange: "valid_to < business_date()"'), "ML-WARN-010"),
    "steps that go back": (edited("after: 14 days", "after: 7 days"), "ML-WARN-011"),
    "unknown measure": (edited("measures: [renew, other]", "measures: [renew, pray]"), "ML-REF-001"),
    "unknown field in the condition": (edited('when: "active and valid_to', 'when: "aktive and valid_to'), "ML-EXPR-002"),
    "due is no date": (edited("due: valid_to", "due: worth"), "ML-EXPR-003"),
    "an unknown name in set": (edited("set: {permit: id,", "set: {permits: id,"), "ML-REF-002"),
    "a wrong type in set": (edited("set: {permit: id,", "set: {permit: valid_to,"), "ML-EXPR-003"),
    "two levels in one": (edited('{red: "valid_to < business_date()"}', '{red: "true", orange: "true"}'), "ML-QUOTA-001"),
    "an action that is not there": (noted("actions: [renew]"), "ML-REF-001"),
    "an action of the list": ({"permit": noted("actions: [tidy]")["permit"].replace("warnings:\n", f"{TIDY}warnings:\n", 1)}, "ML-WARN-015"),
    "a form of the engine's": (noted(FORM % "platform.alert_none"), "ML-REF-001"),
    "a form nobody fills in": (noted(FORM % "platform.message"), "ML-WARN-016"),
    "a field the form has not": (noted(FORM % "visit, values: {permits: id}"), "ML-REF-002"),
    "a value that does not fit the form": (noted(FORM % "visit, values: {permit: code}"),
                                           "ML-EXPR-003"),
    "a link that set does not fill": (noted("links: [worth]"), "ML-WARN-017"),
    "text messages without a template": (edited("[{field: owner}, {role: chief}]", "[{field: owner, channels: [sms]}, {role: chief}]"), "ML-WARN-019"),
    "a template that is not there": (noted("notify: {template: gone}"), "ML-REF-001"),
    "two ways in one receiver": (edited("[{field: owner}, {role: chief}]", "[{field: owner, role: chief}]"), "ML-SCHEMA-006"),
    "hours": (edited("after: 7 days", "after: 7 hours"), "ML-SCHEMA-005"),
}


def test_the_depot_itself_is_good():
    assert refusals({}) == set()


@pytest.mark.parametrize("name", CASES)
def test_a_bad_rule_is_refused(name):
    files, code = CASES[name]
    assert code in refusals(files)


def with_pack(old, new):
    import tests.warning.world as world
    assert old in world.PACK
    kept = FILES["depot/pack.yaml"]
    FILES["depot/pack.yaml"] = kept.replace(old, new)
    try:
        return refusals({})
    finally:
        FILES["depot/pack.yaml"] = kept


VISIT_WORDS = """messages:
  of_visit: {label: {zh: 甲, en: A}, entity: visit, channels: {in_app: {subject: {zh: 甲, en: A}, body: {zh: 乙, en: B}}}}
overlay:
"""


def test_a_template_of_another_record_or_without_the_channel_is_refused():
    kept = FILES["depot/yard/permit/entity.yaml"]
    try:
        FILES["depot/yard/permit/entity.yaml"] = noted("notify: {template: of_visit, channels: [sms]}")["permit"]
        assert {"ML-WARN-018", "ML-WARN-019"} <= with_pack("overlay:\n", VISIT_WORDS)
    finally:
        FILES["depot/yard/permit/entity.yaml"] = kept


def test_nobody_is_granted_to_write_alerts():
    assert "ML-WARN-012" in with_pack("actions: [list, read]}}", "actions: [list, read, edit]}}")


def test_alerts_that_nobody_sees_are_a_warning():
    lines = [line for line in FILES["depot/pack.yaml"].splitlines() if "platform.alert/access" in line]
    assert "ML-WARN-014" in with_pack("\n".join(lines), "")


def test_a_rule_on_alerts_or_engine_tables_is_refused():
    text = 'warnings:\n  loop: {label: {zh: 甲, en: A}, when: "days < 0", subject: {zh: 甲, en: A}}\n'
    overlay = 'overlay:\n  - {add: platform.alert/warnings/loop, value: {label: {zh: 甲, en: A}, when: "days < 0", subject: {zh: 甲, en: A}}}\n'
    assert text and "ML-WARN-013" in with_pack("overlay:\n", overlay)


def test_rules_need_the_engine_that_keeps_their_alerts():
    bare = [replace(source, text=re.sub(r"(?ms)^overlay:.*?(?=^\S|\Z)", "", source.text)) for source in sources() if "running/alert/" not in source.path]
    with pytest.raises(MetadataRefused) as refused:
        compile_catalog(bare)
    assert "ML-WARN-001" in {found.code for found in refused.value.diagnostics}
