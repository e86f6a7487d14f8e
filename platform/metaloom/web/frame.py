"""What surrounds every page: menu by rights, brand, language, theme, messages, headers."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, make_response, redirect, render_template, request, session
from flask_wtf.csrf import generate_csrf
from isal import isal_zlib
from itsdangerous import BadSignature, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode
from itsdangerous.signer import SigningAlgorithm
from markupsafe import Markup, escape
from sqlalchemy.exc import SQLAlchemyError

from metaloom.access import AccessPlan
from metaloom.base.errors import MetaloomError
from metaloom.base.text import Text
from metaloom.command.ask_tool import offered
from metaloom.command.run_command import ADMIN
from metaloom.model import Catalog, Entity, ListView, MenuItem
from metaloom.record.sanitise import sanitise
from metaloom.web import i18n
from metaloom.web.current import Current, locale, say, site, url
from metaloom.web.errors import wants_fragment
from metaloom.web.words import bracketed, colon, listed

THEMES = ("light", "dark")
PAGES = {"workbench": "/", "tasks": "/task/", "chains": "/approval/chains/", "changed_chains": "/approval/changed/",
         "balances": "/books/balance", "access": "/access/",
         "rights": "/access/rights/"}
FOR_ADMINS = frozenset({"chains", "changed_chains", "access", "rights"})
NEEDED = {"balances": "platform.ledger_leg"}     # pages of the engine that show rows of an entity, whose list must be open to the person
TOAST_COOKIE = "ml_toast"
REFUSED = "refused"                    # a kind of sentence: on a record's page it stands on top, elsewhere it is a toast that stays
DEFAULT_ACCENT = "#206bc4"


@dataclass(frozen=True)
class Entry:
    key: str
    label: str
    href: str


@dataclass(frozen=True)
class Group:
    key: str
    label: str
    icon: str
    entries: tuple[Entry, ...]


# ---------------------------------------------------------------------------------------------------------- menu


class _Rendered:
    """Rendered menus by (tenant, revision, rights, locale); a menu of a hundred items is most of a page's cost."""

    def __init__(self, limit: int = 400) -> None:
        self.limit = limit
        self._pages: OrderedDict[Any, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any, make: Any) -> str:
        with self._lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
                return found
        page = make()
        with self._lock:
            self._pages[key] = page
            while len(self._pages) > self.limit:
                self._pages.popitem(last=False)
        return page


_MENUS, _MARKED = _Rendered(), _Rendered()     # the second: with the entry of a page marked, for everybody of the same rights


def menu_here(pinned: Current) -> Markup:
    """The left menu with the entry of this request's page marked."""
    return menu_html(pinned, g.get("menu_here", ""))


def menu_html(pinned: Current, here: str) -> Markup:
    """The left menu for this person, the entry ``here`` marked and its group opened."""
    plan = pinned.plan
    listable = plan.memory.get("listable")
    if listable is None:
        listable = plan.memory["listable"] = frozenset(e for e in pinned.catalog.entities if plan.may(e, "list"))
    key = (pinned.tenant.name, pinned.catalog.digest, listable, _tool_pages(plan), bool(plan.actor.holds_everywhere(ADMIN)), locale(), request.script_root)
    return Markup(_MARKED.get((key, here), lambda: _marked(_MENUS.get(key, lambda: _draw_menu(menu_groups(pinned.catalog, plan))), here)))


def _marked(page: str, here: str) -> Markup:
    mark = f'data-n="{escape(here)}"'
    at = page.find(mark)
    if at < 0:
        return Markup(page)
    page = page.replace(mark, mark + ' aria-current="page"', 1)
    opened = page.rfind("<details ", 0, page.find(mark))
    closed = page.rfind("</details>", 0, page.find(mark))
    if opened > closed:
        page = page[:opened] + "<details open " + page[opened + len("<details ") :]
    return Markup(page)


class LazyMenu:
    """The menu for the templates that want it: most of a page is drawn without."""

    def __init__(self, pinned: Current) -> None:
        self._pinned = pinned

    def __html__(self) -> str:
        return menu_here(self._pinned)


def _draw_menu(groups: list[Group]) -> str:
    """Outside Flask's ``render_template``: the frame itself asks for the menu while names are being collected."""
    templates, spoken = site().templates, locale()
    return current_app.jinja_env.get_template("parts/menu.html").render(menus=groups, t=i18n.translator(templates, spoken))


def menu_groups(catalog: Catalog, plan: AccessPlan) -> list[Group]:
    """Menus in their order, with the entries that the person may open; empty menus vanish."""
    groups = []
    for menu in sorted(catalog.menus.values(), key=lambda m: m.order):
        entries = [entry for item in sorted(menu.items.values(), key=lambda i: i.order) if (entry := _entry(menu.address, item, catalog, plan))]
        if entries:
            groups.append(Group(menu.address, say(menu.label), menu.icon, tuple(entries)))
    return groups


