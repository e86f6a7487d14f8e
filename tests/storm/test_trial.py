"""A fault that its run never came by is told as that, and only where the run was a little shorter than the one that was counted."""

from __future__ import annotations

import pytest

from tests.storm.trial import NOT_REACHED, Fault, Run, missed

RUN = Run({}, ("a", "b"), 450, {}, {}, {})


@pytest.mark.parametrize(("fault", "sent", "said"), [
    (Fault("kill", 450), 449, NOT_REACHED), (Fault("fail", 446), 440, NOT_REACHED), (Fault("refuse", 445), 444, NOT_REACHED),
    (Fault("kill", 450), 450, "kill 450: was not come by"),                # it was sent, and nothing happened
    (Fault("kill", 100), 99, "kill 100: was not come by"),                 # so short is no run by chance
    (Fault("point", "a"), 0, "point a #1: was not come by"),               # places do not vary
])
def test_what_a_shorter_run_does_not_reach_is_no_failure(fault: Fault, sent: int, said: str) -> None:
    assert missed(fault, sent, RUN) == said
