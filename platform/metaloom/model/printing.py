"""What goes on paper: print templates of an entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.screen import ListView

PAPERS = ("A3", "A4", "A5")
MAIN = "main"
"""The template that takes the place of the default print."""


@dataclass(frozen=True)
class PrintBlock:
    """One part of a paper; exactly one of ``fields``, ``text``, ``rows``, ``opinions`` and ``sign`` is filled.

    ``fields``: paths said as label and words, ``columns`` pairs beside each other. ``text``: a paragraph with slots. ``rows``: a child
    field, or a tab of related records, as a table of ``view``'s columns with ``totals`` below. ``opinions``: what people said in
    an approval chain. ``sign``: places to sign.
    ``skip_empty``: a field without a value, or a table without rows, is left out. ``when``: printed only where true.
    """

    name: str
    label: Text | None = None
    fields: tuple[str, ...] = ()
    columns: int = 2
    text: Text | None = None
    rows: str = ""
    view: ListView | None = None
    totals: tuple[str, ...] = ()
    opinions: str = ""
    sign: tuple[Text, ...] = ()
    skip_empty: bool = False
    when: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True)
class PrintTemplate:
    """A paper about one record. ``when``: offered only for records for which it is true; ``message`` says why it is not.

    ``title``, ``reference`` (beside the company's name) and ``footer`` are texts with slots ``{path}``.
    """

    address: str
    entity: str
    name: str
    label: Text
    title: Text
    paper: str = "A4"
    landscape: bool = False
    reference: Text | None = None
    footer: Text | None = None
    when: str = ""
    message: Text | None = None
    icon: str = ""
    blocks: Mapping[str, PrintBlock] = field(default_factory=dict)
    position: Position = NOWHERE
