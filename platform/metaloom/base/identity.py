"""Checks of Chinese identifiers: 身份证, 统一社会信用代码, bank card, mobile (domain spec §2.4; GB 11643, GB 32100)."""

from __future__ import annotations

import re
from datetime import date

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_MOBILE = re.compile(r"1[3-9][0-9]{9}", re.ASCII)


def id_card_check_digit(first17: str) -> str:
    """The 18th character for the first 17 digits."""
    return _ID_CHECK[sum(int(d) * w for d, w in zip(first17, _ID_WEIGHTS, strict=True)) % 11]


def is_id_card(value: str) -> bool:
    """18 characters, a real birthday, the right check character."""
    if not re.fullmatch(r"[1-9][0-9]{16}[0-9X]", value, re.ASCII):
        return False
    return id_card_birthday(value) is not None and id_card_check_digit(value[:17]) == value[17]


def id_card_birthday(value: str) -> date | None:
    """Birthday from digits 7–14, or None where they are no date."""
    try:
        return date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return None


def id_card_is_male(value: str) -> bool:
    """The 17th digit is odd for men."""
    return int(value[16]) % 2 == 1


def is_mobile(value: str) -> bool:
    """A mainland mobile number without country code."""
    return _MOBILE.fullmatch(value) is not None


def is_bank_card(value: str) -> bool:
    """12–19 digits with a right Luhn digit."""
    if not re.fullmatch(r"[0-9]{12,19}", value, re.ASCII):
        return False
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(value)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def is_credit_code(value: str) -> bool:
    """统一社会信用代码: 18 characters with a right check character."""
    if len(value) != 18 or any(c not in _USCC_ALPHABET for c in value):
        return False
    total = sum(_USCC_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(value[:17]))
    return _USCC_ALPHABET[(31 - total % 31) % 31] == value[17]
