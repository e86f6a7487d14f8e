"""Flask-AppBuilder's security on our terms: the one module that knows both.

Flask-AppBuilder supplies the login, profile and password pages, the user model, JWT and Flask-Login. Roles live in the
catalog (decision 12): its role and permission tables are not asked. Its user and role lists are not mounted (decision 7).
A session and a token name their tenant and are refused by every other one.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flask_sqlalchemy.session
from flask import current_app, g, make_response, redirect, render_template, request, session
from flask_appbuilder import BaseView, expose
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.security.views import AuthDBView, ResetMyPasswordView
from flask_login import LoginManager, login_user, logout_user
from werkzeug.security import check_password_hash

from metaloom.base.errors import Invalid, LoginRequired, NotAllowed, NotFound, TooMany
from metaloom.base.messages import message
from metaloom.command import PasswordFirst, enter_by_provider, system_context
from metaloom.web import oidc
from metaloom.web.current import current, locale, say, site, url
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import toast
from metaloom.web.words import moment

if TYPE_CHECKING:
    from metaloom.web.ldap import Directory

log = logging.getLogger(__name__)

# Endpoints that answer without a login; tests/web/public_routes.txt names the same and a test compares.
PUBLIC_ENDPOINTS = frozenset({
    "assets.static_file", "LoginView.login", "LoginView.begin_oidc", "LoginView.end_oidc", "LoginView.bind_oidc",
    "frame.theme_css", "settings.set_locale", "health.healthz", "health.readyz", "health.metrics",
    "outside.hook", "outside.notice",
})

# What a person may open who must first change the password.
WITH_ANY_PASSWORD = frozenset({"PasswordView.this_form_get", "PasswordView.this_form_post", "LoginView.logout"})


class TenantSession(flask_sqlalchemy.session.Session):
    """Flask-AppBuilder's database session: it reaches the tenant of this request or nothing (fail closed)."""

    def get_bind(self, *_: Any, **__: Any) -> Any:
        pinned = g.get("metaloom")
        if pinned is None:
            raise LookupError("no tenant is bound to this request")
        return pinned.conn


