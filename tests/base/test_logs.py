"""Log lines say whose they are, and nothing of what people wrote."""

import io
import json
import logging

import pytest
import sqlalchemy as sa

from metaloom.base import logs
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message

SENTINEL = "王小明"
PHONE, CARD = "13800138000", "11010119900307002X"


@pytest.fixture
def written(monkeypatch, capsys):
    """What is written on standard error while the format is JSON."""
    monkeypatch.setenv("METALOOM_LOG_FORMAT", "json")
    monkeypatch.setenv("METALOOM_LOG", "info")
    out = io.StringIO()
    got = out.getvalue
    out.getvalue = lambda: out.write(capsys.readouterr().err) and got() or got()
    root = logging.getLogger()
    before = root.level, list(root.handlers), logging.getLogger("metaloom").level
    logs.configure()
    logs.configure()
    yield out
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.getLogger("metaloom").setLevel(before[2])


def lines(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_says_which_request_tenant_and_person(written):
    with logs.about(request_id="r-1", tenant="acme", user=lambda: 7), logs.about(work="call"):
        logging.getLogger("metaloom.x").info("done in %s", 3)
    logging.getLogger("metaloom.x").info("outside")
    first, second = lines(written)
    assert {name: first[name] for name in ("request_id", "tenant", "user", "work", "message", "level", "logger")} == {
        "request_id": "r-1", "tenant": "acme", "user": 7, "work": "call", "message": "done in 3", "level": "info", "logger": "metaloom.x"}
    assert "tenant" not in second and second["at"].endswith("+00:00")


def test_errors_are_told_by_kind_and_place_never_by_their_words(written):
    log = logging.getLogger("metaloom.x")
    cause = type("UniqueViolation", (Exception,), {"sqlstate": "23505"})(f"Key (name)=({SENTINEL}) already exists")
    for error in (ValueError(f"invalid {SENTINEL}"), sa.exc.IntegrityError("INSERT", {"name": SENTINEL}, cause),
                  NotPossible(message("tenant.unknown", name=SENTINEL)), KeyError(SENTINEL)):
        try:
            raise error
        except Exception:
            log.exception("could not: %s", error)
    log.warning("phone %s of %s", PHONE, CARD)
    assert SENTINEL not in written.getvalue() and PHONE not in written.getvalue() and CARD not in written.getvalue()
    told = lines(written)
    assert [line["error"] for line in told[:4]] == ["ValueError", "IntegrityError 23505", "NotPossible tenant.unknown", "KeyError"]
    assert "test_logs.py" in told[0]["where"][-1] and told[0]["message"] == "could not: ValueError"


def test_what_tells_nothing_of_people_stays(written):
    logging.getLogger("metaloom.x").warning("redis is away: %s", ConnectionRefusedError(111, "Connection refused"))
    assert "Connection refused" in lines(written)[0]["message"]


def test_text_lines_are_one_line_without_line_breaks_from_outside(written, monkeypatch):
    monkeypatch.setenv("METALOOM_LOG_FORMAT", "text")
    logs.configure()
    logging.getLogger("metaloom.x").warning("name %s", "a\n2026-01-01 ERROR forged")
    assert len(written.getvalue().splitlines()) == 1


def test_unknown_levels_and_formats_are_refused(monkeypatch):
    monkeypatch.setenv("METALOOM_LOG", "loud")
    with pytest.raises(ValueError, match="METALOOM_LOG must be one of"):
        logs.configure()
    monkeypatch.setenv("METALOOM_LOG", "info")
    monkeypatch.setenv("METALOOM_LOG_FORMAT", "xml")
    with pytest.raises(ValueError, match="METALOOM_LOG_FORMAT"):
        logs.configure()
