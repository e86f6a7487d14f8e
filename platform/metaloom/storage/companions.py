"""What is stored beside a field's value: ciphertext, blind indexes, pinyin, pairs of letters. One place, for writers, searchers and backfill."""

from __future__ import annotations

from functools import lru_cache

from metaloom.model import Entity, Field
from metaloom.storage.columns import has_blind_index
from metaloom.storage.secrets import Secrets

PINYIN_LENGTH = 500
DOUBLED = ("'(.)'", "'\\1\\1'", "'g'")     # behind the text, the arguments of PostgreSQL's regexp_replace that do what ``doubled`` does


def stored_values(entity: Entity, field: Field, value: str | None, secrets: Secrets) -> dict[str, object]:
    """Column → value of the field's own column and its companions, for a text field that is encrypted or has pinyin."""
    address = field_address(entity, field)
    values: dict[str, object] = {}
    if field.encrypted:
        values[field.name] = None if value is None else secrets.encrypt(address, value)
        if has_blind_index(entity, field):
            values[f"{field.name}__bx"] = blind_value(entity, field, value, secrets)
        if field.search == "last4":
            values[f"{field.name}__l4"] = last4_value(entity, field, value, secrets)
    else:
        values[field.column] = value
    if field.pinyin:
        values[f"{field.name}__py"] = None if value is None else pinyin_key(value)
    return values


def field_address(entity: Entity, field: Field) -> str:
    """The address to which a field's ciphertexts and blind indexes are bound."""
    return field.address or f"{entity.address}/field/{field.name}"


def blind_value(entity: Entity, field: Field, value: str | None, secrets: Secrets) -> str | None:
    """What stands in ``<field>__bx`` for this value; also what to compare with when searching."""
    return None if value is None else secrets.blind(field_address(entity, field), value)


def last4_value(entity: Entity, field: Field, value: str | None, secrets: Secrets) -> str | None:
    """What stands in ``<field>__l4`` for this value, or for its last four characters alone."""
    return None if value is None else secrets.blind(last4_address(field_address(entity, field)), value[-4:].upper())


def last4_address(address: str) -> str:
    """The blind index of the last four characters has a key of its own."""
    return f"{address}#last4"


def doubled(text: str) -> str:
    """Each letter twice: 桂英 → 桂桂英英. PostgreSQL's index knows texts by three letters in a row; of texts that are written so, any two letters
    are enough to look into it, and two letters of a name is what people type in Chinese."""
    return "".join(letter * 2 for letter in text)


@lru_cache(maxsize=4096)
def pinyin_key(text: str) -> str:
    """Full pinyin and initials: 张三 → ``zhangsan zs``; other letters stay, in lower case."""
    from pypinyin import Style, lazy_pinyin

    full = "".join(lazy_pinyin(text))
    initials = "".join(lazy_pinyin(text, style=Style.FIRST_LETTER))
    return f"{full} {initials}".lower()[:PINYIN_LENGTH]
