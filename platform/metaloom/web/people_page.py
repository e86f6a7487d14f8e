"""People, the roles they hold, their logins, and the day of a company: what an administrator does, on the generic screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date
from typing import Any

from flask import render_template

from metaloom import command
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import Message, message, register as say_so
from metaloom.base.text import Text
from metaloom.command.context import Context, Saved
from metaloom.command.password import LENGTH_MAX, refuse_weak
from metaloom.command.run_command import ADMIN
from metaloom.model import Catalog, Field, FieldType
from metaloom.record.filters import Filter
from metaloom.web.current import Current, locale, say, site
from metaloom.web.form_model import FormField, FormSection
from metaloom.web.frame import record_url
from metaloom.web.i18n import translate
from metaloom.web.own import Own, Verb, register

USER, ASSIGNMENT, COMPANY = "platform.user", "platform.role_assignment", "platform.company"
ROLES_SHOWN = 100
ROLE_FIELDS = ("role", "company", "org_unit", "valid_from", "valid_to")
# Inputs that no field of the entity stands behind begin with an underscore; the input schema never sees them.
PASSWORD, AGAIN = "_password", "_password_again"

say_so({
    "people.own_account": ("\u8fd9\u662f\u60a8\u81ea\u5df1\u7684\u8d26\u53f7\uff0c\u8bf7\u5728\u4e2a\u4eba\u8d44\u6599\u4e2d\u4fee\u6539\u5bc6\u7801\u3002",
                           "This is your own account; change its password on your profile page."),
})


def _t(key: str) -> str:
    return translate(site().templates, locale(), key)


# ------------------------------------------------------------------------------------------------------- the account


def _save_new(ctx: Context, values: Mapping[str, Any], sent: Mapping[str, Any]) -> Saved:
    try:
        return command.save_user(ctx, None, values, password=sent.get(PASSWORD, ""))
    except Invalid as refused:
        raise Invalid([replace(p, field=PASSWORD) if p.field == "password" else p for p in refused.problems], refused.message) from refused


def _save_changed(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.save_user(ctx, id, values, version)


def _login_section(pinned: Current, purpose: str, problems: tuple[Problem, ...]) -> FormSection | None:
    """The first password of a new account; what was typed never comes back."""
    if purpose != "create":
        return None
    labels = {PASSWORD: _t("people.password"), AGAIN: _t("people.password_again")}
    fields = [FormField(name, name, label, "text", "password", required=True, starred=True, length=LENGTH_MAX,
                        help=_t("people.password_rule") if name == PASSWORD else "",
                        problems=tuple(p.message.say(locale()) for p in problems if p.field == name)) for name, label in labels.items()]
    return FormSection("login", _t("people.login"), "", 2, tuple(fields))


def _check_password(purpose: str, sent: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with the two passwords, so that it stands beside what is wrong with the other fields."""
    if purpose != "create":
        return ()
    return _password_problems(sent.get(PASSWORD, ""), sent.get(AGAIN, ""), sent.get("username", ""), PASSWORD, AGAIN)


def _password_problems(password: str, again: str, username: str, at: str, at_again: str) -> tuple[Problem, ...]:
    if not password:
        return (Problem(at, message("field.required")),)
    found = [Problem(at_again, message("web.password.differ"))] if password != again else []
    try:
        refuse_weak(password, username.strip() or password + "?")
    except Invalid as weak:
        found += [replace(p, field=at) for p in weak.problems]
    return tuple(found)


def _switch(active: bool) -> Any:
    return lambda ctx, id, values, version: command.save_user(ctx, id, {"active": active}, version)


def _may_switch(to: bool) -> Any:
    def when(pinned: Current, row: Any) -> bool | Message:
        if bool(row.values.get("active")) is to:
            return False
        return message("user.own_switch") if not to and row.id == pinned.actor.user_id else True

    return when


