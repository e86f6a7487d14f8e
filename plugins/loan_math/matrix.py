"""冲销: which open amount a receipt pays first, as a matrix {past due, due, in advance} × {component}, by period or by component.

A receipt walks over the cells of its matrix. ``by_period``: the oldest bill first, inside it the cells of its state in
their order. ``by_component``: cell after cell, inside a cell the oldest bill first. Domain specification §4.6.

A product may have matrices of its own (:class:`Matrices`): for each stage of a bill an order of the five components, chosen by the transaction
and by how the loan stands. Of a loan's bills they name the ones past due, due, and the one whose period runs; periods to come are repaid early by
agreement only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from .errors import LoanMathError

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

    def walk(self, bills: Sequence[OpenBill]) -> Iterator[tuple[OpenBill, str]]:
        """The cells in the order in which they are paid; ``bills`` come oldest first."""
        if self.order == "by_period":
            return ((bill, component) for bill in bills for state, component in self.cells if state == bill.state)
        return ((bill, component) for component, states in _runs(self.cells) for bill in bills if bill.state in states)


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


ANY: Final = "any"
KINDS: Final = (ANY, "due", "prepay", "settle", "suspense")
"""Transactions that may have a matrix of their own: what a receipt is for, or 溢缴款 that pays what falls due."""
ASSET_CLASSES: Final = (ANY, "normal", "overdue", "non_performing", "written_off")
STAGES: Final = ("past_due", "due", "running")
"""Of a bill: its day has gone by, is today, or is to come while its period runs."""
NON_PERFORMING_AFTER: Final = 90
"""Days past due after which a loan counts as non-performing."""
PLACES: Final = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True)
class Staged:
    """A matrix of a product's own: for each stage the components in their order. ``by_component`` goes place after place, at each the oldest bill
    first. A stage that is left out takes nothing; what is left waits as 溢缴款."""

    way: str
    stages: Mapping[str, tuple[str, ...]]

    def walk(self, bills: Sequence[OpenBill]) -> Iterator[tuple[OpenBill, str]]:
        named = [bill for bill in bills if bill.state in self.stages]
        if self.way == "by_period":
            return ((bill, component) for bill in named for component in self.stages[bill.state])
        return ((bill, self.stages[bill.state][place]) for place in range(len(COMPONENTS)) for bill in named)


@dataclass(frozen=True)
class Matrices:
    """The matrices of one product, as rows: ``kind``, ``asset_class``, ``way``, ``stage`` and the component of each place (``first`` … ``fifth``).

    Empty: the product has none. Rows come from :func:`read_matrices` or :meth:`parse`, both of which refuse what contradicts itself."""

    rows: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = ()
    _by: Mapping[tuple[str, str], Staged] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[tuple[str, str], Staged] = {}
        for kind, asset_class, way, stage, components in self.rows:
            before = found.get((kind, asset_class), Staged(way, {}))
            found[kind, asset_class] = Staged(way, {**before.stages, stage: components})
        object.__setattr__(self, "_by", found)

    def of(self, kind: str, asset_class: str) -> Staged | None:
        """The matrix of a transaction: the one for both, else for how the loan stands, else for the kind, else for all; None: the product's rule."""
        return next((self._by[key] for key in ((kind, asset_class), (ANY, asset_class), (kind, ANY), (ANY, ANY)) if key in self._by), None)

    @cached_property
    def text(self) -> str:
        """One line for each row, for :meth:`parse`."""
        return "\n".join(f"{kind} {asset_class} {way} {stage} {' '.join(components)}" for kind, asset_class, way, stage, components in self.rows)

    @classmethod
    def parse(cls, text: str) -> Matrices:
        """What :attr:`text` said. LoanMathError: it says something else."""
        names = ("kind", "asset_class", "way", "stage", *PLACES)
        return read_matrices([dict(zip(names, line.split(), strict=False)) for line in text.splitlines()])


def read_matrices(given: Sequence[Mapping[str, Any]]) -> Matrices:
    """Rows of a product or of a request. LoanMathError names the row at fault: a component that stands twice, a stage said twice, two ways of walking
    in one matrix, or one that leaves out what is past due or due (money would wait beside a debt)."""
    rows: list[tuple[str, str, str, str, tuple[str, ...]]] = []
    for place, one in enumerate(given):
        key = f"allocation_matrices[{place}]"
        kind, asset_class, way = one.get("kind", ANY), one.get("asset_class", ANY), one.get("way", "by_period")
        components = tuple(str(one.get(name)) for name in PLACES)
        for name, found, known in (("kind", kind, KINDS), ("asset_class", asset_class, ASSET_CLASSES), ("way", way, ("by_period", "by_component")),
                                   ("stage", one.get("stage"), STAGES), *zip(PLACES, components, [COMPONENTS] * 5, strict=True)):
            if found not in known:
                raise LoanMathError(f"{key}.{name}", "unknown_choice", found=found, limit=", ".join(known))
        twice = next((name for at, name in enumerate(PLACES) if components[at] in components[:at]), None)
        if twice is not None:
            raise LoanMathError(f"{key}.{twice}", "twice", found=one[twice])
        for other in rows:
            if other[:2] == (kind, asset_class) and other[3] == one["stage"]:
                raise LoanMathError(f"{key}.stage", "twice", found=one["stage"])
            if other[:2] == (kind, asset_class) and other[2] != way:
                raise LoanMathError(f"{key}.way", "conflict", found=way, limit=other[2])
        rows.append((kind, asset_class, way, one["stage"], components))
    for place, (kind, asset_class, *_) in enumerate(rows):
        stages = {stage for a, b, _, stage, _ in rows if (a, b) == (kind, asset_class)}
        missing = next((stage for stage in ("past_due", "due") if stage not in stages), None)
        if missing is not None:
            raise LoanMathError(f"allocation_matrices[{place}].stage", "needs", limit=missing)
    return Matrices(tuple(rows))


def spread(matrix: Matrix | Staged, bills: Sequence[OpenBill], amount: int) -> tuple[list[tuple[int, str, int]], int]:
    """([(no, component, paid)], what no cell could take). Σ paid + surplus = amount."""
    parts: list[tuple[int, str, int]] = []
    for bill, component in matrix.walk(sorted(bills, key=lambda bill: bill.no)):
        paid = min(amount, bill.open.get(component, 0))
        if paid > 0:
            parts.append((bill.no, component, paid))
            amount -= paid
    return parts, amount


def _runs(cells: Sequence[Cell]) -> Iterator[tuple[str, frozenset[str]]]:
    """Neighbouring cells of one component count as one, so that the oldest bill comes first whatever its state."""
    at = 0
    while at < len(cells):
        end = at
        while end < len(cells) and cells[end][1] == cells[at][1]:
            end += 1
        yield cells[at][1], frozenset(state for state, _ in cells[at:end])
        at = end
