"""What is not as it must be, told at once: one sentence for the whole, and for each record its own (docs/ledger.md, docs/jobs.md)."""

from __future__ import annotations

from collections.abc import Sequence

from metaloom.base.errors import NotPossible
from metaloom.base.messages import Message, words
from metaloom.base.text import Text
from metaloom.plugin.invariant import Breach

COMPANY = "platform.company"
SHOWN = 50
"""Findings that are told at most."""
Finding = tuple[str, int | None, Message]


class DoesNotHold(NotPossible):
    """Something is not as it must be: the sentence begins with ``head`` and tells what is off of the company as a whole; ``breaches``: the records
    it comes from, one row for each (entity, id, sentence)."""

    def __init__(self, head: Message, found: Sequence[Finding]) -> None:
        whole = [said for entity, record, said in found if record is None or entity == COMPANY]
        super().__init__(together([head, *whole]))
        by_record: dict[int, tuple[str, list[Message]]] = {}
        for entity, record, said in found:
            if record is not None and entity != COMPANY:
                by_record.setdefault(record, (entity, []))[1].append(said)
        self.breaches = [(entity, record, together(said)) for record, (entity, said) in by_record.items()]


def together(said: Sequence[Message]) -> Message:
    """What is to be said at once, in each language."""
    zh, en = ("".join(f"{one.say('zh').rstrip('。')}。" for one in said), " ".join(f"{one.say('en').rstrip('.')}." for one in said))
    return words(Text(zh.replace("{", "（").replace("}", "）"), en.replace("{", "(").replace("}", ")")))


def finding(breach: Breach) -> Finding:
    """A breach as the people of the business read it."""
    return breach.entity, breach.id, words(breach.said if breach.said is not None else Text(breach.text, breach.text))
