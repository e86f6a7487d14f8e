"""Login by a provider of OpenID Connect: authorisation code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636, RFC 9700).

The provider says who somebody is; what they may do here is decided here. An account is bound to the provider's *subject* at its first
login, so a name that the provider gives to somebody else later opens nothing. Sessions, their ends and their limits are those of a login
by password; accounts with a password keep it, so administrators come in when the provider is away.
"""

from __future__ import annotations

import http.client
import json
import logging
import secrets
import ssl
import threading
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import jwt

log = logging.getLogger(__name__)
T = TypeVar("T")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")   # signatures with a public key only
SECONDS, ANSWER_MAX, LEEWAY, BEGUN_FOR = 8.0, 512 * 1024, 60, 600
DEADLINE = 10.0              # for one answer as a whole, however slowly it drips
KEPT_FOR, FAILED_FOR = 300.0, 5.0        # so long a description or its keys are believed, and a failure to get them
KEYS_AGAIN = 30.0            # a key of an unknown name makes the keys be fetched once more, but not more often than this
AT_ONCE, TURN = 4, 0.5       # calls of one provider by one process at a time, and how long another one waits for its turn
NEEDED = ("exp", "iat", "iss", "aud", "sub")


class Refused(Exception):
    """This login is not believed; the word says why, for the log alone. ``away``: the provider could not be asked."""

    def __init__(self, why: str, *, away: bool = False) -> None:
        super().__init__(why)
        self.away = away


class Crowded(Refused):
    """Too many calls at this moment; nothing is known of the provider."""


@dataclass(frozen=True)
class Provider:
    """``settings.login.oidc`` of a tenant."""

    issuer: str
    client_id: str
    secret: str
    scopes: tuple[str, ...]
    username_claim: str
    groups_claim: str
    roles: tuple[tuple[str, str], ...]      # group, role
    create: bool
    company: str = ""


@dataclass(frozen=True)
class Known:
    """Whom a token that was verified speaks of."""

    subject: str
    username: str
    display_name: str
    email: str
    groups: frozenset[str] | None           # None: the token does not say (a claim left out is no empty list)


def provider_of(settings: Mapping[str, Any], secret: Any) -> Provider | None:
    """The provider that the tenant names; None without one. ``secret``: from a name to the stored secret or None."""
    said = (settings.get("login") or {}).get("oidc")
    if not said:
        return None
    return Provider(said["issuer"].rstrip("/"), said["client_id"], secret(said["secret_ref"]) or "", tuple(said.get("scopes") or ()),
                    said.get("username_claim") or "preferred_username", said.get("groups_claim") or "groups",
                    tuple((line["group"], line["role"]) for line in said.get("roles") or ()), bool(said.get("create")), said.get("company") or "")


def begin(provider: Provider, back: str, target: str) -> tuple[str, dict[str, Any]]:
    """Where to send the browser, and what it must bring back in its own signed cookie."""
    kept: dict[str, Any] = {name: secrets.token_urlsafe(size) for name, size in (("state", 24), ("nonce", 24), ("verifier", 48))}
    kept |= {"next": target, "at": int(time.time())}
    challenge = urlsafe_b64encode(sha256(kept["verifier"].encode()).digest()).rstrip(b"=").decode()
    asked = {"response_type": "code", "client_id": provider.client_id, "redirect_uri": back, "state": kept["state"], "nonce": kept["nonce"],
             "scope": " ".join(("openid", "profile", "email", *provider.scopes)), "code_challenge": challenge, "code_challenge_method": "S256"}
    address = _discovered(provider)["authorization_endpoint"]
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", kept


def finish(provider: Provider, back: str, kept: Mapping[str, Any] | None, given: Mapping[str, str]) -> Known:
    """Who came back; Refused in every case of doubt. ``kept`` was taken out of the browser's cookie: it serves once."""
    if not kept or not isinstance(kept.get("state"), str) or int(time.time()) - int(kept.get("at", 0)) > BEGUN_FOR:
        raise Refused("no login was begun here, or too long ago")
    if not secrets.compare_digest(kept["state"].encode(), given.get("state", "").encode()):
        raise Refused("another state")
    if "iss" in given and given["iss"].rstrip("/") != provider.issuer:
        raise Refused("the answer names another issuer")
    if "error" in given or not given.get("code"):
        raise Refused("the provider refused")
    found = _discovered(provider)
    answer = _ask(provider, found["token_endpoint"], {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": back,
                                                      "client_id": provider.client_id, "client_secret": provider.secret, "code_verifier": kept["verifier"]})
    return _known(provider, _verified(provider, found, str(answer.get("id_token") or ""), kept["nonce"]))


def _verified(provider: Provider, found: Mapping[str, Any], token: str, nonce: str) -> Mapping[str, Any]:
    try:
        head = jwt.get_unverified_header(token)
        if head.get("alg") not in ALGORITHMS:
            raise Refused("an algorithm that is not allowed")
        keys = _keys(provider, found["jwks_uri"], head.get("kid"))
        if len(keys) != 1:
            raise Refused("no key of that name")
        claims = jwt.decode(token, keys[0].key, algorithms=[head["alg"]], audience=provider.client_id, issuer=found["issuer"], leeway=LEEWAY,
                            options={"require": list(NEEDED)})
    except jwt.PyJWTError as wrong:
        raise Refused(type(wrong).__name__) from wrong
    if not secrets.compare_digest(str(claims.get("nonce") or "").encode(), nonce.encode()):
        raise Refused("another nonce")
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != provider.client_id:
        raise Refused("made for another party")
    return claims


