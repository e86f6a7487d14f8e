"""Who asks: a token, an API key, or a browser session with its CSRF token. Everything else is 401.

A token names its tenant and the account's stamp: a new password, another tenant or a switched-off account ends it. A key
is looked up by its digest in the tenant's own database, so another tenant's key is unknown here.
"""

from __future__ import annotations

import logging
import re
from typing import Any, cast

from flask import Response, current_app, g, request
from flask_jwt_extended import create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_wtf.csrf import validate_csrf
from jwt.exceptions import PyJWTError
from wtforms import ValidationError

from metaloom.api import problems
from metaloom.api.answer import answer
from metaloom.api.body import json_object, only, refused
from metaloom.base.errors import Busy, Invalid, LoginRequired, NotAllowed, NotFound, Problem
from metaloom.base.messages import message
from metaloom.command.api_key import PREFIX, key_holder, note_use
from metaloom.command.session import Pinned

log = logging.getLogger("metaloom.api")
OPEN_ENDPOINTS = frozenset({"api.login", "api.refresh"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ACCESS, REFRESH = "access", "refresh"
TOKEN_MAX = 4096


def pinned() -> Pinned:
    """What this request works with: tenant, revision, person, rights, reader."""
    return cast(Pinned, g.metaloom)


def identify() -> None:
    """Runs before every endpoint; afterwards the person is known, or the answer is 401. Of a token and a cookie the token alone counts."""
    if g.get("metaloom") is None:
        raise NotFound
    if g.get("refused") is not None:
        raise g.refused
    given = request.headers.get("Authorization")
    g.token_login = given is not None or request.endpoint in OPEN_ENDPOINTS
    if request.endpoint in OPEN_ENDPOINTS:
        return
    if given is not None:
        _enter(given)
    elif pinned().visit is not None:
        _browser()
    else:
        raise LoginRequired(message("api.login", where=problems.login_path()))
    pinned().channel = "api"
    if pinned().actor.must_renew:  # asks for the rights: the person is active, or LoginRequired
        raise NotAllowed(message("api.password_first"))


def _enter(given: str) -> None:
    scheme, _, secret = given.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > TOKEN_MAX:
        raise LoginRequired(message("api.token"))
    if secret.startswith(PREFIX):
        _enter_by_key(secret)
    else:
        enter_by_token(secret, ACCESS)


def _enter_by_key(secret: str) -> None:
    here = pinned()
    found = key_holder(here.conn, here.revision, secret, here.clock.now())
    if found is None:
        raise LoginRequired(message("api.key"))
    if found.stale_use:
        here.release()
        _note_use(found.key_id)
    here.enter(found.user_id, "api")


def _note_use(key_id: int) -> None:
    here = pinned()
    try:
        note_use(here.tenant, here.revision, key_id, here.clock.now())
    except Busy:  # the next request notes it
        log.info("the use of a key was not noted: the database is busy")


def enter_by_token(secret: str, kind: str) -> None:
    """The holder of a token of this tenant; LoginRequired for any other."""
    here = pinned()
    claims = _claims(secret)
    subject = str(claims.get("sub", ""))
    if claims.get("type") != kind or claims.get("tenant") != here.tenant.name or not re.fullmatch(r"[0-9]{1,18}", subject, re.ASCII):
        raise LoginRequired(message("api.token"))
    here.enter(int(subject), "api")
    try:
        stamp = here.actor.token_stamp
    except LoginRequired:
        raise LoginRequired(message("api.token")) from None
    if stamp != claims.get("stamp"):
        raise LoginRequired(message("api.token"))


def _claims(secret: str) -> dict[str, Any]:
    try:
        return decode_token(secret)
    except (PyJWTError, JWTExtendedException, ValueError, KeyError, TypeError):
        raise LoginRequired(message("api.token")) from None


def _browser() -> None:
    """A cookie goes along with every request of the browser, whoever made it; only our own pages know the CSRF token."""
    if request.method in SAFE_METHODS:
        return
    try:
        validate_csrf(request.headers.get("X-CSRFToken", ""))
    except ValidationError:
        raise refused("", message("api.csrf")) from None


# -- tokens


def login() -> Response:
    """POST /auth/login: a short token and one to renew it. Failed logins count together with those of the screens."""
    body = json_object()
    only(body, ("username", "password"))
    username, password = body.get("username"), body.get("password")
    missing = [name for name, value in (("username", username), ("password", password)) if not isinstance(value, str) or not value]
    if missing:
        raise Invalid([Problem(name, message("record.required", label=name)) for name in missing])
    user = current_app.appbuilder.sm.auth_user_db(str(username).strip()[:128], str(password)[:256])  # type: ignore[attr-defined]
    if user is None:
        raise LoginRequired(message("api.wrong_login"))
    pinned().release()
    pinned().enter(user.id, "api")
    return answer(_tokens())


def refresh() -> Response:
    """POST /auth/refresh: a new short token for the token that renews."""
    body = json_object()
    only(body, ("refresh_token",))
    token = body.get("refresh_token")
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_MAX:
        raise LoginRequired(message("api.token"))
    enter_by_token(token, REFRESH)
    return answer(_tokens(renewable=False))


def _tokens(*, renewable: bool = True) -> dict[str, Any]:
    here = pinned()
    claims = {"tenant": here.tenant.name, "stamp": here.actor.token_stamp}
    who = str(here.actor.user_id)
    lifetime = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    tokens = {"access_token": create_access_token(who, additional_claims=claims), "token_type": "Bearer",
              "expires_in": int(lifetime.total_seconds())}
    if renewable:
        tokens["refresh_token"] = create_refresh_token(who, additional_claims=claims)
    return tokens
