"""The one gate to the arithmetic of loans (decision 23): the time line, the matrix and the penalty of ``loan_math``, and nothing else of it.

Replaying a loan needs more than the ``calculation`` door asks for: rows *and* the segments between them. Only this module of the plugin
imports the other one (setup.cfg, import contracts).
"""

from __future__ import annotations

from metaloom_plugins.loan_math.account import Bill, open_of
from metaloom_plugins.loan_math.contract import Contract, Event, Penalty
from metaloom_plugins.loan_math.errors import LoanMathError
from metaloom_plugins.loan_math.line import Drawn, Row, Stretch, accrued, draw
from metaloom_plugins.loan_math.matrix import (
    COMPONENTS,
    PRESETS,
    Matrices,
    Matrix,
    OpenBill,
    Staged,
    read_matrices,
    spread,
)
from metaloom_plugins.loan_math.schedules import contract_of
from metaloom_plugins.loan_math.terms import Terms

__all__ = [
    "COMPONENTS", "PRESETS", "Bill", "Contract", "Drawn", "Event", "LoanMathError", "Matrices", "Matrix", "OpenBill", "Penalty", "Row",
    "Staged", "Stretch", "Terms", "accrued", "contract_of", "draw", "open_of", "read_matrices", "spread",
]
