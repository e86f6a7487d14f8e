"""ApprovalChain: who decides about a record, in which order, and what each answer does.

A chain is made of blocks, not of a graph: steps follow each other, a fork holds branches of steps and joins them again. Step names
are unique in the whole chain, nested ones too, so a name alone says where a case stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.action import Step
from metaloom.model.entity import Field
from metaloom.model.who import Who

OUTCOMES = ("approved", "rejected", "withdrawn", "terminated")
HOOKS = ("entered", "passed")
RESULTS = ("started", *OUTCOMES, "returned", "resumed")
DECISIONS = ("pass", "reject", "return")
POWERS = ("transfer", "delegate", "add_before", "add_after", "remove", "copy", "ask", "hold")


@dataclass(frozen=True)
class Escalation:
    """What happens ``after`` (``2 working_days``) the end of the limit: remind | pass | reject | transfer | admin.

    ``superior``: ``remind`` and ``transfer`` go to the superior of whoever is late; else to ``to``, or to whoever is late.
    """

    after: str
    do: str
    to: tuple[Who, ...] = ()
    superior: bool = False


@dataclass(frozen=True)
class Limit:
    """``within``: ``N hours | days | working_hours | working_days`` from the opening of a task; then the escalations in order."""

    within: str
    then: tuple[Escalation, ...] = ()


@dataclass(frozen=True)
class ReturnRule:
    """``to``: initiator | previous | any | end | names of steps before; ``then``: rerun (every step again) | resume (back to who returned)."""

    to: tuple[str, ...] = ("initiator", "previous", "any")
    then: str = "rerun"


@dataclass(frozen=True, kw_only=True)
class ChainStep:
    """What every step has. ``when``: skipped, with a word in the log, unless true.

    ``entered``, ``passed``: what the record undergoes whenever the case comes to this step, and when the step passes.
    """

    name: str
    label: Text
    when: str = ""
    entered: tuple[Step, ...] = ()
    passed: tuple[Step, ...] = ()
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def inner(self) -> tuple[Branch, ...]:
        """The branches of a fork; empty for every other step."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Decide(ChainStep):
    """People decide. ``mode``: any 或签 | all 会签 | sequence 顺序会签 | vote 票签 | claim 认领 | random 随机.

    ``share`` (vote): ``2/3`` of the weight, or a weight such as ``2``; ``weights``: role address or login → weight, else 1.
    ``veto``: one_rejects (the first rejection ends the step) | rest_continue (everyone is heard, then a rejection counts) | none (vote).
    ``fields``: field of the record → read | write | required | hidden while this step decides; it never widens what a person may read.
    ``empty`` (nobody found): admin | fail | skip | who (→ ``empty_who``). ``initiator``: forbid | skip | superior | allow.
    ``auto_pass``, ``auto_reject``: expressions; not true = people decide. ``sign``: whoever decides gives the account's password again.
    ``signature``: drawn (手写签名): whoever decides draws a signature, kept as a picture whose digest stands in the log.
    """

    who: tuple[Who, ...] = ()
    mode: str = "any"
    share: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)
    veto: str = "one_rejects"
    decisions: tuple[str, ...] = DECISIONS
    opinion: str = "on_reject"          # required | on_reject | optional
    attachments: str = "optional"       # required | optional | none
    outputs: Mapping[str, Field] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    returns: ReturnRule = ReturnRule()
    may: tuple[str, ...] = POWERS
    empty: str = "admin"
    empty_who: tuple[Who, ...] = ()
    initiator: str = "forbid"
    auto_pass: str = ""
    auto_reject: str = ""
    limit: Limit | None = None
    sign: bool = False
    signature: str = ""                 # drawn

    @property
    def filled_in(self) -> tuple[Field, ...]:
        """The outputs that a pass holds in any case: required ones, and those with a first value."""
        return tuple(one for one in self.outputs.values() if one.required or one.default)


@dataclass(frozen=True)
class Branch:
    """One way through a fork. ``otherwise``: taken when no other branch is."""

    name: str
    label: Text
    steps: Mapping[str, ChainStep]
    when: str = ""
    otherwise: bool = False