def _entry(menu: str, item: MenuItem, catalog: Catalog, plan: AccessPlan) -> Entry | None:
    if item.page.startswith("tool/"):
        return Entry(f"page:{item.page}", say(item.label), url(f"/{item.page}")) if item.page in _tool_pages(plan) else None
    if item.page:
        shown = item.page in PAGES and (item.page not in FOR_ADMINS or plan.actor.holds_everywhere(ADMIN))
        shown = shown and (item.page not in NEEDED or bool(plan.may(NEEDED[item.page], "list")))
        return Entry(f"page:{item.page}", say(item.label), url(PAGES[item.page])) if shown else None
    address, _, name = item.list.partition("/")
    if address not in catalog.entities or not plan.may(address, "list"):
        return None
    return Entry(f"list:{address}/{name or 'main'}", say(item.label), list_url(address, name))


def _tool_pages(plan: AccessPlan) -> frozenset[str]:
    """The pages of plugins' tools that this person may open."""
    known: frozenset[str] | None = plan.memory.get("tool_pages")
    if known is None:
        known = frozenset(f"tool/{group}/{tool.name}" for group, tool in offered(site().registry, plan) if tool.page)
        plan.memory["tool_pages"] = known
    return known


def list_label(catalog: Catalog, entity: Entity, view: ListView | None) -> Text:
    """The list's own label, or what the menu calls it: the page answers the click in the same words, and pages below it lead back in them."""
    if view is not None and view.label != entity.label:
        return view.label
    address = view.address if view is not None else f"{entity.address}/main"
    here = (address, address.removesuffix("/main"))
    return next((item.label for menu in catalog.menus.values() for item in menu.items.values() if item.list in here), entity.label)


def list_crumb(pinned: Current, entity: Entity, name: str = "main") -> tuple[str, str]:
    """The way back to the list, above a page that was reached from it."""
    return say(list_label(pinned.catalog, entity, pinned.catalog.lists.get(f"{entity.address}/{name}"))), list_url(entity.address, name)


def list_url(entity: str, name: str = "") -> str:
    """The address of a list; ``main`` needs no name."""
    return url(f"/e/{entity}/{name}/" if name and name != "main" else f"/e/{entity}/")


def record_url(entity: str, id: object, tail: str = "") -> str:
    return url(f"/e/{entity}/{id}{tail}")


# ------------------------------------------------------------------------------------------------------- toasts


def toast(answer: Any, text: str, kind: str = "") -> Any:
    """Say ``text`` once on the next page (a signed cookie: no session write for a sentence)."""
    value = _signer().dumps([{"text": text[:600], "kind": kind}])
    answer.set_cookie(TOAST_COOKIE, value, max_age=60, path=_cookie_path(), httponly=True, samesite="Lax", secure=request.is_secure)
    g.toast_set = True
    return answer


def after(sentence: str, target: str) -> Any:
    """On to ``target``, where ``sentence`` says what was done; also for a form that htmx sent."""
    if wants_fragment():
        answer = make_response("", 204)
        answer.headers["HX-Redirect"] = target
        return toast(answer, sentence)
    return toast(redirect(target, 303), sentence)


def refused(answer: Any, text: str) -> Any:
    """Say on the next page why nothing was done."""
    return toast(answer, text, REFUSED)


def notice_waiting() -> str:
    """Why something was refused on the page before: for the top of this one, which then shows no toast of it."""
    waiting = _toasts()
    said = [one["text"] for one in waiting if one["kind"] == REFUSED]
    g.toasts = [one for one in waiting if one["kind"] != REFUSED]
    return " ".join(said)


def _toasts() -> list[dict[str, str]]:
    """What the page before left to be said, read once for each request."""
    if "toasts" not in g:
        g.toasts = _from_cookie()
    return list(g.toasts)


def _from_cookie() -> list[dict[str, str]]:
    value = request.cookies.get(TOAST_COOKIE)
    if not value or request.headers.get("HX-Request") or request.method != "GET":
        return []
    try:
        said = _signer().loads(value, max_age=60)
    except BadSignature:
        said = []
    g.toasts_shown = True
    return said


def toasts_html() -> Markup:
    """The sentences that wait for this page."""
    return Markup("".join(render_template("parts/toast.html", toast={**one, "kind": "bad" if one["kind"] == REFUSED else one["kind"]})
                          for one in _toasts()))


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site().settings.secret_key, salt=f"toast:{request.script_root}")


def _cookie_path() -> str:
    return request.script_root or "/"


# ---------------------------------------------------------------------------------------------------- templates


