"""What each kind of question needs to know about a person, and which facts an answer may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final


@dataclass(frozen=True)
class Kind:
    """``needs``: names of the subject that must not be empty. ``facts``: name → whole | money | score | text | day | one of these words."""

    needs: tuple[str, ...]
    facts: Mapping[str, str | tuple[str, ...]]


_COMPARED: Final = ("match", "mismatch")
KINDS: Final[Mapping[str, Kind]] = {
    "bureau": Kind(("name", "id_no"), {
        "report_no": "text", "report_date": "day", "score": "whole", "accounts": "whole", "open_accounts": "whole", "credit_total": "money",
        "balance": "money", "overdue_accounts": "whole", "overdue_amount": "money", "overdue_months_max": "whole", "recovered": "whole",
        "guaranteed": "money", "judgments": "whole", "enforcements": "whole", "tax_arrears": "whole", "penalties": "whole",
        "queries_1m": "whole", "queries_3m": "whole", "queries_12m": "whole"}),
    "blacklist": Kind(("name", "id_no"), {"level": "text", "reason": "text", "listed_on": "day"}),
    "social_security": Kind(("name", "id_no"), {"months": "whole", "base": "money", "employer": "text", "paying": ("yes", "no")}),
    "carrier": Kind(("name", "id_no", "mobile"), {"result": _COMPARED, "online_months": "whole", "state": "text"}),
    "kyc3": Kind(("name", "id_no", "mobile"), {"result": _COMPARED}),
    "kyc4": Kind(("name", "id_no", "mobile", "card_no"), {"result": _COMPARED}),
    "face": Kind(("name", "id_no", "photo"), {"result": _COMPARED, "score": "score"}),
}
LARGEST: Final = Decimal("1E12")


def facts_of(kind: str, data: Mapping[str, object]) -> dict[str, object]:
    """The known facts with their types; what we do not know is left out. ValueError for a known one of the wrong kind, and where
    two things were to be compared and the answer does not say how that came out."""
    wanted = KINDS[kind].facts
    found = {name: _fact(name, shape, data[name]) for name, shape in wanted.items() if data.get(name) is not None}
    if "result" in wanted and "result" not in found:
        raise ValueError("result: missing")
    return found


def _fact(name: str, shape: str | tuple[str, ...], value: object) -> object:
    if isinstance(shape, tuple):
        return _text(name, value, shape)
    return {"whole": _whole, "money": _money, "score": _score, "day": _day, "text": _text}[shape](name, value)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError(f"{name}: no whole number that can be")
    return value


def _money(name: str, value: object) -> Decimal:
    """Amounts travel as text; a JSON number would have gone through a float on the other side."""
    amount = _number(name, value)
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError(f"{name}: more than two places")
    return amount.quantize(Decimal("0.01"))


def _score(name: str, value: object) -> Decimal:
    score = _number(name, value)
    if score > 100:
        raise ValueError(f"{name}: above 100")
    return score


def _number(name: str, value: object) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, str) and value.isascii() and len(value) <= 24 else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= LARGEST:
        raise ValueError(f"{name}: no amount that can be")
    return number


def _day(name: str, value: object) -> date:
    if not isinstance(value, str):
        raise ValueError(f"{name}: no date")
    return date.fromisoformat(value)


def _text(name: str, value: object, words: tuple[str, ...] = ()) -> str:
    if not isinstance(value, str) or len(value) > 200 or words and value not in words:
        raise ValueError(f"{name}: not a word that was agreed on")
    return value