def _set_password(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    problems = _password_problems(values["password"], values["again"], "", "password", "again")
    if problems:
        raise Invalid(problems)
    return command.set_password(ctx, id, values["password"])


def _not_oneself(pinned: Current, row: Any) -> bool | Message:
    return message("people.own_account") if row.id == pinned.actor.user_id else True


def _is_locked(pinned: Current, row: Any) -> bool:
    until = row.values.get("locked_until")
    return until is not None and until > pinned.clock.now()


def _password_fields(catalog: Catalog) -> dict[str, Field]:
    labels = {"password": Text("\u65b0\u5bc6\u7801", "New password"), "again": Text("\u786e\u8ba4\u65b0\u5bc6\u7801", "New password again")}
    return {name: Field(name, FieldType.TEXT, label, required=True, length=LENGTH_MAX) for name, label in labels.items()}


def _as_password(pinned: Current, one: FormField) -> FormField:
    return replace(one, input_type="password", value="", values=(), help=_t("people.password_rule") if one.name == "password" else "")


def _session_field(catalog: Catalog) -> dict[str, Field]:
    return {"session": Field("session", FieldType.INTEGER, Text("\u767b\u5f55", "Login"), required=True)}


# ------------------------------------------------------------------------------------------------------------- roles


def _role_fields(catalog: Catalog) -> dict[str, Field]:
    fields = catalog.entities[ASSIGNMENT].fields
    return {name: fields[name] for name in ROLE_FIELDS}


def _as_role(pinned: Current, one: FormField) -> FormField:
    """The role is one of the catalog's, by its name; roles of one pack stand together."""
    if one.name != "role" or one.locked:
        return one
    catalog = pinned.catalog
    options = tuple((role.address, f"{say(catalog.packs[pack].label)} \u00b7 {say(role.label)}" if pack in catalog.packs else say(role.label))
                    for role in sorted(catalog.roles.values(), key=lambda r: r.address.partition(".")[0]) if (pack := role.address.partition(".")[0]))
    return replace(one, widget="choice", options=options)


def _assign(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.assign_role(ctx, id, values["role"], company=values.get("company"), org_unit=values.get("org_unit"),
                               valid_from=values.get("valid_from"), valid_to=values.get("valid_to"))


def _assign_new(ctx: Context, values: Mapping[str, Any], sent: Mapping[str, Any]) -> Saved:
    return _assign(ctx, values["user"], values, None)


def _may_revoke(pinned: Current, row: Any) -> bool | Message:
    own_admin = row.values.get("role") == ADMIN and row.values.get("user") == pinned.actor.user_id
    return message("role.own_admin") if own_admin else True


# ------------------------------------------------------------------------------------------- roles and logins of a person


def _person_panel(pinned: Current, row: Any) -> str:
    """The roles held and the open logins, for those who may see them; empty for everybody else."""
    roles = _roles(pinned, row) if pinned.plan.may(ASSIGNMENT, "list") else None
    visits = _visits(pinned, row) if "edit" in row.actions else None
    here = record_url(USER, row.id)
    return render_template("people/panel.html", roles=roles, visits=visits, row=row, here_url=here,
                           may_assign=bool(pinned.plan.may(ASSIGNMENT, "create"))) if roles is not None or visits is not None else ""


def _roles(pinned: Current, row: Any) -> list[dict[str, Any]]:
    page = pinned.reader.list(ASSIGNMENT, filters=[Filter("user", "eq", row.id)], sort=("role",), limit=ROLES_SHOWN,
                              paths=("user", "role", "company.name", "org_unit.name", "valid_from", "valid_to"))
    return [_role(pinned, held) for held in page.rows]


def _role(pinned: Current, held: Any) -> dict[str, Any]:
    values, known = held.values, pinned.catalog.roles.get(held.values["role"])
    first, last = values.get("valid_from"), values.get("valid_to")
    state = _state(pinned.clock.now().astimezone(UTC).date(), first, last)
    place = " \u00b7 ".join(str(values[name]) for name in ("company.name", "org_unit.name") if values.get(name))
    return {"id": held.id, "label": say(known.label) if known else values["role"], "known": known is not None, "place": place,
            "days": f"{first or ''} ~ {last or ''}" if first or last else "", "state": state,
            "url": record_url(ASSIGNMENT, held.id) if "read" in held.actions else "",
            "revocable": "delete" in held.actions and _may_revoke(pinned, held) is True}


def _state(today: date, first: date | None, last: date | None) -> str:
    """As the login sees it: the days of an assignment are counted in UTC."""
    if first is not None and today < first:
        return "later"
    return "over" if last is not None and today > last else "now"


def _visits(pinned: Current, row: Any) -> list[dict[str, Any]]:
    from metaloom.web.security import visit_words

    return [visit_words(pinned, visit) for visit in site().logins.open_visits(pinned, row.id)]


# ----------------------------------------------------------------------------------------------------------- companies


def _is_admin(pinned: Current, row: Any) -> bool:
    return ADMIN in pinned.actor.role_addresses


def _move_day(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.move_business_date(ctx, id, values["day"])


def _day_field(catalog: Catalog) -> dict[str, Field]:
    return {"day": Field("day", FieldType.DATE, Text("\u65b0\u7684\u8425\u4e1a\u65e5\u671f", "New business date"), required=True)}


# ---------------------------------------------------------------------------------------------------------- who offers what

EDIT = (USER, "edit")
_USER_VERBS = (
    Verb("assign_role", Text("\u5206\u914d\u89d2\u8272", "Assign role"), "user-shield", (ASSIGNMENT, "create"), _assign, _role_fields, asks=True, first=True, dress=_as_role,
         style="primary"),
    Verb("reset_password", Text("\u91cd\u7f6e\u5bc6\u7801", "Reset password"), "key", EDIT, _set_password, _password_fields, _not_oneself, asks=True, dress=_as_password,
         confirm=Text("\u8be5\u7528\u6237\u7684\u6240\u6709\u767b\u5f55\u4f1a\u7acb\u5373\u7ed3\u675f\u3002\u8bf7\u628a\u65b0\u5bc6\u7801\u5f53\u9762\u6216\u901a\u8fc7\u5b89\u5168\u65b9\u5f0f\u544a\u77e5\u672c\u4eba\u3002",
                      "Every login of this person ends at once. Tell the new password in person or in another safe way.")),
    Verb("unlock", Text("\u89e3\u9664\u9501\u5b9a", "Unlock"), "lock-open", EDIT, lambda ctx, id, values, version: command.unlock_user(ctx, id), when=_is_locked, style="primary"),
    Verb("switch_on", Text("\u542f\u7528", "Enable"), "user-check", EDIT, _switch(True), when=_may_switch(True), style="primary"),
    Verb("switch_off", Text("\u505c\u7528", "Disable"), "user-x", EDIT, _switch(False), when=_may_switch(False), style="danger",
         confirm=Text("\u505c\u7528\u540e\u8be5\u7528\u6237\u4e0d\u80fd\u767b\u5f55\uff0c\u5df2\u6709\u7684\u767b\u5f55\u7acb\u5373\u7ed3\u675f\uff1b\u5176\u8bb0\u5f55\u4fdd\u6301\u4e0d\u53d8\u3002",
                      "This person can no longer log in and present logins end at once; records stay as they are.")),
    Verb("end_session", Text("\u7ed3\u675f\u767b\u5f55", "End login"), "logout", EDIT, lambda ctx, id, values, version: command.end_session(ctx, id, values["session"]),
         _session_field, when=lambda pinned, row: False),
)
_REVOKE = Verb("revoke", Text("\u6536\u56de\u89d2\u8272", "Revoke role"), "user-x", (ASSIGNMENT, "delete"), lambda ctx, id, values, version: command.revoke_role(ctx, id),
               when=_may_revoke, style="danger",
               confirm=Text("\u6536\u56de\u7acb\u5373\u751f\u6548\uff0c\u672c\u4eba\u4e0b\u4e00\u6b21\u64cd\u4f5c\u65f6\u5c31\u4e0d\u518d\u62e5\u6709\u8be5\u89d2\u8272\u3002", "It takes effect at once: at the person's next click the role is gone."))
_MOVE_DAY = Verb("move_business_date", Text("\u63a8\u8fdb\u8425\u4e1a\u65e5\u671f", "Move business date"), "calendar-event", (COMPANY, "edit"), _move_day, _day_field, _is_admin, asks=True,
                 confirm=Text("\u8425\u4e1a\u65e5\u671f\u53ea\u80fd\u5411\u524d\uff0c\u4e0d\u80fd\u9000\u56de\uff1b\u8be5\u516c\u53f8\u4e4b\u540e\u7684\u4e1a\u52a1\u90fd\u6309\u65b0\u7684\u65e5\u671f\u8bb0\u8d26\u3002",
                              "The business date only moves forward and cannot be taken back; from then on the company's business is booked on the new date."))


def _named(*verbs: Verb) -> dict[str, Verb]:
    return {verb.name: verb for verb in verbs}


register(USER, Own(create=_save_new, change=_save_changed, section=_login_section, check=_check_password, panel=_person_panel, verbs=_named(*_USER_VERBS)))
register(ASSIGNMENT, Own(create=_assign_new, dress=_as_role, verbs=_named(_REVOKE)))
register(COMPANY, Own(verbs=_named(_MOVE_DAY)))

