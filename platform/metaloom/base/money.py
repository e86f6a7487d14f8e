"""Amounts of money: exact decimals, one rounding, and the words of a Chinese amount (大写)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_SMALL_UNITS = ("", "拾", "佰", "仟")
_GROUP_UNITS = ("", "万", "亿", "万亿")


def to_scale(value: Decimal, scale: int) -> Decimal:
    """``value`` rounded HALF_UP to ``scale`` places."""
    return value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)


def in_capitals(amount: Decimal) -> str:
    """The amount in Chinese capitals: 8884.88 → 捌仟捌佰捌拾肆元捌角捌分; 100000 → 壹拾万元整.

    Domain spec §2.4. Rounds HALF_UP to the cent; up to 9,999 万亿; negative amounts begin with 负.
    """
    cents = int((to_scale(amount, 2) * 100).to_integral_value())
    sign, cents = ("负", -cents) if cents < 0 else ("", cents)
    yuan, jiao, fen = cents // 100, cents // 10 % 10, cents % 10
    words = (_integer_words(yuan) + "元") if yuan else ""
    if not jiao and not fen:
        return sign + (words or "零元") + "整"
    if jiao:
        words += _DIGITS[jiao] + "角"
    elif words:
        words += "零"
    return sign + words + (_DIGITS[fen] + "分" if fen else "整")


def _integer_words(number: int) -> str:
    groups = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    out = ""
    for index in range(len(groups) - 1, -1, -1):
        group = groups[index]
        if not group:
            continue
        if out and (group < 1000 or groups[index + 1] == 0):
            out += "零"
        out += _group_words(group) + _GROUP_UNITS[index]
    return out


def _group_words(group: int) -> str:
    out, gap = "", False
    for place in range(3, -1, -1):
        digit = group // 10**place % 10
        if digit:
            out += ("零" if gap and out else "") + _DIGITS[digit] + _SMALL_UNITS[place]
            gap = False
        else:
            gap = True
    return out
