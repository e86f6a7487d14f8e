"""Who is told of which level, in which words, on which channels; and an alert's forms tell nobody what is hidden."""

from datetime import timedelta

from metaloom import schema_change
from metaloom.command import alert_offers
from metaloom.compile import Source
from tests.warning.world import EXPIRY, PACK, PERMIT, TODAY, sources

ESCALATION = PERMIT[PERMIT.index("    escalate:\n"):PERMIT.index("    again:")]
TOLD = PERMIT.replace(ESCALATION, "").replace("    receivers: [{field: owner}, {role: chief}]\n", """    receivers:
      - {field: owner, template: ends, channels: [in_app, email]}
      - {role: chief, level: orange}
      - {role: clerk, level: red, channels: [email]}
    forms:
      visit: {label: {zh: 去检查, en: Visit}, entity: visit, values: {permit: id, done_on: valid_to}}
      copy: {label: {zh: 复制, en: Copy}, entity: permit, values: {code: code, worth: worth, fee: "worth * 2"}}
    links: [permit]
""").replace("clerk: {scope: company, actions: [list, read], fields", "clerk: {scope: company, actions: [list, read, create], fields")
WORDS = """messages:
  ends:
    label: {zh: 许可证到期, en: Permit ends}
    entity: permit
    channels:
      in_app: {subject: {zh: "{code} 将到期，金额 {worth}", en: "{code} ends, {worth}"}, body: {zh: "{valid_to}", en: "{valid_to}"}}
      email: {subject: {zh: "{code} 将到期", en: "{code} ends"}, body: {zh: "{valid_to}", en: "{valid_to}"}}
overlay:
"""


def published(depot):
    own = sources(permit=TOLD)
    pack = PACK.replace("overlay:\n", WORDS)
    schema_change.publish(depot.tenant, tuple(Source(s.layer, s.path, pack) if s.path == "depot/pack.yaml" else s for s in own))


def told(depot, person, start):
    return [(row["channel"], row["subject"]) for row in depot.messages(person)[start:]]


def test_a_form_brings_no_value_that_the_person_does_not_read(depot):
    published(depot)
    made = depot.make("permit", code="T2", valid_to=TODAY + timedelta(days=3), worth="77", fee="5")
    seen = {}
    for person in ("keeper", "clerk"):
        ctx = depot.ctx(person)
        with depot.tenant.read() as conn:
            found = alert_offers(ctx, depot.alert(made)["id"], conn)
        seen[person] = {form.entity.rpartition(".")[2]: {k: str(v) for k, v in form.values.items()} for form in found.forms}
        assert [(link.entity, link.id) for link in found.links] == [("depot.permit", made)]
    assert seen["keeper"] == {"visit": {"permit": str(made), "done_on": "2026-03-04"}, "permit": {"code": "T2", "worth": "77.00", "fee": "154"}}
    assert seen["clerk"] == {"permit": {"code": "T2"}}, "no visits for clerks, and worth is hidden from them"
    depot.alter("permit", made, active=False)


def test_each_is_told_from_the_level_on_that_concerns_the_person(depot):
    published(depot)
    before = {person: len(depot.messages(person)) for person in ("keeper", "chief", "clerk", "far_chief")}
    made = depot.make("permit", code="T1", valid_to=TODAY + timedelta(days=20), worth="100", fee="1")
    assert told(depot, "keeper", before["keeper"]) == [("in_app", "T1 将到期，金额 100.00"), ("email", "T1 将到期")]
    assert not told(depot, "chief", before["chief"]) and depot.alert(made)["level"] == "info"
    depot.day(TODAY + timedelta(days=14))
    depot.run(EXPIRY)
    assert depot.alert(made)["level"] == "orange"
    assert [channel for channel, _ in told(depot, "chief", before["chief"])] == ["in_app"]
    depot.run(EXPIRY)
    assert len(told(depot, "chief", before["chief"])) == 1, "said once"
    depot.day(TODAY + timedelta(days=21))
    depot.run(EXPIRY)
    assert [channel for channel, _ in told(depot, "clerk", before["clerk"])] == ["email"], "not in the application"
    assert [channel for channel, _ in told(depot, "chief", before["chief"])][:2] == ["in_app", "in_app"]
    assert len(told(depot, "keeper", before["keeper"])) == 2, "no level: told when it began, and no more"
    assert not told(depot, "far_chief", before["far_chief"])
