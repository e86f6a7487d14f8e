"""A chain in words: its drawing without any case, who decides each step and when, and in what two texts of it differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metaloom.approval.chain_diff import Change
from metaloom.base.text import Text
from metaloom.model import ApprovalChain, Catalog, ChainStep, CopyTo, Decide, Fork, SubChain, WaitFor, Who
from metaloom.web.current import say
from metaloom.web.words import listed
from metaloom.web.words import t as _t


@dataclass(frozen=True)
class Box:
    """A step of the drawing. ``rule``: how its people decide; ``when``: its condition; ``notes``: limits and what else is special;
    ``open``: running cases that stand there; ``ways``: (label, condition, steps) of a fork."""

    name: str
    label: str
    kind: str
    who: str
    rule: str
    when: str
    notes: tuple[str, ...]
    open: int
    line: int
    ways: tuple[tuple[str, str, tuple[Box, ...]], ...] = ()


def drawing(catalog: Catalog, chain: ApprovalChain, open_cases: Mapping[str, int]) -> tuple[Box, ...]:
    """The steps of a chain in order."""
    return _boxes(catalog, chain.steps, open_cases)


def _boxes(catalog: Catalog, steps: Mapping[str, ChainStep], open_cases: Mapping[str, int]) -> tuple[Box, ...]:
    return tuple(_box(catalog, step, open_cases) for step in steps.values())


def _box(catalog: Catalog, step: ChainStep, open_cases: Mapping[str, int]) -> Box:
    ways = tuple((say(way.label), _t("chain.otherwise") if way.otherwise else way.when, _boxes(catalog, way.steps, open_cases)) for way in step.inner)
    return Box(step.name, say(step.label), _kind(step), _who(catalog, step), _rule(step), step.when, _notes(catalog, step),
               open_cases.get(step.name, 0), step.position.line, ways)


def _kind(step: ChainStep) -> str:
    if isinstance(step, Fork):
        return step.kind
    return {SubChain: "sub", CopyTo: "copy", WaitFor: "wait"}.get(type(step), "decide")


def _who(catalog: Catalog, step: ChainStep) -> str:
    if isinstance(step, (Decide, CopyTo)):
        return people_words(catalog, step.who)
    if isinstance(step, SubChain):
        other = catalog.chains.get(step.chain)
        return say(other.label) if other is not None else step.chain
    return ""


def people_words(catalog: Catalog, ways: Iterable[Who]) -> str:
    """Who is meant, in the reader's words."""
    return _listed(_person(catalog, who) for who in ways)


def _listed(words: Iterable[str]) -> str:
    return listed(words)


def _person(catalog: Catalog, who: Who) -> str:
    if who.kind == "role":
        role = catalog.roles.get(who.value)
        return say(role.label) if role is not None else who.value
    pool = people_words(catalog, who.pool) if who.kind == "chosen" else ""
    return _t(f"chain.who.{who.kind}", value=who.value, up=who.up, levels=who.levels, pool=pool)


def _rule(step: ChainStep) -> str:
    if not isinstance(step, Decide):
        return ""
    return _t(f"chain.mode.{step.mode}", share=step.share)


def _notes(catalog: Catalog, step: ChainStep) -> tuple[str, ...]:
    """What a reader of the drawing should not miss."""
    if isinstance(step, WaitFor):
        return (step.condition or _t("chain.note.until_woken"),)
    if not isinstance(step, Decide):
        return ()
    found = [_t("chain.note.limit", within=_duration(step.limit.within), then=_listed(_t(f"chain.do.{one.do}") for one in step.limit.then))
             if step.limit is not None else "",
             _t("chain.note.outputs", names=_listed(say(one.label) for one in step.outputs.values())) if step.outputs else "",
             _t("chain.note.password") if step.sign else "", _t("chain.note.drawn") if step.signature else "",
             _t("chain.note.auto_pass", when=step.auto_pass) if step.auto_pass else "",
             _t("chain.note.auto_reject", when=step.auto_reject) if step.auto_reject else ""]
    return tuple(filter(None, found))


def _duration(text: str) -> str:
    number, _, unit = text.partition(" ")
    return _t(f"chain.unit.{unit}", n=number) if unit else text


# -- differences -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """One difference: at which step (a label), what, and its two sides where they can be said shortly."""

    step: str
    what: str
    before: str
    after: str


def told_changes(catalog: Catalog, found: Iterable[Change]) -> list[Told]:
    """Differences of two texts in the reader's words."""
    return [Told(say(one.label) if one.step else _t("chain.whole"), _t(f"chain.changed.{one.what}"), _value(catalog, one.before), _value(catalog, one.after))
            for one in found]


def _value(catalog: Catalog, value: Any) -> str:
    """A slot's value where it is short: people, texts, names; nothing for what only a text can show."""
    if isinstance(value, tuple) and value and all(isinstance(one, Who) for one in value):
        return people_words(catalog, value)
    if isinstance(value, Text):
        return say(value)
    if isinstance(value, bool):
        return _t("chain.yes" if value else "chain.no")
    if isinstance(value, (str, int)):
        return str(value)
    return _listed(value) if isinstance(value, tuple) and all(isinstance(one, str) for one in value) else ""
