"""Each request watched from outside: a log line, counters, and the page where Prometheus reads them."""

from __future__ import annotations

import hmac
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, abort, g, request

from metaloom.base import metrics
from metaloom.base.errors import MetaloomError
from metaloom.base.logs import about
from metaloom.storage import Settings, Tenancy, engine, statements
from metaloom.storage.types import utc_now

log = logging.getLogger("metaloom.request")
NOTE = "metaloom.note"
FORWARDED = ("X-Forwarded-For", "X-Real-Ip", "Forwarded")
_GAUGES_SECONDS = 10.0


def begin(settings: Settings) -> None:
    """Count where every process of this machine counts."""
    metrics.share(settings.home / "metrics" / socket.gethostname())
    statements.watch()


class Watched:
    """Outermost: sees every answer, also those for which no page was found."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started, before = monotonic(), statements.sent()
        note: dict[str, Any] = {}
        environ[NOTE] = note

        def answering(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            note["status"] = int(status[:3])
            return start_response(status, headers, *more)

        try:
            return self._inner(environ, answering)
        except Exception:
            note["status"] = 500
            raise
        finally:
            _told(environ, note, monotonic() - started, statements.sent() - before)


def _told(environ: Mapping[str, Any], note: Mapping[str, Any], seconds: float, sent: int) -> None:
    status, page, method = int(note.get("status", 500)), str(note.get("page") or "none"), str(environ.get("REQUEST_METHOD", ""))
    method = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
    metrics.count("metaloom_requests_total", page=page, method=method, status=f"{status // 100}xx")
    metrics.observe("metaloom_request_seconds", seconds, page=page)
    if sent:
        metrics.count("metaloom_sql_statements_total", sent)
    if status >= 500:
        metrics.count("metaloom_request_failures_total", page=page)
    level = logging.ERROR if status >= 500 and status != 503 else logging.INFO
    if log.isEnabledFor(level):
        facts = {"method": method, "page": page, "status": status, "ms": round(seconds * 1000, 1), "statements": sent,
                 **{name: note[name] for name in ("request_id", "tenant", "user") if note.get(name)}}
        log.log(level, "request", extra={"facts": facts})


def note_requests(app: Flask) -> None:
    """Tell the watcher who asked for which kind of page, and every log line inside a request whose it is. Never an address with an id
    or a search in it."""

    @app.before_request
    def begin_note() -> None:
        pinned = g.get("metaloom")
        note = request.environ.setdefault(NOTE, {})
        note.update(page=request.endpoint or "none", request_id=getattr(pinned, "request_id", ""),
                    tenant=pinned.tenant.name if pinned is not None else "")
        g.log_about = about(request_id=note["request_id"], tenant=note["tenant"],
                            user=lambda: pinned.visit.user_id if pinned is not None and pinned.visit is not None else None)
        g.log_about.__enter__()

    @app.teardown_request
    def end_note(_: BaseException | None) -> None:
        pinned, inside = g.get("metaloom"), g.pop("log_about", None)
        if pinned is not None and pinned.visit is not None:
            request.environ.setdefault(NOTE, {})["user"] = pinned.visit.user_id
        if inside is not None:
            inside.__exit__(None, None, None)


def answer_metrics(tenancy: Tenancy) -> Response:
    """For the holder of METALOOM_METRICS_TOKEN; without one for this machine alone, and never through a proxy."""
    token = os.environ.get("METALOOM_METRICS_TOKEN", "")
    given = request.headers.get("Authorization", "")
    if token:
        allowed = hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    else:
        allowed = request.remote_addr in ("127.0.0.1", "::1") and not any(name in request.headers for name in FORWARDED)
    if not allowed:
        abort(404)
    return Response(metrics.text(_kept_gauges(tenancy)), mimetype="text/plain; version=0.0.4; charset=utf-8")


_last: dict[int, tuple[float, list[tuple[str, dict[str, str], float]]]] = {}


def _kept_gauges(tenancy: Tenancy) -> list[tuple[str, dict[str, str], float]]:
    """Not older than ten seconds, however often somebody asks."""
    found = _last.get(id(tenancy))
    if found is None or monotonic() - found[0] > _GAUGES_SECONDS:
        found = _last[id(tenancy)] = (monotonic(), list(_gauges(tenancy)))
    return found[1]


def _gauges(tenancy: Tenancy) -> Iterator[tuple[str, dict[str, str], float]]:
    for name in tenancy.names():
        label = {"tenant": name}
        try:
            with tenancy.open(name).read() as conn:
                rows, now = _outbox(conn), conn.scalar(sa.select(utc_now()))
                tasks = conn.scalar(sa.select(sa.func.count()).select_from(engine.approval_task).where(engine.approval_task.c.status == "open"))
        except (MetaloomError, sa.exc.SQLAlchemyError):
            yield "metaloom_tenant_up", label, 0.0
            continue
        yield "metaloom_tenant_up", label, 1.0
        yield "metaloom_approval_tasks_open", label, float(tasks or 0)
        due = [row.oldest for row in rows if row.state in ("pending", "running")]
        yield "metaloom_outbox_oldest_seconds", label, max([0.0, *((now - oldest).total_seconds() for oldest in due)])
        counted = {row.state: row.number for row in rows}
        for state in ("pending", "running", "failed", "dead"):
            yield "metaloom_outbox_rows", {**label, "state": state}, float(counted.get(state, 0))


def _outbox(conn: sa.Connection) -> Any:
    table = engine.outbox
    return conn.execute(sa.select(table.c.state, sa.func.count().label("number"), sa.func.min(table.c.run_after).label("oldest"))
                        .where(table.c.state != "done").group_by(table.c.state)).all()
