"""The words of alerts as their reader may see them: a subject repeats fields of a record, so it is read under that record's rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from string import Formatter
from typing import Any

from metaloom.access import AccessPlan, RowScope
from metaloom.model import FieldLevel, WarningRule
from metaloom.record.alert_query import ALERT

NAME, SUBJECT = "rule_name", "subject"
Words = Callable[[str, str, Any], str | None]


def words_for_alerts(plan: AccessPlan, locale: str) -> Words:
    """A function from (rule of an alert, ``rule_name`` or ``subject``, what is stored) to the words for this reader.

    The subject is told when every field in it stands in the clear for the reader, in all rows of the record's entity, and those rows
    are all whose alerts the reader sees with their subject; else the rule's name is all there is to say.
    """
    known: dict[str, bool] = {}

    def told(rule: str, name: str, stored: Any) -> str | None:
        found = plan.catalog.warning_rules.get(rule)
        label = _said({"zh": found.label.zh, "en": found.label.en} if found is not None else None, locale)
        if name == NAME:
            return label or rule
        if found is None:
            return None
        if rule not in known:
            known[rule] = _may_be_told(plan, found)
        return _said(stored, locale) if known[rule] else label

    return told


def _said(stored: Any, locale: str) -> str | None:
    return str(stored.get(locale) or stored.get("zh") or "") if isinstance(stored, Mapping) else None


def _may_be_told(plan: AccessPlan, rule: WarningRule) -> bool:
    alerts, records = plan.rights(ALERT), plan.rights(rule.entity)
    readable = [records.scopes[i] for i in records.scopes_for("read")]
    seen = [alerts.scopes[i] for i in alerts.scopes_for("list", "read")
            if alerts.levels(frozenset({i})).get(SUBJECT, FieldLevel.HIDDEN) >= FieldLevel.READ]
    if not readable or not all(any(_covers(wide, narrow) for wide in readable) for narrow in seen):
        return False
    slots = {name for text in (rule.subject.zh, rule.subject.en) for _, name, _, _ in Formatter().parse(text) if name}
    return all(records.levels(frozenset({index})).get(slot, FieldLevel.HIDDEN) >= FieldLevel.READ
               for index in range(len(records.scopes)) for slot in slots)


def _covers(wide: RowScope, narrow: RowScope) -> bool:
    """Whether ``wide``, of a record, holds for every alert in ``narrow``: alerts are owned as their records are."""
    if wide.covers_all:
        return True
    by_owner = wide.kind in ("company", "units", "self")
    return by_owner and replace(wide, entity="", field="") == replace(narrow, entity="", field="")
