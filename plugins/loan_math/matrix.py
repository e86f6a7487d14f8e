"""冲销: which open amount a receipt pays first, as a matrix {past due, due, in advance} × {component}, by period or by component.

A receipt walks over the cells of its matrix. ``by_period``: the oldest bill first, inside it the cells of its state in
their order. ``by_component``: cell after cell, inside a cell the oldest bill first. Domain specification §4.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

STATES: Final = ("past_due", "due", "in_advance")
COMPONENTS: Final = ("fee", "penalty", "compound", "interest", "principal")
_PRINCIPAL_FIRST: Final = ("principal", "fee", "penalty", "compound", "interest")
Cell = tuple[str, str]


def _cells(components: Sequence[str], *, across: bool) -> tuple[Cell, ...]:
    """Past due and due, no bill in advance: those are touched only when a matrix says so."""
    if across:
        return tuple((state, component) for component in components for state in ("past_due", "due"))
    return tuple((state, component) for state in ("past_due", "due") for component in components)


@dataclass(frozen=True, slots=True)
class Matrix:
    """``order`` by_period | by_component; ``cells``: (state, component) in the order in which they are paid."""

    order: str = "by_period"
    cells: tuple[Cell, ...] = _cells(COMPONENTS, across=False)


PRESETS: Final[Mapping[str, Matrix]] = {
    "BY_PERIOD": Matrix(),
    "BY_COMPONENT": Matrix("by_component", _cells(COMPONENTS, across=True)),
    "PRINCIPAL_FIRST": Matrix("by_component", _cells(_PRINCIPAL_FIRST, across=True)),
}


@dataclass(frozen=True, slots=True)
class OpenBill:
    """What is unpaid of one instalment, in minor units by component, and how it stands on the day of the receipt."""

    no: int
    state: str
    open: Mapping[str, int]


def read_matrix(given: Any) -> Matrix:
    """A preset by name, or {order, cells: ["past_due.fee", …]}."""
    if isinstance(given, str):
        return PRESETS[given]
    return Matrix(given["order"], tuple((state, component) for state, _, component in (cell.partition(".") for cell in given["cells"])))


def spread(matrix: Matrix, bills: Sequence[OpenBill], amount: int) -> tuple[list[tuple[int, str, int]], int]:
    """([(no, component, paid)], what no cell could take). Σ paid + surplus = amount."""
    parts: list[tuple[int, str, int]] = []
    for bill, component in _walk(matrix, sorted(bills, key=lambda bill: bill.no)):
        paid = min(amount, bill.open.get(component, 0))
        if paid > 0:
            parts.append((bill.no, component, paid))
            amount -= paid
    return parts, amount


def _walk(matrix: Matrix, bills: Sequence[OpenBill]) -> Iterator[tuple[OpenBill, str]]:
    if matrix.order == "by_period":
        return ((bill, component) for bill in bills for state, component in matrix.cells if state == bill.state)
    return ((bill, component) for component, states in _runs(matrix.cells) for bill in bills if bill.state in states)


def _runs(cells: Sequence[Cell]) -> Iterator[tuple[str, frozenset[str]]]:
    """Neighbouring cells of one component count as one, so that the oldest bill comes first whatever its state."""
    at = 0
    while at < len(cells):
        end = at
        while end < len(cells) and cells[end][1] == cells[at][1]:
            end += 1
        yield cells[at][1], frozenset(state for state, _ in cells[at:end])
        at = end