def register_frame(app: Flask) -> None:
    """Names known to every template, and the headers of every answer."""
    app.context_processor(_names)
    app.after_request(_finish)
    app.jinja_env.globals.update(icon=icon, bracketed=bracketed, colon=colon, csrf=csrf_field, csrf_token=csrf_token, url=url, static=_static)
    app.jinja_env.filters["sanitised"] = lambda text: Markup(sanitise(text))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _names() -> dict[str, Any]:
    """The cheap names; those of the frame are lazy, so that the login page asks nothing of the database."""
    pinned: Current | None = g.get("metaloom")
    templates = site().templates
    spoken = locale()
    theme = request.cookies.get("ml_theme", "")
    names: dict[str, Any] = {
        "t": i18n.translator(templates, spoken),
        "locale": spoken,
        "theme": theme if theme in THEMES else "",
        "say": say,
        "here": here(),
        "base": request.script_root,
        "js_words": _script_words(templates, spoken),
        "nav_mini": request.cookies.get("ml_nav") == "mini",
        "toasts": _toasts(),
        "brand": _brand(pinned),
        "theme_css": _theme_url(pinned),
        "here_page": "",
    }
    if pinned is not None and pinned.visit is not None:
        names |= _frame_names(pinned)
    return names


@cache
def _script_words(templates: Path, spoken: str) -> Markup:
    return escape(i18n.script_words(templates, spoken))


def looks(pinned: Current) -> tuple[Any, ...]:
    """What the frame looks like besides the account with its rights and the catalog, which what is drawn is kept with: whatever differs is drawn anew."""
    cookies, assets, root = request.cookies, site().assets, request.environ.get("metaloom.root", "")
    theme = cookies.get("ml_theme", "")
    return (theme if theme in THEMES else "", cookies.get("ml_nav") == "mini", _brand(pinned), assets.url(root, "css/metaloom.css"),
            assets.url(root, "js/metaloom.js"))


def _frame_names(pinned: Current) -> dict[str, Any]:
    try:
        actor = pinned.actor
    except (MetaloomError, SQLAlchemyError):  # the frame is also drawn around error pages
        return {}
    roles = [say(pinned.catalog.roles[a].label) for a in dict.fromkeys(r.role for r in actor.roles) if a in pinned.catalog.roles]
    assert pinned.visit is not None
    return {
        "actor": actor,
        "menu_html": LazyMenu(pinned),
        "role_names": listed(roles[:3]),
        "company_name": pinned.visit.company_name,
        "business_date": pinned.visit.business_date,
    }


def here() -> str:
    """The address of this page, to come back to."""
    return request.script_root + request.full_path.rstrip("?") if request.method == "GET" else request.script_root + "/"


def _brand(pinned: Current | None) -> str:
    if pinned is None:
        return "Metaloom"
    label = pinned.tenant.label
    return label.say(locale()) if hasattr(label, "say") else str(label)


def icon(name: str, css: str = "") -> Markup:
    """An icon of the sprite; decoration only, so hidden from screen readers."""
    return _icon(name, css, _static("vendor/icons.svg"))


@lru_cache(4000)
def _icon(name: str, css: str, sprite: str) -> Markup:
    if not re.fullmatch(r"[a-z0-9-]+", name or ""):
        name = "circle"
    return Markup(f'<svg class="icon {escape(css)}" aria-hidden="true"><use href="{sprite}#{name}"/></svg>')


def _static(name: str) -> str:
    return site().assets.url(request.environ.get("metaloom.root", ""), name)


def csrf_token() -> str:
    """The token of this session as ``generate_csrf`` writes it, which makes its signer anew and packs the session's word each time."""
    word = session.get("csrf_token")
    if word is None or "csrf_token" in g:
        return generate_csrf()
    g.csrf_token = _csrf_signer(current_app.secret_key).sign(base64_encode(json.dumps(word))).decode()
    return str(g.csrf_token)


@lru_cache(8)
def _csrf_signer(secret: Any) -> TimestampSigner:
    signer = URLSafeTimedSerializer(secret, salt="wtf-csrf-token", signer=_KeptKey, signer_kwargs={"algorithm": _KeptHmac()}).make_signer("wtf-csrf-token")
    assert isinstance(signer, _KeptKey)
    return signer


class _KeptKey(TimestampSigner):
    """The signer that makes its key of the secret once; it only signs."""

    @cached_property
    def _made(self) -> bytes:
        return super().derive_key()

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        return self._made if secret_key is None else super().derive_key(secret_key)


class _KeptHmac(SigningAlgorithm):
    """HMAC with SHA-1 as the signer has it, for its one key."""

    def __init__(self) -> None:
        self._keyed: dict[bytes, hmac.HMAC] = {}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        keyed = self._keyed.get(key)
        if keyed is None:
            keyed = self._keyed[key] = hmac.new(key, digestmod="sha1")
        made = keyed.copy()
        made.update(value)
        return made.digest()