class LoginView(AuthDBView):
    """Login with lock-out; logout by POST."""

    @expose("/login/", methods=["GET", "POST"])
    def login(self) -> Any:
        if current().visit is not None:
            return redirect(inside(request.args.get("next", "")))
        if request.method == "GET":
            return self._page()
        username, password = request.form.get("username", "").strip()[:128], request.form.get("password", "")[:256]
        try:
            user = self.appbuilder.sm.auth_user_db(username, password)
        except TooMany as locked:
            return self._page(username, locked.message.say(locale())), 429
        if user is None:
            return self._by_directory(username, password)
        target = inside(request.args.get("next", ""))
        login_user(user, remember=False)
        answer = redirect(target)
        if g.get("login_locale"):
            answer.set_cookie("ml_locale", g.login_locale, path=request.script_root or "/", max_age=31536000, samesite="Lax")
        return answer

    def _by_directory(self, username: str, password: str) -> Any:
        """The same name and password tried in the tenant's directory; the try was counted by ``auth_user_db`` and is taken back when it succeeds,
        and when nobody looked at the password because the directory is away.

        Not for an account that has a password here and is not bound, however its name is written: what its owner mistypes stays here. The directory
        is asked of nobody then, so that neither the answer nor its time tells which accounts these are.
        """
        pinned, logins = current(), site().logins
        wrong = message("web.login.wrong").say(locale())
        if not username or not (pinned.catalog.settings.get("login") or {}).get("ldap"):
            return self._page(username, wrong), 401
        # ldap3 is loaded where a tenant names a directory
        from metaloom.web import ldap

        directory = ldap.directory_of(pinned.catalog.settings, pinned.tenant.secrets.get)
        login = logins.login(pinned, username)
        alike = [login] if login else logins.alike(pinned, username)
        asked = all(one.active and (one.bound or not one.password_hash) for one in alike)
        pinned.release()
        try:
            done = _enter(pinned, directory, _whom(directory, ldap.ask(directory, login.username if login else username, password, sent=asked)))
        except oidc.Refused as refused:
            log.warning("a login by the directory was refused: %s", refused)
            if refused.away:
                if login is None or not (login.active and login.password_hash):    # else ``auth_user_db`` looked at the password
                    logins.undo_attempt(pinned.tenant, login.username if login else username, request.remote_addr or "", login.user_id if login else None)
                return self._page(username, message("web.login.provider_away").say(locale())), 503, {"Retry-After": "10"}
            return self._page(username, wrong), 401
        except (PasswordFirst, NotAllowed, Invalid) as refused:
            log.warning("a login by the directory was refused here: %s", type(refused).__name__)
            return self._page(username, wrong), 401
        logins.end_attempt(pinned.tenant, login.username if login else username, request.remote_addr or "")
        return self._let_in(done, inside(request.args.get("next", "")))

    @expose("/logout/", methods=["POST"])
    def logout(self) -> Any:
        pinned = current()
        if pinned.visit is not None:
            pinned.release()
            site().logins.end(pinned.tenant, pinned.visit.session_id, pinned.visit.user_id)
        logout_user()
        session.clear()
        return redirect(url("/login/"))

    @expose("/login/oidc")
    def begin_oidc(self) -> Any:
        """To the provider that the tenant names."""
        provider = _provider()
        if provider is None:
            raise NotFound
        current().release()
        if minutes := site().logins.begin_provider(current().tenant, request.remote_addr or ""):
            return self._too_often(minutes)
        try:
            address, kept = oidc.begin(provider, _back(), inside(request.args.get("next", "")))
        except oidc.Refused as refused:
            return self._not_let_in(refused)
        session["oidc"] = kept
        return redirect(address)

    @expose("/login/oidc/back")
    def end_oidc(self) -> Any:
        """From the provider, with a code that serves once; whatever is doubtful ends here with one sentence for all cases."""
        pinned, provider = current(), _provider()
        if provider is None:
            raise NotFound
        kept = session.pop("oidc", None)
        pinned.release()
        if minutes := site().logins.begin_provider(pinned.tenant, request.remote_addr or ""):
            return self._too_often(minutes)
        try:
            known = oidc.finish(provider, _back(), kept, request.args)
            who = _whom(provider, known)
            done = _enter(pinned, provider, who)
        except oidc.Refused as refused:
            return self._not_let_in(refused)
        except PasswordFirst:
            if session.visit is None:
                session.clear()
            session["oidc_bind"] = {"who": who, "next": kept["next"], "at": int(time.time())}
            return self._bind_page(who["username"])
        except (NotAllowed, Invalid) as refused:
            log.warning("a login by the provider was refused here: %s", type(refused).__name__)
            return self._page(problem=message("web.login.provider").say(locale())), 401
        site().logins.end_provider(pinned.tenant, request.remote_addr or "")
        return self._let_in(done, kept["next"])

    @expose("/login/oidc/bind", methods=["POST"])
    def bind_oidc(self) -> Any:
        """The account's own password, given once, binds the account to whom the provider vouched for in this browser a moment ago."""
        pinned, provider, kept = current(), _provider(), session.get("oidc_bind")
        if provider is None:
            raise NotFound
        if not kept or int(time.time()) - kept["at"] > oidc.BEGUN_FOR:
            return self._not_let_in(oidc.Refused("no account was to be bound here, or too long ago"))
        who = kept["who"]
        try:
            user = self.appbuilder.sm.auth_user_db(who["username"], request.form.get("password", "")[:256])
            if user is None or user.username != who["username"]:
                return self._bind_page(who["username"], message("web.login.wrong").say(locale())), 401
            done = _enter(pinned, provider, who, proven=int(user.id))
        except TooMany as locked:
            return self._bind_page(who["username"], locked.message.say(locale())), 429
        except (NotAllowed, Invalid) as refused:
            session.pop("oidc_bind", None)
            log.warning("a login by the provider was refused here: %s", type(refused).__name__)
            return self._page(problem=message("web.login.provider").say(locale())), 401
        site().logins.end_provider(pinned.tenant, request.remote_addr or "")
        return self._let_in(done, kept["next"])

    def _let_in(self, done: Any, target: str) -> Any:
        session.clear()
        session.visit = None
        login_user(self.appbuilder.sm.load_user(done.id), remember=False)
        self.appbuilder.sm.stamp_session(done.title)
        return redirect(target)

    def _bind_page(self, username: str, problem: str = "") -> str:
        return render_template(self.login_template, username=username, login_problem=problem, login_bind=message("web.login.bind").say(locale()),
                               login_by_provider="", login_action=url("/login/oidc/bind"))

    def _not_let_in(self, refused: oidc.Refused) -> Any:
        log.warning("a login by the provider was refused: %s", refused)
        said = message("web.login.provider_away" if refused.away else "web.login.provider").say(locale())
        return self._page(problem=said), 503 if refused.away else 401, {"Retry-After": "10"} if refused.away else {}

    def _too_often(self, minutes: int) -> Any:
        return self._page(problem=message("web.login.locked", minutes=minutes).say(locale())), 429, {"Retry-After": str(minutes * 60)}

    def _page(self, username: str = "", problem: str = "") -> str:
        query = "" if request.endpoint != "LoginView.login" else request.query_string.decode("latin-1")
        by_provider = url("/login/oidc") + (f"?{query}" if query else "") if _provider() is not None else ""
        return render_template(self.login_template, username=username, login_problem=problem, login_by_provider=by_provider,
                               login_action=url("/login/") + (f"?{query}" if query else ""))


