"""Who comes when and how it ends: decided before the first day, by a seed, so that every run tells the same story."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from metaloom.plugin.demo_data import Size

SEED = "metaloom demo 1"
LOANS = "loans"
# Share of all customers in thousandths; at least one of each. The rest borrow.
FATES = {
    "visit": 100,                                                                                     # taken down, never applies
    "draft": 20, "checking": 22, "reviewing": 22, "returned": 10, "cancelled": 8,                     # application under way
    "signing": 6, "voting": 4, "withdrawn": 3, "resubmitted": 6, "voted": 4,
    "check_rejected": 18, "review_rejected": 12, "on_list": 1, "listed_by_us": 8, "forgiven": 2,      # no
    "limit": 25, "limit_frozen": 4, "limit_ended": 3,                                                 # a limit, not drawn
    "draw_draft": 8, "draw_reviewing": 10, "draw_returned": 4, "draw_rejected": 5, "draw_cancelled": 3, "draw_void": 3,
    "draw_approved": 10, "pay_failed": 3, "pay_slow": 2, "pay_lost": 2,
}
IN_WORK = frozenset({
    "draft", "checking", "reviewing", "signing", "voting", "returned", "withdrawn", "draw_draft", "draw_reviewing", "draw_returned", "draw_approved",
    "pay_failed", "pay_slow",
    "pay_lost"})
"""Fates that should look recent: such people come in the last days."""
CARD_ENDINGS = {"pay_failed": "9993", "pay_slow": "9995", "pay_lost": "9997"}
LISTED_PEOPLE = ("110101199003070011", "330106198506122352", "440305197809234488")
"""The invented people whom the sandbox bureau lists."""
BEHAVIOURS = {"regular": 60, "late": 9, "part_then_rest": 8, "settles": 9, "overpays": 5, "reversed": 3, "stops": 3, "part_and_stops": 3}
RECENT_DAYS, EARLY_DAYS, EARLY_PER_DAY = 6, 2, 5


@dataclass(frozen=True)
class Case:
    """One customer. ``day`` counts working days from 0; ``loans`` is how many are drawn; ``slow_bureau``: asked in vain."""

    number: int
    fate: str
    day: int
    loans: int = 0
    id_no: str = ""
    slow_bureau: bool = False

    @property
    def rng(self) -> Random:
        return Random(f"{SEED} case {self.number}")

    @property
    def card_ending(self) -> str:
        return CARD_ENDINGS.get(self.fate, "")


def cases(size: Size, last: int) -> list[Case]:
    """All customers by number; ``last`` is the last working day, on which the clock is the real one."""
    rng = Random(SEED)
    first = min(size.customers, round(size.first * 1.05))
    fates = _fates(size.customers, rng)
    fates = _borrowers_first(fates, first)
    borrowers = [i for i, fate in enumerate(fates) if fate == LOANS]
    share = {number: size.cases // len(borrowers) + (place < size.cases % len(borrowers)) for place, number in enumerate(borrowers)}
    listed = iter(LISTED_PEOPLE)
    return [Case(number, fate, _day(number, fate, first, last, rng), share.get(number, 0),
                 next(listed, "") if fate == "on_list" else "", fate == LOANS and rng.random() < 0.01)
            for number, fate in enumerate(fates)]


def _fates(customers: int, rng: Random) -> list[str]:
    special = [fate for fate, share in FATES.items() for _ in range(max(1, round(customers * share / 1000)))]
    special = special[:max(0, customers - max(1, customers // 3))]
    fates = special + [LOANS] * (customers - len(special))
    rng.shuffle(fates)
    return fates


def _borrowers_first(fates: list[str], first: int) -> list[str]:
    """The first arrivals all borrow, so that there are loans to look at within seconds."""
    front = [fate for fate in fates if fate == LOANS][:first]
    rest = list(fates)
    for fate in front:
        rest.remove(fate)
    return front + rest


def _day(number: int, fate: str, first: int, last: int, rng: Random) -> int:
    if number < first:
        return 0
    early = number - first
    if early < EARLY_DAYS * EARLY_PER_DAY and fate not in IN_WORK:
        return 1 + early // EARLY_PER_DAY
    if fate in IN_WORK:
        return max(0, last - rng.randrange(2, 2 + RECENT_DAYS))
    return rng.randrange(min(EARLY_DAYS + 1, last), max(last - 3, EARLY_DAYS + 2))
