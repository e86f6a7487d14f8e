"""One alert: how it begins, grows, comes back and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from metaloom.model import WarningRule
from metaloom.model.warning import LEVELS

WAITING = ("open", "working")                 # somebody has to do something
LIVE = (*WAITING, "snoozed")                  # the cause is there and nobody has dealt with it
DONE = ("handled", "ignored")                 # dealt with; the cause may still be there


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a record today. ``severity`` is the level's place in LEVELS, without escalation."""

    holds: bool
    severity: int = 0
    due: date | None = None
    cause: str = ""


@dataclass(frozen=True)
class Standing:
    """The alert of one cause that is not cleared yet, as far as the machine needs it."""

    status: str
    severity: int
    cause: str
    raised_on: date
    escalated: int = 0
    handled_on: date | None = None
    snoozed_until: date | None = None
    handler: int | None = None


@dataclass(frozen=True)
class Step:
    """What an evaluation does. ``kind``: nothing | raise | keep | close | clear | raise_again. ``alert`` is what stands afterwards
    (None when the cause is gone). ``woken``: it came back from snooze. ``escalated_to``: steps of escalation that were reached now."""

    kind: str
    alert: Standing | None = None
    woken: bool = False
    escalated_to: tuple[int, ...] = ()


def severity_of(level: str) -> int:
    return LEVELS.index(level)


def level_of(rule: WarningRule, holds: Callable[[str], bool]) -> int:
    """The severity of the first level whose condition holds, 0 when none does."""
    return next((severity_of(level.level) for level in rule.levels if holds(level.when)), 0)


def days_left(due: date | None, today: date) -> int | None:
    """Days until ``due``, negative when it has passed."""
    return None if due is None else (due - today).days


def floor(rule: WarningRule, escalated: int) -> int:
    """The severity below which an alert does not fall once ``escalated`` steps were reached."""
    return max((severity_of(step.level) for step in rule.escalate[:escalated] if step.level), default=0)


def escalation_reached(rule: WarningRule, raised_on: date, today: date) -> int:
    """How many steps of escalation have come by ``today``."""
    return sum(1 for step in rule.escalate if (today - raised_on).days >= step.after_days)


def next_step(rule: WarningRule, alert: Standing | None, verdict: Verdict, today: date, *, time_passes: bool = True) -> Step:
    """What an evaluation does with the alert of one cause.

    ``alert`` has the verdict's cause, or stands for a cause that is gone (then it is closed or cleared, and the new cause is
    another question with ``alert=None``). ``time_passes``: the job; a saved record escalates nothing.
    """
    if alert is not None and (not verdict.holds or verdict.cause != alert.cause):
        return Step("close" if alert.status in LIVE else "clear")
    if not verdict.holds:
        return Step("nothing")
    if alert is None:
        return _escalated(rule, Step("raise", Standing("open", verdict.severity, verdict.cause, today)), today, time_passes)
    if alert.status in DONE:
        if _again(rule, alert, verdict, today):
            return _escalated(rule, Step("raise_again", Standing("open", verdict.severity, verdict.cause, today)), today, time_passes)
        return Step("keep", alert)
    return _escalated(rule, _refreshed(rule, alert, verdict, today), today, time_passes)


def _again(rule: WarningRule, alert: Standing, verdict: Verdict, today: date) -> bool:
    rises = rule.again.on_rise and verdict.severity > alert.severity
    waited = rule.again.after_days and alert.handled_on is not None and (today - alert.handled_on).days >= rule.again.after_days
    return bool(rises or waited)


def _refreshed(rule: WarningRule, alert: Standing, verdict: Verdict, today: date) -> Step:
    severity = max(verdict.severity, floor(rule, alert.escalated))
    wakes = alert.status == "snoozed" and (alert.snoozed_until is None or alert.snoozed_until <= today or severity > alert.severity)
    status = "open" if wakes else alert.status
    return Step("keep", replace(alert, status=status, severity=severity, snoozed_until=None if wakes else alert.snoozed_until), woken=wakes)


def _escalated(rule: WarningRule, step: Step, today: date, time_passes: bool) -> Step:
    alert = step.alert
    assert alert is not None
    reached = escalation_reached(rule, alert.raised_on, today) if time_passes and alert.status in WAITING else 0
    if reached <= alert.escalated:
        return step
    raised = replace(alert, escalated=reached, severity=max(alert.severity, floor(rule, reached)))
    return replace(step, alert=raised, escalated_to=tuple(range(alert.escalated + 1, reached + 1)))