def _provider() -> oidc.Provider | None:
    pinned = current()
    return oidc.provider_of(pinned.catalog.settings, pinned.tenant.secrets.get)


def _back() -> str:
    return request.host_url.rstrip("/") + url("/login/oidc/back")


def _whom(provider: oidc.Provider | Directory, known: oidc.Known) -> dict[str, Any]:
    """What the provider said, as this browser may keep it: roles instead of groups, None where the provider did not say."""
    roles = None if known.groups is None else sorted({role for group, role in provider.roles if group in known.groups})
    if roles is None and isinstance(provider, oidc.Provider) and provider.roles:
        log.warning("the provider's token says nothing of groups (claim %s): roles stay as they are", provider.groups_claim)
    return {"subject": known.subject, "username": known.username, "display_name": known.display_name, "email": known.email, "roles": roles}


def _enter(pinned: Any, provider: oidc.Provider | Directory, who: Mapping[str, Any], proven: int | None = None) -> Any:
    ctx = system_context(pinned.tenant, plugins=site().registry, clock=site().clock, request_id=pinned.request_id, run_as="login")
    return enter_by_provider(ctx, **who, following={role for _, role in provider.roles}, create=provider.create, company=provider.company, proven=proven)


def inside(wanted: str) -> str:
    """``wanted`` when it is an address inside this tenant, else the tenant's first page."""
    safe = wanted.startswith(request.script_root + "/") and wanted.isascii() and not re.search(r"[\\\x00-\x1f]|//|/\.\.?(/|$|[?#])", wanted)
    return wanted if safe else url("/")


class ProfileView(BaseView):
    """The person's own page: who, which roles, which logins are open."""

    route_base = ""

    @expose("/userinfo/")
    def userinfo(self) -> Any:
        pinned = current()
        actor, user_id = pinned.actor, _user_id()
        facts = site().logins.person(pinned, user_id)
        assignments = [(say(role.label), _place(pinned, held)) for held in actor.roles if (role := pinned.catalog.roles.get(held.role))]
        visits = [visit_words(pinned, visit) for visit in site().logins.open_visits(pinned, user_id)]
        return render_template("pages/profile.html", email=facts["email"], last_login=_login_moment(pinned, facts["last_login"]),
                               assignments=assignments, sessions=visits, crumbs=[(_t("frame.profile"), "")])

    @expose("/userinfo/sessions/<int:session_id>/end", methods=["POST"])
    def end_session(self, session_id: int) -> Any:
        pinned, user_id = current(), _user_id()
        pinned.release()
        if not site().logins.end(pinned.tenant, session_id, user_id):
            raise NotFound
        return toast(redirect(url("/userinfo/")), message("web.session.ended").say(locale()))


