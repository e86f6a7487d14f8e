"""What one request works with, pinned once: tenant, revision, person, rights, reader.

Everything after the pin reads the same revision, so that no answer mixes two (decision 41).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from flask import current_app, g, request

from metaloom.base.text import DEFAULT_LOCALE, LOCALES, Text
from metaloom.command import Context
from metaloom.command.session import Pinned, Visit
from metaloom.plugin.registry import installed
from metaloom.record import Reader

__all__ = ["Current", "Visit", "current", "locale", "say", "site", "url"]


class Current(Pinned):
    """The pinned values of one request of the screens."""

    @cached_property
    def around(self) -> tuple[Any, ...]:
        """What a piece of a page is drawn with besides the person's rights: asked once for the hundreds of cells of a page."""
        return self.catalog.digest, self.tenant.name, locale(), self.zone, request.script_root

    @cached_property
    def reader(self) -> Reader:
        """Speaks the language of the page, which need not be the one that the person's account names."""
        found: Reader = super().reader
        found.locale = locale()
        return found

    def context(self, **given: Any) -> Context:
        """The context in which commands of this request run; the read transaction is ended first."""
        own = {"locale": locale(), "idempotency_key": request.headers.get("Idempotency-Key"), "plugins": site().registry,
               "address": request.remote_addr or ""}
        return super().context(**{**own, **given})

    def looking(self) -> Context:
        """The same for questions (which buttons, which file): the request's own read transaction stays open."""
        return Context(tenant=self.tenant, revision=self.revision, actor=self.actor, plan=self.plan, channel=self.channel, locale=locale(),
                       clock=self.clock, request_id=self.request_id, plugins=site().registry or installed())


def current() -> Current:
    """The pinned values of this request."""
    return cast(Current, g.metaloom)


def locale() -> str:
    """Preference of the person (cookie, set at login from the account), else Chinese."""
    own = g._get_current_object()       # asked for each label of a page: past the proxy, which costs more than the answer
    wanted = own.get("locale") or own.get("cookie_locale")
    if wanted is None:
        wanted = own.cookie_locale = request.cookies.get("ml_locale", "")
    return wanted if wanted in LOCALES else DEFAULT_LOCALE


def say(text: Text | None) -> str:
    """A label in the reader's language; empty for none."""
    return text.say(locale()) if text else ""


def url(path: str) -> str:
    """An address inside this tenant."""
    return request.script_root + path


def site() -> Any:
    """What ``app`` wired together (settings, tenancy, session store, assets)."""
    return current_app.extensions["metaloom"]
