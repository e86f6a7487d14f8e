"""Loan arithmetic: schedules, allocation, overdue, settlement quotes, annual percentage rates.

Pure functions on frozen dataclasses; standard library only. `provider.py` puts them behind the engine's door.
"""

from .allocation import ALLOCATION_RULES, COMPONENTS, Allocation, Bill, Part, allocate
from .annual_rate import Apr, apr, apr_of_schedule
from .dates import due_dates
from .errors import LoanMathError
from .overdue import Penalty, PenaltyTerms, Segment, overdue_days, penalty
from .schedules import level_payment, schedule
from .settle import SettleQuote, settle_quote
from .terms import METHODS, Instalment, Terms

__all__ = [
    "ALLOCATION_RULES",
    "COMPONENTS",
    "METHODS",
    "Allocation",
    "Apr",
    "Bill",
    "Instalment",
    "LoanMathError",
    "Part",
    "Penalty",
    "PenaltyTerms",
    "Segment",
    "SettleQuote",
    "Terms",
    "allocate",
    "apr",
    "apr_of_schedule",
    "due_dates",
    "level_payment",
    "overdue_days",
    "penalty",
    "schedule",
    "settle_quote",
]
