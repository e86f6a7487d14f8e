"""People, the roles they hold, their logins, and the day of a company: what an administrator does, on the generic screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date
from typing import Any

from flask import render_template

from metaloom import command
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import Message, message
from metaloom.base.messages import register as say_so
from metaloom.base.text import Text
from metaloom.command.context import Context, Saved
from metaloom.command.password import LENGTH_MAX, refuse_weak
from metaloom.command.run_command import ADMIN
from metaloom.model import Catalog, Field, FieldType
from metaloom.record.filters import Filter
from metaloom.web.cells import WORDS
from metaloom.web.current import Current, locale, say, site
from metaloom.web.form_model import FormField, FormSection
from metaloom.web.frame import record_url
from metaloom.web.own import Own, Verb, register
from metaloom.web.words import t as _t

USER, ASSIGNMENT, COMPANY = "platform.user", "platform.role_assignment", "platform.company"
ROLES_SHOWN = 100
ROLE_FIELDS = ("role", "company", "org_unit", "valid_from", "valid_to")
# Inputs that no field of the entity stands behind begin with an underscore; the input schema never sees them.
PASSWORD, AGAIN = "_password", "_password_again"

say_so({
    "people.own_account": ("这是您自己的账号，请在个人资料中修改密码。",
                           "This is your own account; change its password on your profile page."),
})


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
    return command.set_password(ctx, id, values["password"], reason=values.get("reason") or "")


def _confirm_password(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.confirm_password(ctx, id)


def _refuse_password(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.refuse_password(ctx, id)


def _password_waits(pinned: Current, row: Any) -> bool:
    return bool(row.values.get("password_waits"))


def _not_oneself(pinned: Current, row: Any) -> bool | Message:
    return message("people.own_account") if row.id == pinned.actor.user_id else True


def _is_locked(pinned: Current, row: Any) -> bool:
    until = row.values.get("locked_until")
    return until is not None and until > pinned.clock.now()


def _password_fields(catalog: Catalog) -> dict[str, Field]:
    labels = {"password": Text("新密码", "New password"), "again": Text("确认新密码", "New password again")}
    why = Field("reason", FieldType.LONG_TEXT, Text("重置原因", "Reason"), length=500,
                help=Text("重置系统管理员的密码必须填写，并须由另一位系统管理员确认",
                          "Needed for an administrator, whose new password another administrator confirms"))
    return {**{name: Field(name, FieldType.TEXT, label, required=True, length=LENGTH_MAX) for name, label in labels.items()}, "reason": why}


def _as_password(pinned: Current, one: FormField) -> FormField:
    if one.name == "reason":
        return one
    return replace(one, input_type="password", value="", values=(), help=_t("people.password_rule") if one.name == "password" else "")


def _unlock(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.unlock_user(ctx, id)


def _end_session(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.end_session(ctx, id, values["session"])


def _never(pinned: Current, row: Any) -> bool:
    """No button of its own: it stands beside each login in the panel."""
    return False


def _session_field(catalog: Catalog) -> dict[str, Field]:
    return {"session": Field("session", FieldType.INTEGER, Text("登录", "Login"), required=True)}


# ------------------------------------------------------------------------------------------------------------- roles


def _role_fields(catalog: Catalog) -> dict[str, Field]:
    fields = catalog.entities[ASSIGNMENT].fields
    return {name: fields[name] for name in ROLE_FIELDS}


def _as_role(pinned: Current, one: FormField) -> FormField:
    """The role is one of the catalog's, by its name; roles of one pack stand together."""
    if one.name != "role" or one.locked:
        return one
    catalog = pinned.catalog
    options = tuple((role.address, f"{say(catalog.packs[pack].label)} · {say(role.label)}" if pack in catalog.packs else say(role.label))
                    for role in sorted(catalog.roles.values(), key=lambda r: r.address.partition(".")[0]) if (pack := role.address.partition(".")[0]))
    return replace(one, widget="choice", options=options)


def _role_words(pinned: Current, address: str, row: Any = None) -> str:
    """The role's name; its address when the catalog no longer has it."""
    known = pinned.catalog.roles.get(address)
    return say(known.label) if known is not None else address


