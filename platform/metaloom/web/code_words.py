"""Codes of the engine's own journals as words: commands, entities and business events say what they are called, not how they are spelt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from metaloom.base.text import Text
from metaloom.web import i18n
from metaloom.web.cells import CODES, GOALS, HINTS, WORDS
from metaloom.web.current import Current, locale, say, site
from metaloom.web.frame import record_url
from metaloom.web.words import bracketed, listed

ENTITY_CODES = ("platform.audit_entry", "platform.ledger_entry", "platform.outbox", "platform.file", "platform.approval_case", "platform.message",
                "platform.webhook_delivery", "platform.webhook_call")
FACTS = (("platform.outbox", "payload"), ("platform.job_run", "facts"))
COMMAND_CODES = ("platform.audit_entry", "platform.ledger_entry")


def entity_words(pinned: Current, address: str, row: Any = None) -> str:
    """What the entity is called; the address itself when the catalog no longer has it."""
    found = pinned.catalog.entities.get(address)
    return say(found.label) if found is not None else address


def number_words(pinned: Current, number: int, row: Any = None) -> str:
    """A record's number is no amount: it stands as it is."""
    return str(number)


def record_goal(pinned: Current, number: int, row: Any) -> str:
    """The page of the record, for who may read such records at all; the page judges the record."""
    entity = row.values.get("entity")
    if entity not in pinned.catalog.entities or not pinned.plan.may(entity, "read"):
        return ""
    return record_url(entity, number)


def facts_words(pinned: Current, facts: Any, row: Any) -> str:
    """What the engine keeps as names and values, one after another; moments in the reader's zone."""
    if not isinstance(facts, Mapping):
        return str(facts)
    return ("，" if locale() == "zh" else ", ").join(f"{name} {_fact(pinned, value)}" for name, value in facts.items() if value is not None)


def _fact(pinned: Current, value: Any) -> str:
    if isinstance(value, Mapping):
        return bracketed(facts_words(pinned, value, None)).strip()
    if isinstance(value, list):
        return listed(_fact(pinned, one) for one in value)
    moment = _moment(value)
    return moment.astimezone(pinned.zone).strftime("%Y-%m-%d %H:%M") if moment is not None else str(value)


def _moment(value: Any) -> datetime | None:
    """An instant that was kept as text; None for every other text."""
    if not isinstance(value, str) or len(value) < 19 or "T" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def command_words(pinned: Current, name: str, entity: str) -> str:
    """A command's name in words: a standard verb, an action of ``entity``, or a plugin command."""
    kind, _, tail = name.partition(":")
    t = i18n.translator(site().templates, locale())
    for key in (f"did.{name}", name.replace("approval.", "approval.move.", 1)):
        if (words := t(key)) != key:
            return words
    action = pinned.catalog.actions.get(f"{entity}/{tail or kind}")
    if action is not None:
        return say(action.label)
    declared = site().registry.command(name) if site().registry else None
    return say(declared.label) if declared is not None else _action_elsewhere(pinned, kind, tail) or name


def doer_words(pinned: Current, name: str) -> str:
    """What did something that nobody did by hand: a job by its label, a part of the engine by what it does."""
    if name in pinned.catalog.jobs:
        return say(pinned.catalog.jobs[name].label)
    t, key = i18n.translator(site().templates, locale()), f"doer.{name.partition(':')[0]}"
    return words if (words := t(key)) != key else t("detail.system")


def _action_elsewhere(pinned: Current, kind: str, name: str) -> str:
    """What actions of this name are called: a record says only that one of another entity wrote it."""
    found = (one for address, one in pinned.catalog.actions.items() if address.endswith(f"/{name}"))
    return " / ".join(dict.fromkeys(say(one.label) for one in found)) if kind == "action" else ""


def _command_of_row(pinned: Current, name: str, row: Any) -> str:
    return command_words(pinned, name, str(row.values.get("entity") or ""))


def _event_words(pinned: Current, event: str, row: Any) -> str:
    """The label of the rule that books the event; the code where a rule has gone."""
    labels: tuple[Text, ...] = tuple(rule.label for rule in pinned.catalog.accounting_rules.values() if rule.event == event)
    return say(labels[0]) if labels else event


def _entities(pinned: Current) -> Iterable[tuple[str, str]]:
    """The entities that this person may see, by name."""
    seen = (one for one in pinned.catalog.entities.values() if pinned.plan.may(one.address, "list") or pinned.plan.may(one.address, "read"))
    return sorted(((one.address, say(one.label)) for one in seen), key=lambda one: one[1])


for _address in ENTITY_CODES:
    WORDS[_address, "entity"] = entity_words
    CODES[_address, "entity"] = _entities
    WORDS[_address, "record_id"] = number_words
    GOALS[_address, "record_id"] = record_goal
for _address, _name in FACTS:
    WORDS[_address, _name] = facts_words
for _address in COMMAND_CODES:
    WORDS[_address, "command"] = _command_of_row
HINTS["platform.audit_entry", "actor"] = "actor_name"  # as in the histories: the person, and the login as a hint
WORDS["platform.ledger_entry", "event"] = _event_words
