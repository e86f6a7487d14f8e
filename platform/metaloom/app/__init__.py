"""One WSGI application for all tenants, wired from settings; the only room that knows every other."""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from flask_appbuilder import AppBuilder
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from metaloom.app import watch
from metaloom.app.sessions import LoginStore, TenantSessions
from metaloom.app.tenancy import TenantPath
from metaloom.base import metrics
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.messages import message
from metaloom.plugin.registry import installed
from metaloom.storage import Settings, Tenancy, apart
from metaloom.storage.settings import templates_root
from metaloom.web import register_web
from metaloom.web.assets import Assets
from metaloom.web.current import Current, locale
from metaloom.web.errors import error_answer
from metaloom.web.security import TenantSecurity, TenantSession, require_login

log = logging.getLogger("metaloom.app")

WARM_MAX, WARM_SECONDS = 200, 5.0
READY_LOOKS = 5

# The last one stands in Flask-AppBuilder's sample configuration.
WEAK_KEYS = re.compile(r"(?i)^(secret|change|default|test|password)|thisismyscretkey")


@dataclass
class Site:
    """What the wired application shares between requests; ``current_app.extensions['metaloom']``."""

    settings: Any
    tenancy: Any
    clock: Clock
    logins: LoginStore
    assets: Assets
    templates: Path
    registry: Any = None
    silence: Callable[[], None] = lambda: None
    stopping: threading.Event = field(default_factory=threading.Event)


def create_app(
    settings: Settings | None = None, *, tenancy: Any = None, clock: Clock | None = None, registry: Any = None, worker: bool = False
) -> Flask:
    """The application of ``settings``, or of the METALOOM_* environment.

    ``worker`` starts the embedded worker thread where no Redis is named; with Redis every change rings for the worker
    processes. ``tenancy`` and ``clock`` are for tests.
    """
    settings = settings or Settings.from_env()
    _refuse_weak_key(settings.secret_key)
    clock, registry = clock or SystemClock(), registry or installed()
    templates = templates_root()
    tenancy = tenancy or Tenancy(settings, manifest=registry.manifest())
    site = Site(settings, tenancy, clock, LoginStore(clock), Assets(templates / "static"), templates, registry)
    watch.begin(settings)
    app = _Application("metaloom", static_folder=None, template_folder=str(templates))
    app.config.update(_config(settings))
    app.extensions["metaloom"] = site
    app.session_interface = TenantSessions(site.logins, secure=app.config["SESSION_COOKIE_SECURE"])
    _pin_requests(app, site)
    watch.note_requests(app)
    csrf = CSRFProtect(app)
    app.register_error_handler(CSRFError, lambda _: error_answer(400, message("web.csrf").say(locale())))
    _mount_appbuilder(app)
    app.before_request(require_login)
    app.before_request(lambda: _check_origin(csrf))
    register_web(app)
    _mount_api(app)
    _mount_health(app, site)
    app.wsgi_app = _outside(app.wsgi_app, site)  # type: ignore[method-assign]
    _reach_workers(site, embedded=worker)
    return app


def warm(app: Flask) -> None:
    """Before a server forks its workers: the metadata of its tenants is compiled, so a worker answers at once and shares that memory. Leaves
    no connection open. A tenant whose database is away is opened by the first worker that is asked for it, as are those that are left
    after ``WARM_SECONDS``: nobody waits for the metadata of all others, and most of theirs is shared already."""
    site: Site = app.extensions["metaloom"]
    until = time.monotonic() + WARM_SECONDS
    for name in site.tenancy.names()[:WARM_MAX]:
        if time.monotonic() > until:
            break
        with apart(name, "pages"):
            site.tenancy.open(name).revision()
    site.tenancy.disconnect()


def begin_process(app: Flask) -> None:
    """In a worker that was just forked: figures of its own, and the embedded worker thread where no Redis is named."""
    site: Site = app.extensions["metaloom"]
    metrics.begin_process()
    site.silence()
    _reach_workers(site, embedded=True)


def _refuse_weak_key(key: str) -> None:
    if len(key.encode()) < 32 or WEAK_KEYS.search(key) or len(set(key)) < 8:
        raise ValueError("SECRET_KEY is missing, a default, or shorter than 32 bytes; set METALOOM_SECRET_KEY to at least 32 random bytes, "
                         "for example the output of: python -c 'import secrets; print(secrets.token_urlsafe(48))'")


