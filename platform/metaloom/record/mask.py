"""Masks: what is left of a value that may only be seen in part."""

from __future__ import annotations

from metaloom.model import Field

STAR = "*"


def mask(field: Field, value: object) -> str | None:
    """``value`` under the field's mask; the length of a fully masked value is not told."""
    if value is None or value == "":
        return None
    text = str(value)
    kind = field.mask or "all"
    if kind == "phone":
        return _keep(text, 3, 4)
    if kind in ("id_card", "bank_card"):
        return _keep(text, 6, 2)
    if kind == "name":
        return text[:1] + STAR * max(len(text) - 1, 1)
    return STAR * 6


def _keep(text: str, head: int, tail: int) -> str:
    """First and last characters; a text too short to hide at least four characters is hidden whole."""
    hidden = len(text) - head - tail
    return STAR * 6 if hidden < 4 else text[:head] + STAR * hidden + text[-tail:]
