"""What a file is called that an answer carries (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_RUN = re.compile(r"[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*")
# In a quoted string browsers take these for escapes, ends or folders.
_UNSAFE = re.compile(r'["\\/%]|[^\x20-\x7e]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# RFC 8187 attr-char beside letters and digits.
_PLAIN = "!#$&+-.^_`|~"


def disposition(name: str, stand_in: str, *, inline: bool = False) -> str:
    """The header Content-Disposition for the file ``name``: as it is in ``filename*``, and in ASCII in ``filename`` for readers of that alone.

    ``stand_in``: what the file is in ASCII, without an ending. It takes the place of a name that has more than ASCII; the numbers and Latin words of the name
    follow it, as they tell which one it is.
    """
    name = _CONTROL.sub(" ", name).strip() or stand_in
    return f"{'inline' if inline else 'attachment'}; filename=\"{_in_ascii(name, stand_in)}\"; filename*=UTF-8''{quote(name, safe=_PLAIN)}"


def _in_ascii(name: str, stand_in: str) -> str:
    if name.isascii():
        return _UNSAFE.sub("_", name)
    stem, dot, ending = name.rpartition(".")
    if not dot or not (ending.isascii() and ending.isalnum()):
        stem, ending = name, ""
    told = _RUN.findall(unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode())
    return "-".join([_UNSAFE.sub("_", stand_in), *told]) + (f".{ending}" if ending else "")
