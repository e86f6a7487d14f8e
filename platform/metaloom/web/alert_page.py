"""Alerts on the generic screens: beside their own buttons they offer what can be done with the record they are about."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from metaloom import command
from metaloom.command.alert_offers import FormOffer
from metaloom.record.alert_query import ALERT
from metaloom.web import i18n
from metaloom.web.cells import titled
from metaloom.web.current import Current, locale, say, site, url
from metaloom.web.form_model import as_text
from metaloom.web.frame import record_url
from metaloom.web.own import Elsewhere, Own, Way, register


def _elsewhere(pinned: Current, row: Any) -> Elsewhere | None:
    day = pinned.visit.business_date if pinned.visit is not None and pinned.visit.session_id else None
    found = command.alert_offers(pinned.looking(), row.id, pinned.conn, day=day)
    ways = [_way(pinned, form) for form in found.forms]
    ways += [Way(_t("alert.look", what=say(link.label)), link.icon, record_url(link.entity, link.id)) for link in found.links]
    if not found.actions and not ways:
        return None
    if found.row is None:
        return Elsewhere("", ways=tuple(ways))
    entity = pinned.catalog.entities[found.row.entity]
    return Elsewhere(f"{say(entity.label)} {titled(pinned, entity, found.row).title}", found.actions, tuple(ways), found.row,
                     record_url(entity.address, found.row.id), record_url(ALERT, row.id))


def _way(pinned: Current, form: FormOffer) -> Way:
    """To the record that is under way already, or to the form with the values that are known."""
    if form.id is not None:
        return Way(say(form.label), form.icon, record_url(form.entity, form.id))
    fields = pinned.catalog.entities[form.entity].fields
    known = {name: as_text(fields[name], value, pinned.zone) for name, value in form.values.items()}
    return Way(say(form.label), form.icon, f"{url(f'/e/{form.entity}/new')}?{urlencode(known)}")


def _t(key: str, **slots: object) -> str:
    return i18n.translator(site().templates, locale())(key, **slots)


register(ALERT, Own(elsewhere=_elsewhere))
