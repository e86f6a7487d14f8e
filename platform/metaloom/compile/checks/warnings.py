"""Warning rules: somebody is told, nothing secret is said, and what they raise belongs to the engine."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter

from metaloom.base.position import Position
from metaloom.compile.build_warning import ALERT
from metaloom.compile.checks.look import TEXTUAL, check_path, follow, say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import USER, implicit_links, target_of
from metaloom.model import Catalog, Entity, Field, FieldType, MessageTemplate, Receiver, WarningRule
from metaloom.model.message import BUILT_IN_CHANNELS

_SAYABLE = (TEXTUAL - {FieldType.RICH_TEXT, FieldType.LONG_TEXT}) | {
    FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY, FieldType.DATE, FieldType.CHOICE, FieldType.STATE}
_FORBIDDEN = frozenset({"create", "edit", "delete", "restore", "import", "transfer"})
MEASURES = "platform.alert_measure"


def _spot(context: Context, rule: WarningRule, *path: str) -> Position:
    return spot(context, rule.entity, "warnings", rule.name, *path)


def rules_have_where_to_write(catalog: Catalog, context: Context) -> None:
    """There are alerts, somebody reads them, and the record can be looked at by a query."""
    for rule in catalog.warning_rules.values():
        entity = catalog.entities[rule.entity]
        if ALERT not in catalog.entities:
            say(context, "ML-WARN-001", _spot(context, rule), rule.address)
        if rule.entity == ALERT or entity.storage == "engine":
            why = "they would warn of themselves" if rule.entity == ALERT else "its table belongs to the engine"
            say(context, "ML-WARN-013", _spot(context, rule), rule.address, entity=rule.entity, why=why)
    grants = [g for g in catalog.grants.get(ALERT, ()) if "list" in g.actions and not g.role.startswith("platform.")]
    first = next(iter(catalog.warning_rules.values()), None)
    if first is not None and ALERT in catalog.entities and not grants:
        say(context, "ML-WARN-014", _spot(context, first), first.address)


def subjects_tell_no_secret(catalog: Catalog, context: Context) -> None:
    """A subject is kept with the alert and stands in lists: its slots are fields of the record itself, in the clear, with words."""
    for rule in catalog.warning_rules.values():
        for language in ("zh", "en"):
            where = _spot(context, rule, "subject", language)
            for path in _slots(getattr(rule.subject, language)):
                if check_path(context, catalog, catalog.entities[rule.entity], path, where, rule.address) is None:
                    continue
                field = catalog.entities[rule.entity].fields.get(path)
                why = "behind a link, where other rights hold," if "." in path else "no field of its own" if field is None else _unsayable(field)
                if why:
                    say(context, "ML-WARN-007", where, rule.address, path=path, why=why)


def _slots(text: str) -> Iterable[str]:
    try:
        return [name for _, name, _, _ in Formatter().parse(text) if name]
    except ValueError:
        return []  # said by the check of sentences


def _unsayable(field: Field) -> str:
    if field.encrypted:
        return "encrypted"
    if field.mask:
        return "masked"
    return "" if field.type in _SAYABLE else f"of type {field.type}"


def receivers_are_people(catalog: Catalog, context: Context) -> None:
    """A field leads to a user; holders of a role may read the record at all."""
    for rule in catalog.warning_rules.values():
        _receivers(catalog, context, rule, rule.receivers, ("receivers",))
        for number, step in enumerate(rule.escalate):
            _receivers(catalog, context, rule, step.to, ("escalate", str(number), "to"))


def _receivers(catalog: Catalog, context: Context, rule: WarningRule, receivers: tuple[Receiver, ...], path: tuple[str, ...]) -> None:
    where = _spot(context, rule, *path)
    for receiver in receivers:
        if receiver.role:
            if not any(g.role == receiver.role and "read" in g.actions for g in catalog.grants.get(rule.entity, ())):
                say(context, "ML-WARN-009", where, rule.address, role=receiver.role, entity=rule.entity)
        elif not _is_person(catalog, catalog.entities[rule.entity], receiver.field):
            say(context, "ML-WARN-008", where, rule.address, path=receiver.field)


def _is_person(catalog: Catalog, entity: Entity, path: str) -> bool:
    if path == "owner":
        return True   # of the record, or of the record that it follows
    holder, field, wrong = follow(catalog, entity, path)
    last = path.rpartition(".")[2]
    return not wrong and (target_of(field) if field is not None else implicit_links(holder).get(last, "")) == USER


def receivers_can_be_told(catalog: Catalog, context: Context) -> None:
    """A template speaks of the rule's entity and has words for each channel that is named."""
    for rule in catalog.warning_rules.values():
        for path, receivers in (("receivers", rule.receivers), ("escalate", tuple(r for step in rule.escalate for r in step.to))):
            for template, channels in dict.fromkeys((r.template, r.channels) for r in receivers):
                _check_words(catalog, context, rule, catalog.messages.get(template), channels, _spot(context, rule, path))


