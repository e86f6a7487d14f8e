"""What the suites of payments share."""

import pytest

from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """A lender on either database whose payments take the sandbox's channel."""
    both_lenders.way = desk.channel(both_lenders, "MAIN")    # type: ignore[attr-defined]
    return both_lenders
