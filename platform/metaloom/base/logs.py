"""Log lines: which request, tenant and person they are about, and nothing of what people wrote.

``METALOOM_LOG`` is the level, ``METALOOM_LOG_FORMAT`` is ``text`` or ``json`` (one object a line). An error is told by its kind, its
code and where it was raised, never by its words: those may hold a name or a number of somebody. What looks like a phone, card or
identity number is blotted out wherever it stands.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from metaloom.base import metrics
from metaloom.base.errors import MetaloomError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_FRAMES = 12
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{11,19}[\dXx]?(?![0-9A-Za-z])")
_about: ContextVar[Mapping[str, Any]] = ContextVar("metaloom_log")


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Every line inside says these facts (``request_id``, ``tenant``, ``user``, ``work`` …); a function is asked when a line is written."""
    mark = _about.set({**_about.get({}), **{name: fact for name, fact in facts.items() if fact not in (None, "")}})
    try:
        yield
    finally:
        _about.reset(mark)


def configure(*, level: str | None = None) -> None:
    """Write log lines to standard error as the environment says; ValueError for a level or format there is none of."""
    wanted = (os.environ.get("METALOOM_LOG") or level or "warning").lower()
    shape = (os.environ.get("METALOOM_LOG_FORMAT") or "text").lower()
    if wanted not in LEVELS:
        raise ValueError(f"METALOOM_LOG must be one of {', '.join(LEVELS)}, found {wanted}")
    if shape not in FORMATS:
        raise ValueError(f"METALOOM_LOG_FORMAT must be one of {', '.join(FORMATS)}, found {shape}")
    handler = _Stderr()
    handler.setFormatter(Lines(as_json=shape == "json"))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Stderr)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("metaloom").setLevel(getattr(logging, wanted.upper()))


class _Stderr(logging.StreamHandler[TextIO]):
    """Standard error as it is when a line is written, not as it was when logging began."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # typeshed has a plain attribute, which may be set
        return sys.stderr


class Lines(logging.Formatter):
    """One line for each record; ``record.facts`` and what ``about`` says become keys."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno >= logging.WARNING:
            metrics.count("metaloom_log_lines_total", level=record.levelname.lower())
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"), "level": record.levelname.lower(),
            "logger": record.name, "message": _message(record), **_known(), **getattr(record, "facts", {}),
        }  # fmt: skip
        if record.exc_info and record.exc_info[1] is not None:
            said["error"] = described(record.exc_info[1])
            said["where"] = _where(record.exc_info[1])
        if self._as_json:
            return json.dumps(said, ensure_ascii=False, default=str)
        at, level, logger, words = (said.pop(name) for name in ("at", "level", "logger", "message"))
        facts = " ".join(f"{name}={value}" for name, value in said.items() if name != "where")
        where = "".join(f"\n    {line}" for line in said.get("where", ()))
        return f"{at} {level.upper()} {logger}: {words}{' ' + facts if facts else ''}{where}"


def _known() -> dict[str, Any]:
    known = {name: fact() if callable(fact) else fact for name, fact in _about.get({}).items()}
    return {name: fact for name, fact in known.items() if fact is not None}


def described(error: BaseException) -> str:
    """The kind of an error and what of it is safe to tell."""
    kind = type(error).__name__
    if isinstance(error, MetaloomError):
        return f"{kind} {getattr(error.message, 'code', '')}".strip()
    if isinstance(error, OSError) or type(error).__module__.startswith("redis"):
        return f"{kind}: {_blotted(str(error))}"
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    return f"{kind} {state}" if state else kind


def _message(record: logging.LogRecord) -> str:
    arguments = record.args
    if isinstance(arguments, tuple):
        record = logging.makeLogRecord({**record.__dict__, "args": tuple(described(one) if isinstance(one, BaseException) else one for one in arguments)})
    try:
        return _blotted(record.getMessage()).replace("\n", " ")
    except (TypeError, ValueError):
        return _blotted(str(record.msg))


def _where(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def _blotted(text: str) -> str:
    return _NUMBER.sub("…", text)
