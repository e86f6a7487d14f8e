"""In what two texts of a chain differ: steps that came, went or moved, and what of each step is otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from metaloom.approval.blocks import plan_of
from metaloom.base.text import Text
from metaloom.model import ApprovalChain, ChainStep, Fork

OF_CHAIN = ("subject", "one_open", "start", "forbid_repeat", "makers", "repeated", "allow", "results")
LEFT_OUT = ("name", "position", "branches", "steps")


@dataclass(frozen=True)
class Change:
    """``what``: added | removed | moved | type, or the name of the slot that differs (``before`` → ``after``); ``step``: '' for the chain."""

    step: str
    label: Text
    what: str
    before: Any = None
    after: Any = None


def changes(before: ApprovalChain, after: ApprovalChain) -> tuple[Change, ...]:
    """What a reader of ``before`` should know of ``after``; labels alone are no difference."""
    found = [Change("", after.label, name, getattr(before, name), getattr(after, name)) for name in OF_CHAIN if getattr(before, name) != getattr(after, name)]
    old, new = {s.name: s for s in before.every_step()}, {s.name: s for s in after.every_step()}
    found += [Change(name, step.label, "removed") for name, step in old.items() if name not in new]
    moved = _moved(before, after, [name for name in old if name in new], [name for name in new if name in old])
    for name, step in new.items():
        if name not in old:
            found.append(Change(name, step.label, "added"))
        else:
            found += [*_of_step(old[name], step), *([Change(name, step.label, "moved")] if name in moved else [])]
    return tuple(found)


def _moved(before: ApprovalChain, after: ApprovalChain, kept: list[str], now: list[str]) -> set[str]:
    """Steps that lie on another way, or behind another step than before."""
    old, new = plan_of(before).ways, plan_of(after).ways
    behind, behind_now = dict(zip(kept[1:], kept, strict=False)), dict(zip(now[1:], now, strict=False))
    return {name for name in now if old[name] != new[name] or kept != now and behind.get(name) != behind_now.get(name)}


def _of_step(before: ChainStep, after: ChainStep) -> list[Change]:
    if type(before) is not type(after):
        return [Change(after.name, after.label, "type")]
    slots = [f.name for f in fields(after) if f.name not in (*LEFT_OUT, "label")]
    found = [Change(after.name, after.label, name, getattr(before, name), getattr(after, name))
             for name in slots if getattr(before, name) != getattr(after, name)]
    if isinstance(before, Fork) and isinstance(after, Fork):
        found += _of_branches(before, after)
    return found


def _of_branches(before: Fork, after: Fork) -> list[Change]:
    old, new = before.branches, after.branches
    found = [Change(after.name, old[name].label, "branch_removed") for name in old if name not in new]
    found += [Change(after.name, new[name].label, "branch_added") for name in new if name not in old]
    return found + [Change(after.name, new[name].label, "branch_when", old[name].when, new[name].when)
                    for name in new if name in old and (old[name].when, old[name].otherwise) != (new[name].when, new[name].otherwise)]