@dataclass(frozen=True, kw_only=True)
class Fork(ChainStep):
    """``kind``: branch (the first whose ``when`` holds) | parallel (all) | inclusive (every one whose ``when`` holds); all taken ones join."""

    kind: str
    branches: Mapping[str, Branch]

    @property
    def inner(self) -> tuple[Branch, ...]:
        return tuple(self.branches.values())


@dataclass(frozen=True, kw_only=True)
class SubChain(ChainStep):
    """A case of another chain (``entity/name``) on the record at the link ``on`` (``self``: on this record).

    ``wait``: its approval passes this step, its rejection rejects it; else this case goes on at once.
    """

    chain: str
    on: str = "self"
    wait: bool = True


@dataclass(frozen=True, kw_only=True)
class CopyTo(ChainStep):
    """People get a copy to read (抄送); nothing waits for them."""

    who: tuple[Who, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WaitFor(ChainStep):
    """The case stands still until ``condition`` holds, or, where there is none, until somebody wakes it."""

    condition: str = ""


@dataclass(frozen=True)
class StartRule:
    """Who may start a case by hand: holders of ``roles`` (addresses), while ``when`` holds on the record."""

    roles: tuple[str, ...] = ()
    when: str = ""
    message: Text | None = None


@dataclass(frozen=True)
class Allowed:
    """``withdraw``: before_decision | any_time | never. ``terminate``: roles that may end a case besides the administrators."""

    withdraw: str = "before_decision"
    take_back: bool = True
    terminate: tuple[str, ...] = ()
    urge: bool = True


@dataclass(frozen=True)
class ApprovalChain:
    """``address`` is ``<entity>/<name>``. ``forbid_repeat``: chain (nobody acts in two steps) | step (nobody acts twice in one) | none.

    ``makers``: paths to users of the record who made what is decided, besides the initiator: they do not decide either.
    ``repeated``: what becomes of a person who passed an earlier step already, where repeats are allowed: ask | pass_adjacent | pass_any.
    ``results``: what the record undergoes at ``started approved rejected returned resumed withdrawn terminated``, as action steps.
    """

    address: str
    entity: str
    name: str
    label: Text
    subject: Text
    steps: Mapping[str, ChainStep]
    one_open: bool = True
    start: StartRule | None = None
    forbid_repeat: str = "chain"
    makers: tuple[str, ...] = ()
    repeated: str = "ask"
    allow: Allowed = Allowed()
    results: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    position: Position = field(default=NOWHERE, compare=False)

    @cached_property
    def effects(self) -> Mapping[str, tuple[Step, ...]]:
        """What the record undergoes at all: the results by name, and ``<step>/entered``, ``<step>/passed``."""
        at_steps = {f"{step.name}/{hook}": getattr(step, hook) for step in self.every_step() for hook in HOOKS if getattr(step, hook)}
        return {**self.results, **at_steps}

    def every_step(self) -> Iterator[ChainStep]:
        """All steps, a fork before what it holds, in the order of the metadata."""
        return _every(self.steps)

    def step(self, name: str) -> ChainStep:
        """The step called ``name`` wherever it stands; KeyError where the chain has none."""
        for step in self.every_step():
            if step.name == name:
                return step
        raise KeyError(name)

    def before(self, name: str) -> frozenset[str]:
        """The steps that can have been decided when ``name`` begins: earlier ones on its own way, and all inside earlier forks."""
        return _before(self.steps, name, frozenset()) or frozenset()


def _before(steps: Mapping[str, ChainStep], name: str, seen: frozenset[str]) -> frozenset[str] | None:
    for step in steps.values():
        if step.name == name:
            return seen
        for branch in step.inner:
            found = _before(branch.steps, name, seen)
            if found is not None:
                return found
        seen = seen | {step.name} | {s.name for branch in step.inner for s in _every(branch.steps)}
    return None


def _every(steps: Mapping[str, ChainStep]) -> Iterator[ChainStep]:
    for step in steps.values():
        yield step
        for branch in step.inner:
            yield from _every(branch.steps)
