"""The demo_data provider of the lending pack."""

from __future__ import annotations

from metaloom.plugin import Environment
from metaloom.plugin.demo_data import Size, Stage

from . import organisation, products
from .history import History


class LoanDemo:
    """A year of three micro-lenders: people come, apply, are judged, draw, are paid, pay back, or do not."""

    def __init__(self, environment: Environment) -> None:
        del environment  # nothing to set up: the same size makes the same history, day by day

    def packs(self) -> tuple[str, ...]:
        return ("lending",)

    def run(self, stage: Stage, size: Size) -> None:
        history = History(stage, size)
        stage.next_day(history.days[0])
        teams = organisation.set_up(stage)
        history.play(list(teams.values()), products.set_up(stage))