def _check_words(catalog: Catalog, context: Context, rule: WarningRule, template: MessageTemplate | None, channels: tuple[str, ...],
                 where: Position) -> None:
    if template is not None and template.entity not in ("", rule.entity):
        say(context, "ML-WARN-018", where, rule.address, template=template.address, entity=template.entity)
    for channel in channels:
        if template is not None and channel not in template.channels:
            say(context, "ML-WARN-019", where, rule.address, channel=channel, why=f"{template.address} has no words for it")
        elif template is None and channel not in BUILT_IN_CHANNELS:
            say(context, "ML-WARN-019", where, rule.address, channel=channel, why="it needs a template")


def offers_can_be_taken(catalog: Catalog, context: Context) -> None:
    """What an alert offers is there: actions of the record, forms that people fill in, links that the rule writes."""
    for rule in catalog.warning_rules.values():
        for name in rule.actions:
            _check_offered(catalog, context, rule, name)
        for form in rule.forms.values():
            entity = catalog.entities.get(form.entity)
            why = "" if entity is None else "its rows live inside a parent" if entity.child_of else "its table belongs to the engine"
            people_make = entity is not None and (entity.storage == "table" or any("create" in one.actions for one in catalog.grants.get(entity.address, ())))
            if entity is not None and (entity.child_of or not people_make):
                say(context, "ML-WARN-016", _spot(context, rule, "forms", form.name, "entity"), rule.address, entity=form.entity, why=why)
        alert = catalog.entities.get(ALERT)
        links = [name for name in rule.values if alert is not None and name in alert.fields and alert.fields[name].type is FieldType.LINK]
        for name in rule.links:
            if name not in links:
                say(context, "ML-WARN-017", _spot(context, rule, "links"), rule.address, name=name, known=", ".join(links) or "nothing")


def _check_offered(catalog: Catalog, context: Context, rule: WarningRule, name: str) -> None:
    where, action = _spot(context, rule, "actions"), catalog.actions.get(f"{rule.entity}/{name}")
    if action is not None and action.on == "list":
        say(context, "ML-WARN-015", where, rule.address, name=name)
    known = {a.name for a in catalog.actions_of(rule.entity)} | {
        c.name.rpartition(".")[2] for c in context.plugins.commands.values() if c.on == rule.entity}
    if name not in known and context.plugins.complete:
        say(context, "ML-REF-001", where, rule.address, what="action", name=f"{rule.entity}/{name}", hint=_did_you_mean(name, known))


def levels_can_be_reached(catalog: Catalog, context: Context) -> None:
    """Two levels under one condition, or one after a condition that always holds: the second is never reached."""
    for rule in catalog.warning_rules.values():
        seen: dict[str, str] = {}
        for number, level in enumerate(rule.levels):
            before = seen.get(level.when) or seen.get("true")
            if before is not None:
                why = f"{before} has the same condition" if level.when in seen else f"{before} always holds"
                say(context, "ML-WARN-010", _spot(context, rule, "level", str(number), level.level), rule.address, why=why)
            seen.setdefault(level.when, level.level)


def escalation_goes_up(catalog: Catalog, context: Context) -> None:
    for rule in catalog.warning_rules.values():
        days = [step.after_days for step in rule.escalate]
        if any(later <= earlier for earlier, later in zip(days, days[1:], strict=False)):
            say(context, "ML-WARN-011", _spot(context, rule, "escalate"), rule.address)


def measures_exist(catalog: Catalog, context: Context) -> None:
    known = catalog.choices[MEASURES].items if MEASURES in catalog.choices else {}
    for rule in catalog.warning_rules.values():
        for code in rule.measures:
            if code not in known:
                where = _spot(context, rule, "measures", code)
                say(context, "ML-REF-001", where, rule.address, what="measure in platform.alert_measure", name=code, hint=_did_you_mean(code, known))


def alerts_are_the_engines(catalog: Catalog, context: Context) -> None:
    """Nobody is granted to make, change or move an alert by hand: rules raise and close them, actions handle them."""
    for grant in catalog.grants.get(ALERT, ()):
        for action in sorted(grant.actions & _FORBIDDEN):
            say(context, "ML-WARN-012", grant.position, grant.address, action=action)
