"""Plan: how the steps of a chain lie in each other. Looked up, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metaloom.model import ApprovalChain, ChainStep, Fork

Way = tuple[str, str]
"""A fork and the branch taken through it."""


@dataclass(frozen=True)
class Plan:
    """``ways``: step → the branches around it, outermost first; ``blocks``: way (None: the chain itself) → its steps in order."""

    steps: Mapping[str, ChainStep] = field(default_factory=dict)
    ways: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)
    blocks: Mapping[Way | None, tuple[str, ...]] = field(default_factory=dict)

    def parent(self, step: str) -> Way | None:
        """The branch whose block holds ``step``; None for the chain's own steps."""
        return self.ways[step][-1] if self.ways[step] else None

    def block(self, step: str) -> tuple[str, ...]:
        """The steps of the block that holds ``step``, itself included."""
        return self.blocks[self.parent(step)]

    def next(self, step: str) -> str | None:
        """The step after ``step`` in its block."""
        block = self.block(step)
        index = block.index(step) + 1
        return block[index] if index < len(block) else None

    def first(self, way: Way | None) -> str | None:
        """The first step of a block; None where it is empty."""
        return next(iter(self.blocks[way]), None)

    def within(self, step: str) -> Iterator[str]:
        """``step`` and everything inside it."""
        yield step
        for branch in self.steps[step].inner:
            for inner in branch.steps:
                yield from self.within(inner)

    def fork(self, step: str) -> Fork:
        found = self.steps[step]
        assert isinstance(found, Fork)
        return found


def plan_of(chain: ApprovalChain) -> Plan:
    """The plan of a chain; cheap: one walk over its steps."""
    steps: dict[str, ChainStep] = {}
    ways: dict[str, tuple[Way, ...]] = {}
    blocks: dict[Way | None, tuple[str, ...]] = {}

    def lay(block: Mapping[str, ChainStep], around: tuple[Way, ...]) -> None:
        blocks[around[-1] if around else None] = tuple(block)
        for name, step in block.items():
            steps[name], ways[name] = step, around
            for branch in step.inner:
                lay(branch.steps, (*around, (name, branch.name)))

    lay(chain.steps, ())
    return Plan(steps, ways, blocks)