class PasswordView(ResetMyPasswordView):
    """Change one's own password: the current one is asked, other logins end."""

    @expose("/form", methods=["GET"])
    def this_form_get(self) -> Any:
        return self._page(())

    @expose("/form", methods=["POST"])
    def this_form_post(self) -> Any:
        pinned, user_id = current(), _user_id()
        old, new, again = (request.form.get(name, "")[:256] for name in ("current", "password", "conf_password"))
        problems = password_problems(pinned, old, new, again)
        if problems:
            return self._page(problems), 400
        from metaloom.command import set_password

        try:
            set_password(pinned.context(), user_id, new, old=old)
        except Invalid as refused:
            return self._page([p.message for p in refused.problems]), 400
        site().logins.end_others(pinned.tenant, user_id, keep=None)
        # The account's stamp moved on; this browser gets a fresh login, the others must log in again.
        user = self.appbuilder.sm.load_user(user_id)
        session.clear()
        session.visit = None
        login_user(user, remember=False)
        self.appbuilder.sm.stamp_session(user.username)
        return toast(redirect(url("/userinfo/")), message("web.password.changed").say(locale()))

    def _page(self, problems: Any) -> str:
        return render_template("pages/password.html", first=current().actor.must_renew, problems=[p.say(locale()) for p in problems],
                               crumbs=[(_t("frame.profile"), url("/userinfo/")), (_t("frame.password"), "")])


def password_problems(pinned: Any, old: str, new: str, again: str) -> list[Any]:
    """What is wrong with the wish, before the command judges the new password itself."""
    login = site().logins.login(pinned, pinned.actor.username)
    address = request.remote_addr or ""
    if site().logins.locked_minutes(pinned, login.username, address):
        raise TooMany
    pinned.release()
    if site().logins.begin_attempt(pinned.tenant, login.username, address, login.user_id):
        raise TooMany
    if not check_password_hash(login.password_hash, old):
        return [message("web.password.wrong")]
    site().logins.end_attempt(pinned.tenant, login.username, address)
    found = []
    if new != again:
        found.append(message("web.password.differ"))
    if new == old:
        found.append(message("web.password.same"))
    return found


class TenantSecurity(SecurityManager):
    """Mounts three of Flask-AppBuilder's pages; everything else it would mount stays away (tokens are given out by the API room)."""

    authdbview = LoginView
    resetmypasswordview = PasswordView
    userstatschartview = None

    def register_views(self) -> None:
        self.auth_view = self.authdbview()
        for view in (self.auth_view, ProfileView(), self.resetmypasswordview()):
            self.appbuilder.add_view_no_menu(view)

    def create_db(self) -> None:
        """The tables are the storage room's."""

    # -- who

    def create_login_manager(self, app: Any) -> LoginManager:
        """Without Flask-Login's name ``current_user`` in templates: it would read the account once more for every page."""
        manager = LoginManager()
        manager.init_app(app, add_context_processor=False)
        manager.user_loader(self.load_user)
        return manager

    def auth_user_db(self, username: str, password: str) -> Any:
        """The user for the right password; None for a wrong one; TooMany while locked. Answers take equally long."""
        pinned, logins, address = current(), site().logins, request.remote_addr or ""
        login = logins.login(pinned, username) if username else None
        minutes = logins.locked_minutes(pinned, login.username if login else username, address)
        if minutes:
            raise TooMany(message("web.login.locked", minutes=minutes), minutes * 60)
        pinned.release()
        minutes = logins.begin_attempt(pinned.tenant, login.username if login else username, address, login.user_id if login else None)
        if minutes:
            raise TooMany(message("web.login.locked", minutes=minutes), minutes * 60)
        usable = login is not None and login.active and bool(login.password_hash)
        known = login.password_hash if login is not None and usable else current_app.config["AUTH_DB_FAKE_PASSWORD_HASH_CHECK"]
        right = check_password_hash(known, password) and usable and bool(password.strip("\0"))
        if login is None or not right:
            return None
        logins.note_success(pinned.tenant, login, address)
        g.login_locale = login.locale
        user = self.load_user(login.user_id)
        self._stamp(login.auth_stamp)
        return user

    def _stamp(self, auth_stamp: int) -> None:
        session["tenant"] = current().tenant.name
        session["auth_stamp"] = auth_stamp

    def stamp_session(self, username: str) -> None:
        """Bind the fresh session to the tenant and to the account's present stamp."""
        login = site().logins.login(current(), username)
        assert login is not None
        self._stamp(login.auth_stamp)

    def load_user(self, pk: Any) -> Any:
        """The user of a cookie that this tenant gave out; also used for tokens (there is no ``_user_id`` then)."""
        if "_user_id" in session and session.get("tenant") != current().tenant.name:
            return None
        return super().load_user(pk)

    # -- tokens

    def create_jwt_manager(self, app: Any) -> Any:
        manager = super().create_jwt_manager(app)
        manager.additional_claims_loader(lambda _: {"tenant": current().tenant.name, "stamp": session.get("auth_stamp")})
        return manager

    def load_user_jwt(self, header: Any, claims: Any) -> Any:
        """The user of a token; none when the token is another tenant's, or the password changed since."""
        if claims.get("tenant") != current().tenant.name:
            return None
        user = super().load_user_jwt(header, claims)
        if user is None:
            return None
        login = site().logins.login(current(), user.username)
        return user if login is not None and login.active and login.auth_stamp == claims.get("stamp") else None

    # -- rights on Flask-AppBuilder's own pages: one's own, for everyone who is logged in

    def has_access(self, permission_name: str, view_name: str) -> bool:
        return g.get("metaloom") is not None and current().visit is not None and view_name in {"ProfileView", "PasswordView", "LoginView"}

    def is_item_public(self, permission_name: str, view_name: str) -> bool:
        return False


