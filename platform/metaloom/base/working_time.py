"""Reckoning in working time: which instants of a calendar count, how many lie between two, where an amount of them ends.

Pure: the calendar, the hours of a day and the zone come in. Two units. ``hours`` is time that really passes while people
work, so a night of clock change counts what it lasts. ``days`` is a share of the day's working time: a working day weighs
one, a half day a half. Pauses do not count in either. Answers are exact (Fraction); an instant is rounded up to the
microsecond, so that ``add`` never promises more time than there was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

Kind = Literal["holiday", "workday", "half"]
Unit = Literal["hours", "days"]
Pause = tuple[datetime, datetime | None]

BARREN_DAYS_MAX = 3660
_MICROSECOND = timedelta(microseconds=1)
_WEIGHT: Mapping[str, Fraction] = MappingProxyType({"workday": Fraction(1), "half": Fraction(1, 2)})


class NoWorkingTime(ValueError):
    """The calendar or the hours leave no working time: the amount can never be reached."""


@dataclass(frozen=True)
class WorkingHours:
    """``spans`` of a working day in minutes since midnight, in order and apart; the first one alone makes a half day."""

    spans: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        ends = [0, *(minute for span in self.spans for minute in span)]
        if not self.spans or any(a > b for a, b in zip(ends, ends[1:], strict=False)) or any(a == b for a, b in self.spans) or ends[-1] > 1440:
            raise ValueError(f"working hours must be spans in order inside one day: {self.spans}")

    @classmethod
    def parse(cls, texts: Sequence[str]) -> WorkingHours:
        """``["09:00-12:00", "13:30-18:00"]``; ValueError for anything else. ``24:00`` is the end of the day."""
        return cls(tuple((_minutes(text.partition("-")[0]), _minutes(text.partition("-")[2])) for text in texts))

    def of(self, kind: Kind) -> tuple[tuple[int, int], ...]:
        """The spans of a day of this kind; a half day of hours without a break is the first half of them."""
        if kind == "holiday":
            return ()
        if kind == "workday":
            return self.spans
        (start, end), *rest = self.spans
        return ((start, end),) if rest else ((start, (start + end) // 2),)


USUAL_HOURS = WorkingHours(((9 * 60, 12 * 60), (13 * 60 + 30, 18 * 60)))


@dataclass(frozen=True)
class Calendar:
    """``days`` that differ from the week: holidays, half days, and weekends worked in exchange. ``weekend``: Monday is 0."""

    days: Mapping[date, Kind] = field(default_factory=dict)
    weekend: frozenset[int] = frozenset({5, 6})

    def kind(self, day: date) -> Kind:
        return self.days.get(day) or ("holiday" if day.weekday() in self.weekend else "workday")

    def works(self, day: date) -> bool:
        return self.kind(day) != "holiday"

    def next_working_day(self, day: date) -> date:
        """The first working day after ``day``."""
        for number in range(1, BARREN_DAYS_MAX):
            if self.works(found := day + timedelta(number)):
                return found
        raise NoWorkingTime(f"no working day within {BARREN_DAYS_MAX} days of {day}")


@dataclass(frozen=True)
class _Piece:
    """A stretch of working time, in UTC; ``rate`` turns its microseconds into the unit asked for."""

    start: datetime
    end: datetime
    rate: Fraction


def add_working(start: datetime, amount: int | Fraction, unit: Unit, calendar: Calendar, hours: WorkingHours, zone: ZoneInfo,
                *, pauses: Sequence[Pause] = ()) -> datetime:
    """The first instant (UTC) at which ``amount`` of working time has passed since ``start`` (aware); ``start`` itself for 0.

    ValueError for a negative amount, or when a pause without end comes first. NoWorkingTime when there is none in ten years.
    """
    if amount < 0:
        raise ValueError("an amount of working time is not negative")
    left, start = Fraction(amount), start.astimezone(UTC)
    if not left:
        return start
    for piece in _pieces(start, None, unit, calendar, hours, zone, pauses):
        worth = _microseconds(piece.start, piece.end) * piece.rate
        if worth >= left:
            micros = left / piece.rate
            return piece.start + _MICROSECOND * -(-micros.numerator // micros.denominator)
        left -= worth
    raise ValueError("a pause without end comes first")


def working_between(a: datetime, b: datetime, unit: Unit, calendar: Calendar, hours: WorkingHours, zone: ZoneInfo,
                    *, pauses: Sequence[Pause] = ()) -> Fraction:
    """Working time from ``a`` to ``b`` (both aware), in hours or days; negative when ``b`` is the earlier one."""
    if b < a:
        return -working_between(b, a, unit, calendar, hours, zone, pauses=pauses)
    pieces = _pieces(a.astimezone(UTC), b.astimezone(UTC), unit, calendar, hours, zone, pauses)
    return sum((_microseconds(piece.start, piece.end) * piece.rate for piece in pieces), Fraction(0))


def _pieces(start: datetime, end: datetime | None, unit: Unit, calendar: Calendar, hours: WorkingHours, zone: ZoneInfo,
            pauses: Sequence[Pause]) -> Iterator[_Piece]:
    """Working time after ``start``, in order, without pauses; up to ``end``, or for ever, or to a pause without end."""
    day, barren = start.astimezone(zone).date(), 0
    stop = min((begun.astimezone(UTC) for begun, ended in pauses if ended is None), default=None)
    stop = end if stop is None else stop if end is None else min(stop, end)
    last = stop.astimezone(zone).date() if stop is not None else date.max
    while day <= last:
        spans = list(_spans(day, calendar.kind(day), hours, zone))
        barren = 0 if spans else barren + 1
        if barren > BARREN_DAYS_MAX:
            raise NoWorkingTime(f"no working time within {BARREN_DAYS_MAX} days of {day}")
        rate = _rate(unit, calendar.kind(day), spans)
        for begun, ended in _without(spans, pauses):
            from_, to = max(begun, start), ended if stop is None else min(ended, stop)
            if from_ < to:
                yield _Piece(from_, to, rate)
        day += timedelta(1)


def _rate(unit: Unit, kind: Kind, spans: Sequence[tuple[datetime, datetime]]) -> Fraction:
    """What one microsecond of the day is worth."""
    if unit == "hours":
        return Fraction(1, 3_600_000_000)
    length = sum(_microseconds(*span) for span in spans)
    return _WEIGHT[kind] / length if length else Fraction(0)


def _spans(day: date, kind: Kind, hours: WorkingHours, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The day's spans in UTC; what a clock change swallows or would count twice is left out."""
    before = datetime.min.replace(tzinfo=UTC)
    for first, last in hours.of(kind):
        begun, ended = max(_instant(day, first, zone), before), _instant(day, last, zone)
        if begun < ended:
            yield begun, ended
            before = ended


def _instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    day, minute = (day + timedelta(1), 0) if minute == 1440 else (day, minute)
    return datetime.combine(day, time(minute // 60, minute % 60), zone).astimezone(UTC)


def _without(spans: Sequence[tuple[datetime, datetime]], pauses: Sequence[Pause]) -> list[tuple[datetime, datetime]]:
    """The spans with every pause cut out."""
    left = list(spans)
    for begun, ended in pauses:
        if ended is None:
            continue
        cut = [part for a, b in left for part in ((a, min(b, begun.astimezone(UTC))), (max(a, ended.astimezone(UTC)), b))]
        left = [(a, b) for a, b in cut if a < b] if begun < ended else left
    return left


def _microseconds(a: datetime, b: datetime) -> int:
    return (b - a) // _MICROSECOND


def _minutes(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit() and int(minute) < 60):
        raise ValueError(f"a time of the day is written as 09:00, found {text!r}")
    return int(hour) * 60 + int(minute)
