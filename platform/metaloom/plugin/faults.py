"""What the engine says when a plugin broke its promise, and the small checks that find out.

The engine believes nothing a plugin returns before it went through these checks (architecture §7, reliability 101–103).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal

from metaloom.base.errors import MetaloomError
from metaloom.base.messages import message, register

register({
    "error.plugin": ("插件“{plugin}”没有正常工作，数据没有变化。请联系管理员。",
                     "The plugin “{plugin}” failed; nothing was changed. Please tell your administrator."),
})

AMOUNT_MAX = Decimal("1E15")


class PluginFault(MetaloomError):
    """A plugin raised, or returned something its door does not allow. The transaction it ran in is rolled back.

    ``fault`` is for the log and for who wrote the plugin; people are not told it, because it may speak of values.
    """

    status, code = 503, "error.plugin"

    def __init__(self, plugin: str, fault: str) -> None:
        self.plugin, self.fault = plugin, fault
        super().__init__(message("error.plugin", plugin=plugin))

    def __str__(self) -> str:
        return f"{self.plugin}: {self.fault}"


class Promise:
    """Checks in the name of one provider: every refusal is a :class:`PluginFault` that says which value was wrong."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin

    def broken(self, fault: str) -> PluginFault:
        return PluginFault(self.plugin, fault)

    def that(self, kept: bool, fault: str) -> None:
        if not kept:
            raise self.broken(fault)

    def is_a(self, key: str, value: object, kind: type | tuple[type, ...]) -> None:
        self.that(isinstance(value, kind), f"{key}: {type(value).__name__} was not expected")

    def number(self, key: str, value: object, *, places: int) -> Decimal:
        """A finite Decimal with at most ``places`` places; float, int and text are refused, not converted."""
        if not isinstance(value, Decimal):
            raise self.broken(f"{key}: {type(value).__name__} instead of Decimal")
        self.that(value.is_finite() and abs(value) <= AMOUNT_MAX, f"{key}: {value} is out of range")
        exponent = value.as_tuple().exponent
        self.that(isinstance(exponent, int) and exponent >= -places, f"{key}: {value} has more than {places} places")
        return value

    def amount(self, key: str, value: object, *, least: Decimal = Decimal(0)) -> Decimal:
        """Money: at most two places and not below ``least``."""
        checked = self.number(key, value, places=2)
        self.that(checked >= least, f"{key}: {checked} is below {least}")
        return checked

    def whole(self, key: str, value: object, *, least: int = 0) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.broken(f"{key}: {type(value).__name__} instead of int")
        self.that(value >= least, f"{key}: {value} is below {least}")
        return value

    def day(self, key: str, value: object) -> date:
        """A plain date; a datetime is refused, because its day depends on a zone."""
        if isinstance(value, datetime) or not isinstance(value, date):
            raise self.broken(f"{key}: {type(value).__name__} instead of date")
        return value

    def text(self, key: str, value: object, *, longest: int = 2000) -> str:
        if not isinstance(value, str):
            raise self.broken(f"{key}: {type(value).__name__} instead of str")
        self.that(len(value) <= longest, f"{key}: longer than {longest} characters")
        return value

    def one_of(self, key: str, value: object, allowed: Collection[str]) -> str:
        checked = self.text(key, value)
        self.that(checked in allowed, f"{key}: {checked!r} is not one of {', '.join(sorted(allowed))}")
        return checked