def require_login() -> Any:
    """Every page but the public ones needs a login, and a password of one's own; runs before each request."""
    if g.get("refused") is not None:
        raise g.refused
    endpoint = request.endpoint or ""
    if endpoint in PUBLIC_ENDPOINTS or request.path.startswith("/api/"):
        return None
    pinned = g.get("metaloom")
    if pinned is None:
        if endpoint == "workbench.index":
            return None
        raise NotFound
    if pinned.visit is None:
        raise LoginRequired
    return _password_first(endpoint)


def _password_first(endpoint: str) -> Any:
    """Whoever came in by a password that somebody else chose goes no further before it is changed."""
    if endpoint in WITH_ANY_PASSWORD or not current().actor.must_renew:
        return None
    if wants_fragment():
        answer = make_response("", 403)
        answer.headers["HX-Redirect"] = url("/resetmypassword/form")
        return answer
    return redirect(url("/resetmypassword/form"))


def _user_id() -> int:
    visit = current().visit
    if visit is None:
        raise LoginRequired
    return visit.user_id


def _t(key: str) -> str:
    from metaloom.web.i18n import translate

    return translate(site().templates, locale(), key)


def _place(pinned: Any, held: Any) -> str:
    """The organisation unit (or company) that limits a role."""
    unit = pinned.plan.org.units.get(held.org_unit_id) if held.org_unit_id else None
    return unit.name if unit else (pinned.visit.company_name if held.company_id else "")


def visit_words(pinned: Any, visit: Any) -> dict[str, Any]:
    """An open login as a line: from where, with what, when last seen, and whether it is the one that asks."""
    return {"id": visit["id"], "where": f"{visit['address'] or '-'} · {_browser(visit['agent'] or '')}", "seen": moment(pinned, visit["seen_at"]),
            "current": pinned.visit is not None and visit["id"] == pinned.visit.session_id}


def _browser(agent: str) -> str:
    found = re.search(r"(Edg|Firefox|Chrome|Safari)[/ ](\d+)", agent)
    return f"{'Edge' if found[1] == 'Edg' else found[1]} {found[2]}" if found else agent[:40]


def _login_moment(pinned: Any, value: Any) -> str:
    """The last login, stored without zone in UTC (as text on SQLite)."""
    from datetime import UTC, datetime

    if not value:
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment(pinned, at.replace(tzinfo=UTC))