def _config(settings: Any) -> dict[str, Any]:
    secure = os.environ.get("METALOOM_HTTPS", "") in ("1", "true", "yes")
    return {
        "SECRET_KEY": settings.secret_key, "JWT_SECRET_KEY": settings.secret_key,
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=30), "JWT_REFRESH_TOKEN_EXPIRES": timedelta(hours=12), "JWT_TOKEN_LOCATION": ["headers"],
        "SESSION_COOKIE_SECURE": secure, "PREFERRED_URL_SCHEME": "https" if secure else "http",
        "SQLALCHEMY_DATABASE_URI": "sqlite://", "SQLALCHEMY_TRACK_MODIFICATIONS": False,
        "FAB_UPDATE_PERMS": False, "FAB_CREATE_DB": False, "FAB_ADD_SECURITY_API": False, "FAB_SECURITY_SIGNALS_ENABLED": False,
        "FAB_BASE_TEMPLATE": "base.html", "APP_NAME": "Metaloom",
        "AUTH_USER_REGISTRATION": False, "AUTH_RATE_LIMITED": False, "RATELIMIT_ENABLED": False,
        "LANGUAGES": {"zh": {"flag": "cn", "name": "简体中文"}, "en": {"flag": "gb", "name": "English"}}, "BABEL_DEFAULT_LOCALE": "zh",
        "WTF_CSRF_TIME_LIMIT": None, "WTF_CSRF_SSL_STRICT": True, "WTF_CSRF_CHECK_DEFAULT": False,
        "MAX_CONTENT_LENGTH": settings.file_size_max + 1024 * 1024, "MAX_FORM_MEMORY_SIZE": 4 * 1024 * 1024, "MAX_FORM_PARTS": 20_000,
    }


def _pin_requests(app: Flask, site: Site) -> None:
    """Before anything else of a request: its tenant, its id; after everything: its transaction ends."""
    opened = app.session_interface.open_session

    def open_session(flask_app: Flask, incoming: Any) -> Any:
        tenant = incoming.environ.get("metaloom.tenant")
        if tenant is not None:
            g.metaloom = Current(tenant, _request_id(incoming), site.clock)
        return opened(flask_app, incoming)

    app.session_interface.open_session = open_session  # type: ignore[method-assign]

    @app.teardown_request
    def release(_: BaseException | None) -> None:
        pinned = g.get("metaloom")
        if pinned is not None:
            pinned.release()


def _check_origin(csrf: CSRFProtect) -> None:
    """Every change that a cookie could carry needs the token; the API and the calls of other systems take no cookies."""
    if request.method not in ("GET", "HEAD", "OPTIONS", "TRACE") and not request.path.startswith(("/api/", "/hook/", "/notice/")):
        csrf.protect()


def _request_id(incoming: Any) -> str:
    """The proxy's id when it looks like one, else a new one."""
    given = incoming.headers.get("X-Request-Id", "")
    return given if given and re.fullmatch(r"[A-Za-z0-9._-]{8,64}", given) else secrets.token_hex(12)


class _Application(Flask):
    """Flask whose views and hooks are plain functions, all of them: it would look at each for each request, whether it is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class _Builder(AppBuilder):
    """Flask-AppBuilder without the pages that this application does not offer (index, locale switch, static files, menu API)."""

    def _add_admin_views(self) -> None:
        self.sm.register_views()

    def _add_global_static(self) -> None:
        """Its Bootstrap 3 files are not served."""


def _mount_appbuilder(app: Flask) -> None:
    database = SQLAlchemy(app, session_options={"class_": TenantSession})
    with app.app_context():
        _Builder(app, database.session, security_manager_class=TenantSecurity, update_perms=False)
    app.extensions["babel"].locale_selector = locale


def _mount_api(app: Flask) -> None:
    if find_spec("metaloom.api") is None:
        return
    from metaloom import api

    if hasattr(api, "register_api"):
        api.register_api(app)


def _mount_health(app: Flask, site: Site) -> None:
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @health.get("/readyz")
    def readyz() -> Response:
        ready = _tenants_answer(site)
        return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")

    @health.get("/metrics")
    def metrics() -> Response:
        return watch.answer_metrics(site.tenancy)

    app.register_blueprint(health)


def _tenants_answer(site: Site) -> bool:
    """Whether tenants are served: one that is broken by itself takes no server away from the others."""
    try:
        names = list(site.tenancy.names())[:READY_LOOKS]
    except Exception:
        log.exception("not ready")
        return False
    return not names or any(_answers(site, name) for name in names)


def _answers(site: Site, name: str) -> bool:
    with apart(name, "pages"):
        site.tenancy.open(name).revision()
        return True
    return False


def _outside(inner: Any, site: Site) -> Any:
    hosts = dict(pair.split("=", 1) for pair in os.environ.get("METALOOM_HOSTS", "").split(",") if "=" in pair)
    app = TenantPath(inner, site.tenancy, hosts)
    hops = int(os.environ.get("METALOOM_PROXIES", "0") or 0)
    return watch.Watched(ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops) if hops else app)


def _reach_workers(site: Site, *, embedded: bool) -> None:
    """With Redis the bell rings in worker processes; without it a thread of this process drains the outbox, if asked for."""
    if site.settings.redis_url:
        # redis and rq are loaded where they are used
        from metaloom.job.redis_queue import ring_through

        site.silence = ring_through(site.settings)
        return
    if not embedded:
        return
    from metaloom import worker

    worker.start_embedded(site.settings, site.tenancy, site.registry, stopping=site.stopping, clock=site.clock)


__all__ = ["Site", "begin_process", "create_app", "warm"]