def _keys(provider: Provider, address: str, kid: str | None) -> list[Any]:
    """The provider's keys of that name; those that are kept are fetched anew where they hold none (the provider turned its keys)."""
    for seconds in (KEPT_FOR, KEYS_AGAIN):
        named = [key for key in jwt.PyJWKSet.from_dict(_kept(provider, address, seconds)).keys if kid in (None, key.key_id)]
        if named:
            return named
    return []


def _known(provider: Provider, claims: Mapping[str, Any]) -> Known:
    username, subject = claims.get(provider.username_claim), claims["sub"]
    if not isinstance(username, str) or not 0 < len(username) <= 64 or not isinstance(subject, str) or not 0 < len(subject) <= 200:
        raise Refused("no usable name or subject")
    groups = claims.get(provider.groups_claim)
    names = frozenset(str(one) for one in groups) if isinstance(groups, list) else frozenset([groups]) if isinstance(groups, str) else None
    email = claims.get("email") if claims.get("email_verified") is not False else None
    return Known(f"{provider.issuer}|{subject}", username, str(claims.get("name") or username)[:64], email if isinstance(email, str) else "", names)


def _discovered(provider: Provider) -> Mapping[str, Any]:
    """The provider's description of itself, which must name the issuer that was agreed and stay under protection."""
    found = _kept(provider, f"{provider.issuer}/.well-known/openid-configuration")
    if str(found.get("issuer", "")).rstrip("/") != provider.issuer:
        raise Refused("describes another issuer")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not _protected(str(found.get(name, ""))):
            raise Refused("an address without protection")
    return found


def _protected(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.hostname) and (parts.scheme == "https" or parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context()), urllib.request.ProxyHandler({}))


_kept_answers: dict[str, tuple[float, dict[str, Any] | Refused]] = {}
_places: dict[str, threading.BoundedSemaphore] = {}


def forget() -> None:
    """Ask every provider anew."""
    _kept_answers.clear()


def places_of(party: str) -> threading.BoundedSemaphore:
    """The few calls at a time that one provider or directory is given: one that never answers holds its own and nobody else's."""
    return _places.setdefault(party, threading.BoundedSemaphore(AT_ONCE))


def _kept(provider: Provider, address: str, seconds: float = KEPT_FOR) -> dict[str, Any]:
    """What the address answered within the last ``seconds``; a failure is answered again for a moment without asking."""
    at, found = _kept_answers.get(address, (float("-inf"), {}))
    age = time.monotonic() - at
    if isinstance(found, Refused) and age < FAILED_FOR:
        raise Refused(str(found), away=found.away)
    if isinstance(found, dict) and age < seconds:
        return found
    try:
        answer = _ask(provider, address)
    except Refused as refused:
        if not isinstance(refused, Crowded):
            _kept_answers[address] = (time.monotonic(), refused)
        raise
    _kept_answers[address] = (time.monotonic(), answer)
    return answer


def _ask(provider: Provider, address: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One JSON object from the provider; no redirects, no more than half a megabyte, ten seconds in all, few calls at a time."""
    if not _protected(address):
        raise Refused("an address without protection")
    return in_turn(lambda: _fetched(address, form), provider.issuer)


def in_turn(call: Callable[[], T], party: str) -> T:
    """What ``call`` answers, ten seconds in all, few calls of one ``party`` at a time; Refused and Crowded otherwise.

    The call runs beside the request, which stops waiting at the deadline whatever the other side does; the call keeps its place
    among the few until it is over.
    """
    places = places_of(party)
    if not places.acquire(timeout=TURN):
        raise Crowded("too many calls of the provider at this moment", away=True)
    box: SimpleQueue[T | Exception] = SimpleQueue()
    threading.Thread(target=_call, args=(call, box, places), name="metaloom-provider", daemon=True).start()
    try:
        found = box.get(timeout=DEADLINE)
    except Empty:
        raise Refused("the provider did not answer in time", away=True) from None
    if isinstance(found, Exception):
        raise found
    return found


def _call(call: Callable[[], Any], box: SimpleQueue[Any], places: threading.BoundedSemaphore) -> None:
    try:
        box.put(call())
    except Exception as error:
        box.put(error)
    finally:
        places.release()


def _fetched(address: str, form: Mapping[str, str] | None) -> dict[str, Any]:
    sent = urllib.request.Request(address, urlencode(form).encode() if form is not None else None, {"Accept": "application/json"})
    until, body = time.monotonic() + DEADLINE, b""
    try:
        with _OPENER.open(sent, timeout=SECONDS) as answer:
            while (part := answer.read1(65536)) and len(body) <= ANSWER_MAX:
                body += part
                if time.monotonic() > until:
                    raise TimeoutError
        found = json.loads(body) if len(body) <= ANSWER_MAX else None
    except urllib.error.HTTPError as error:
        raise Refused(f"the provider answered {error.code}", away=error.code >= 500) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refused(f"the provider cannot be asked: {type(error).__name__}", away=True) from error
    if not isinstance(found, dict):
        raise Refused("no JSON object", away=True)
    return found