def csrf_field(token: str = "") -> Markup:
    return Markup(f'<input type="hidden" name="csrf_token" value="{token or csrf_token()}">')


# -------------------------------------------------------------------------------------------------------- theme


def _accent(pinned: Current | None) -> str:
    try:
        value = str(pinned.catalog.settings.get("accent", DEFAULT_ACCENT)) if pinned is not None else DEFAULT_ACCENT
    except MetaloomError:  # nothing published, or the database is away: pages that say so still have a colour
        return DEFAULT_ACCENT
    return value.lower() if re.fullmatch(r"#[0-9a-fA-F]{6}", value) else DEFAULT_ACCENT


def _theme_url(pinned: Current | None) -> str:
    accent = _accent(pinned)
    root = request.script_root if pinned is not None else request.environ.get("metaloom.root", "")
    return f"{root}/theme.css?v={accent[1:]}"


def theme_css() -> Response:
    """The tenant's accent colour as tokens: a file of its own, since inline styles are forbidden."""
    accent = _accent(g.get("metaloom"))
    answer = make_response(_theme_sheet(accent))
    answer.mimetype = "text/css"
    answer.headers["Cache-Control"] = "public, max-age=86400"
    answer.set_etag(hashlib.sha256(accent.encode()).hexdigest()[:16])
    return answer.make_conditional(request)


def _theme_sheet(accent: str) -> str:
    """Text in the accent keeps 4.5:1 on white and on the dark surface; the words on a filled button too."""
    rgb = _rgb(accent)
    on_fill = (
        "#ffffff"
        if _contrast(rgb, (255, 255, 255)) >= 4.5
        else ("#ffffff" if _contrast(rgb, (255, 255, 255)) >= _contrast(rgb, (20, 26, 33)) else "#141a21")
    )
    dark_fill = rgb
    return (
        f":root{{--ml-accent:{accent};--ml-accent-rgb:{','.join(map(str, rgb))};--ml-accent-fg:{on_fill};"
        f"--ml-accent-text:{_hex(_towards(rgb, (0, 0, 0), (255, 255, 255)))};}}"
        f'[data-bs-theme="dark"]{{--ml-accent:{_hex(dark_fill)};--ml-accent-text:{_hex(_towards(rgb, (255, 255, 255), (33, 43, 55)))};}}'
    )


def _towards(rgb: tuple[int, ...], end: tuple[int, ...], ground: tuple[int, ...]) -> tuple[int, ...]:
    """``rgb`` moved towards ``end`` until it reads well (5:1) on ``ground``."""
    for step in range(21):
        mixed = tuple(round(a + (b - a) * step / 20) for a, b in zip(rgb, end, strict=True))
        if _contrast(mixed, ground) >= 5:
            return mixed
    return end


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2 contrast ratio of two colours."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: tuple[int, ...]) -> float:
    parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(rgb: tuple[int, ...]) -> str:
    return "#" + "".join(f"{c:02x}" for c in rgb)


# ------------------------------------------------------------------------------------------------------ headers

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; frame-src 'self'; object-src 'none'; manifest-src 'self'"
)
QUICK, GZIP = 2, 31    # a list of 68 KB: 0.08 ms for 10.7 KB, where zlib took 0.74 ms for 9.7 KB, a seventh of the page
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=()",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
}
_NAMED = tuple((name.lower(), name, value) for name, value in HEADERS.items())


def _finish(answer: Response) -> Response:
    """Security headers on everything, the request id, no caching of pages, compression of text."""
    headers, own = answer.headers, g._get_current_object()
    given = {name.lower() for name, _ in headers}        # asked once: the headers look through themselves for each name
    for low, name, value in _NAMED:
        if low not in given:
            headers.add(name, value)
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    pinned = own.get("metaloom")
    if pinned is not None:
        headers.set("X-Request-Id", pinned.request_id)
    if own.get("toasts_shown") and not own.get("toast_set"):
        answer.delete_cookie(TOAST_COOKIE, path=_cookie_path())
    return _compressed(answer)


def _compressed(answer: Response) -> Response:
    if (
        answer.direct_passthrough
        or answer.is_streamed
        or "Content-Encoding" in answer.headers
        or answer.mimetype not in ("text/html", "application/json", "text/css")
        or "gzip" not in request.headers.get("Accept-Encoding", "")
    ):
        return answer
    body = answer.get_data()
    if len(body) < 900:
        return answer
    answer.set_data(isal_zlib.compress(body, QUICK, GZIP))
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers.add("Vary", "Accept-Encoding")
    return answer


def json_answer(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, default=str), status, mimetype="application/json")