def _assign(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.assign_role(ctx, id, values["role"], company=values.get("company"), org_unit=values.get("org_unit"),
                               valid_from=values.get("valid_from"), valid_to=values.get("valid_to"))


def _assign_new(ctx: Context, values: Mapping[str, Any], sent: Mapping[str, Any]) -> Saved:
    return _assign(ctx, values["user"], values, None)


def _revoke(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.revoke_role(ctx, id)


def _confirm(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.confirm_role(ctx, id)


def _may_confirm(pinned: Current, row: Any) -> bool | Message:
    """Offered where a role waits; grey for who gave it and who gets it."""
    if not row.values.get("waits_for_second"):
        return False
    return message("role.second") if pinned.actor.user_id in (row.values.get("created_by"), row.values.get("user")) else True


def _may_revoke(pinned: Current, row: Any) -> bool | Message:
    own_admin = row.values.get("role") == ADMIN and row.values.get("user") == pinned.actor.user_id
    return message("role.own_admin") if own_admin else True


# ------------------------------------------------------------------------------------------- roles and logins of a person


def _person_panel(pinned: Current, row: Any) -> str:
    """The roles held and the open logins, for those who may see them; empty for everybody else."""
    roles = _roles(pinned, row) if pinned.plan.may(ASSIGNMENT, "list") else None
    visits = _visits(pinned, row) if "edit" in row.actions else None
    if roles is None and visits is None:
        return ""
    return render_template("people/panel.html", roles=roles, visits=visits, here_url=record_url(USER, row.id))


def _roles(pinned: Current, row: Any) -> list[dict[str, Any]]:
    page = pinned.reader.list(ASSIGNMENT, filters=[Filter("user", "eq", row.id)], sort=("role",), limit=ROLES_SHOWN,
                              paths=("user", "role", "company.name", "org_unit.name", "valid_from", "valid_to", "waits_for_second"))
    return [_role(pinned, held) for held in page.rows]


def _role(pinned: Current, held: Any) -> dict[str, Any]:
    values = held.values
    first, last = values.get("valid_from"), values.get("valid_to")
    state = "waits" if values.get("waits_for_second") else _state(pinned.clock.now().astimezone(UTC).date(), first, last)
    place = " · ".join(str(values[name]) for name in ("company.name", "org_unit.name") if values.get(name))
    return {"id": held.id, "label": _role_words(pinned, values["role"]), "known": values["role"] in pinned.catalog.roles, "place": place,
            "days": f"{first or ''} ~ {last or ''}" if first or last else "", "state": state,
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
    return bool(pinned.actor.holds_everywhere(ADMIN))


def _move_day(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.move_business_date(ctx, id, values["day"])


def _day_field(catalog: Catalog) -> dict[str, Field]:
    return {"day": Field("day", FieldType.DATE, Text("新的营业日期", "New business date"), required=True)}


# ---------------------------------------------------------------------------------------------------------- who offers what

EDIT = (USER, "edit")
_USER_VERBS = (
    Verb("assign_role", Text("分配角色", "Assign role"), "user-shield", (ASSIGNMENT, "create"), _assign, _role_fields, asks=True, dress=_as_role,
         style="primary"),
    Verb("reset_password", Text("重置密码", "Reset password"), "key", EDIT, _set_password, _password_fields, _not_oneself, asks=True, dress=_as_password,
         confirm=Text("该用户的所有登录会立即结束。请把新密码当面或通过安全方式告知本人。",
                      "Every login of this person ends at once. Tell the new password in person or in another safe way.")),
    Verb("confirm_password", Text("确认新密码", "Confirm new password"), "user-check", EDIT, _confirm_password, when=_password_waits, style="primary",
         confirm=Text("确认后新密码立即生效，该管理员的所有登录会结束。", "The new password holds at once and every login of this administrator ends.")),
    Verb("refuse_password", Text("作废新密码", "Void new password"), "x", EDIT, _refuse_password, when=_password_waits),
    Verb("unlock", Text("解除锁定", "Unlock"), "lock-open", EDIT, _unlock, when=_is_locked, style="primary"),
    Verb("switch_on", Text("启用", "Enable"), "user-check", EDIT, _switch(True), when=_may_switch(True), style="primary"),
    Verb("switch_off", Text("停用", "Disable"), "user-x", EDIT, _switch(False), when=_may_switch(False), style="danger",
         confirm=Text("停用后该用户不能登录，已有的登录立即结束；其记录保持不变。",
                      "This person can no longer log in and present logins end at once; records stay as they are.")),
    Verb("end_session", Text("结束登录", "End login"), "logout", EDIT, _end_session, _session_field, when=_never),
)
_REVOKE = Verb("revoke", Text("收回角色", "Revoke role"), "user-x", (ASSIGNMENT, "delete"), _revoke, when=_may_revoke, style="danger",
               confirm=Text("收回立即生效，本人下一次操作时就不再拥有该角色。", "It takes effect at once: at the person's next click the role is gone."))
_MOVE_DAY = Verb("move_business_date", Text("推进营业日期", "Move business date"), "calendar-event", (COMPANY, "edit"), _move_day, _day_field, _is_admin,
                 asks=True,
                 confirm=Text("营业日期只能向前，不能退回；该公司之后的业务都按新的日期记账。",
                              "The business date only moves forward and cannot be taken back; from then on the company's business is booked on the new date."))


_CONFIRM = Verb("confirm", Text("确认角色", "Confirm role"), "user-check", (ASSIGNMENT, "create"), _confirm, when=_may_confirm, style="primary",
                confirm=Text("确认后该用户立即拥有系统管理员的权限。", "From then on this person has the rights of an administrator."))


def _named(*verbs: Verb) -> dict[str, Verb]:
    return {verb.name: verb for verb in verbs}


register(USER, Own(create=_save_new, change=_save_changed, section=_login_section, check=_check_password, panel=_person_panel, verbs=_named(*_USER_VERBS)))
register(ASSIGNMENT, Own(create=_assign_new, dress=_as_role, verbs=_named(_CONFIRM, _REVOKE)))
WORDS[ASSIGNMENT, "role"] = _role_words
register(COMPANY, Own(verbs=_named(_MOVE_DAY)))
