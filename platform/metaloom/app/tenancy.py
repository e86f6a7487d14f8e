"""From address to tenant: the first path segment (or the host) names it and becomes the root of the application."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from metaloom.base.errors import MetaloomError
from metaloom.storage import TenantBroken, TenantClosed, apart

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
TENANT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
WITHOUT_TENANT = frozenset({"static", "theme.css", "healthz", "readyz", "metrics", "favicon.ico"})


class TenantPath:
    """Moves ``/<tenant>`` from PATH_INFO to SCRIPT_NAME and puts the tenant into the environment.

    ``hosts`` maps a host name to a tenant that owns it (no path segment then). An unknown first segment is 404;
    there is no default tenant.
    """

    def __init__(self, inner: WSGI, tenancy: Any, hosts: Mapping[str, str]) -> None:
        self.inner = inner
        self.tenancy = tenancy
        self.hosts = hosts

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ.pop("metaloom.tenant", None)
        environ["metaloom.root"] = environ.get("SCRIPT_NAME", "")
        path = environ.get("PATH_INFO", "") or "/"
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        if not first and not self._host(environ) or first in WITHOUT_TENANT and not (first == "theme.css" and self._host(environ)):
            return self.inner(environ, start_response)
        name = self._host(environ) or first
        try:
            tenant = self._open(name)
        except TenantClosed as closed:
            return _closed(start_response, closed, path)
        if tenant is None:
            return _not_found(start_response)
        broken = _broken(tenant)
        if broken is not None:
            return _closed(start_response, broken, path)
        if name == first and not self._host(environ):
            rest = path[len(first) + 1:]
            if not rest:
                return _redirect(start_response, environ["metaloom.root"] + "/" + quote(first) + "/", environ.get("QUERY_STRING", ""))
            environ["SCRIPT_NAME"] = environ["metaloom.root"] + "/" + first
            environ["PATH_INFO"] = rest
        environ["metaloom.tenant"] = tenant
        return self.inner(environ, start_response)

    def _host(self, environ: Mapping[str, Any]) -> str:
        return self.hosts.get(str(environ.get("HTTP_HOST", "")).partition(":")[0].lower(), "") if self.hosts else ""

    def _open(self, name: str) -> Any:
        if TENANT_NAME.fullmatch(name) is None:
            return None
        try:
            return self.tenancy.open(name)
        except (LookupError, ValueError):
            return None
        except Exception as error:
            if getattr(error, "status", 500) == 404:
                return None
            raise


def _broken(tenant: Any) -> TenantBroken | None:
    """Why nothing of the tenant can be served; every other refusal is told inside, where the request is known."""
    try:
        tenant.revision()
    except TenantBroken as broken:
        with apart(tenant.name, "pages"):
            raise
        return broken
    except MetaloomError:
        return None
    with apart(tenant.name, "pages"):
        return None


def _not_found(start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = html_page("404", "没有找到 · Not found").encode()
    start_response("404 Not Found", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))),
                                     ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"),
                                     ("Content-Security-Policy", "default-src 'none'")])
    return [body]


def _closed(start_response: Callable[..., Any], closed: MetaloomError, path: str) -> Iterable[bytes]:
    """Being restored, looked after, or broken: people and programs come back later."""
    zh, en = closed.message.say("zh"), closed.message.say("en")
    if "/api/" in path:
        kind, text = "application/problem+json", json.dumps({"type": "about:blank", "title": en, "status": 503, "detail": zh}, ensure_ascii=False)
    else:
        kind, text = "text/html; charset=utf-8", html_page("503", f"{zh} {en}")
    body = text.encode()
    start_response("503 Service Unavailable", [("Content-Type", kind), ("Content-Length", str(len(body))), ("Retry-After", "300"),
                                               ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"),
                                               ("Content-Security-Policy", "default-src 'none'")])
    return [body]


def html_page(code: str, sentence: str) -> str:
    """The barest page, for addresses that belong to nobody."""
    return f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{html.escape(code)}</title><h1>{html.escape(sentence)}</h1></html>'


def _redirect(start_response: Callable[..., Any], target: str, query: str) -> Iterable[bytes]:
    location = target + (f"?{query}" if query else "")
    start_response("308 Permanent Redirect", [("Location", location), ("Content-Length", "0")])
    return [b""]
