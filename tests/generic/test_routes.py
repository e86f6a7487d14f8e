"""Every route of the application, from its url_map: without a login, and for roles × rows that are theirs or not (G1).

A route that stands in no list here is a failure: whoever adds one says what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from metaloom.web.frame import REFUSED, TOAST_COOKIE
from tests.generic.factory import stored
from tests.generic.oracle import Oracle
from tests.generic.test_lifecycle import plugin_commands, wanted_right
from tests.generic.world import Seed, World

METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT")
# endpoint → the right that it needs on the entity (of the row, where the address has an id); "action": that of the action
NEEDS = {
    "api.list": "list", "api.create": "create", "api.bulk": "create", "api.lookup": "look",
    "api.export": "export", "api.begin_export": "export", "list.begin_export": "export",
    "api.print_list": "export", "api.print": "read", "print.print_one": "read", "print.print_all": "export",
    "api.read": "read",
    "api.change": "edit", "api.delete": "delete", "api.restore": "restore", "api.transfer": "transfer", "api.history": "history",
    "api.actions": "read", "api.related": "read", "api.act": "action", "api.act_on_list": "nothing",
    "api.start_approval": "nothing", "api.start_process": "nothing", "process.standing": "nothing", "process.start": "nothing",
    "start.standing": "nothing", "start.ask_start": "nothing", "start.start": "nothing",
    "list.show_list": "list", "list.show_count": "list", "list.show_counts": "list", "list.show_totals": "list", "list.export_list": "export",
    "list.run_bulk": "action", "form.new_form": "create", "form.create": "create", "form.edit_form": "edit", "form.change": "edit", "form.linked": "write",
    "detail.show": "read", "detail.row_menu": "read", "detail.show_tab": "read", "detail.show_counts": "read", "action.archive": "delete",
    "action.delete": "delete",
    "action.restore": "restore", "action.transfer": "transfer", "action.ask_transfer": "transfer", "action.ask": "action", "action.do": "action",
    "action.linked": "action",
    "import.show": "import", "import.run": "import", "import.download_template": "import",
    "api.many": "edit", "api.import": "import", "api.imports": "import", "api.undo_import": "import", "import.show_runs": "import", "import.undo": "import",
    "import.show_run": "import", "import.download_failed": "import", "import.start": "import", "import.cancel": "import", "import.correct": "import",
    "api.import_run": "import", "api.start_import": "import", "api.cancel_import": "import",
    "api.import_template": "import", "api.failed_import": "import", "api.correct_import": "import",
    "lookup.lookup": "look", "settings.set_list": "any",
    "version.compare": "history", "version.restore": "history", "api.versions": "history", "api.restore_version": "edit",
    "many.show": "list", "many.undo": "list",
    "api.comments": "read", "api.add_comment": "comment", "api.change_comment": "comment", "api.remove_comment": "read",
    "unmask.ask": "unmask", "unmask.see": "unmask",
    "comment.people": "read", "comment.add": "comment", "comment.ask": "nothing", "comment.change": "comment",
    "board.show_lane": "list", "board.show_moves": "read", "board.move": "read",
    "saved.menu": "list", "saved.ask_new": "list", "saved.keep": "list", "saved.ask_change": "list", "saved.change": "list",
}  # fmt: skip
# What everybody with a login may call; no entity stands in the address.
FOR_EVERYBODY = {
    "message.count", "message.panel", "message.show_list", "message.open_message", "message.mark", "message.settings", "message.save_settings",
    "workbench.index", "form.capitals", "workbench.show_widget",
    "lookup.search", "file.download", "file.upload", "LoginView.logout", "PasswordView.this_form_get",
    "PasswordView.this_form_post", "ProfileView.userinfo", "ProfileView.end_session", "api.tasks", "api.decide", "api.decide_many", "api.move_task",
    "inbox.inbox", "inbox.counts", "inbox.waiting", "inbox.decide_several", "case.task", "case.case", "case.way", "case.print_form",
    "case.show_record",
    "case.ask_of_task", "case.ask_of_case", "case.decide", "case.move_task", "case.move_case", "api.case", "api.case_events", "api.case_path",
    "process.show", "process.steps", "process.ask", "process.move", "api.process", "api.process_events", "api.move_process",
    "api.move_case", "api.run_tool", "tool.show", "tool.export", "ledger.show", "ledger.export", "api.balances",
    "api.dashboards", "api.widget", "api.me", "api.menu", "api.openapi",
    "api.upload", "api.undo_many", "api.saved_lists", "api.save_list", "api.saved_list", "api.change_saved_list", "api.forget_saved_list",
    "api.download",
    "export.show_list", "export.download", "export.cancel", "export.delete", "api.exports", "api.export_run", "api.export_file", "api.cancel_export",
    "api.delete_export",
}  # fmt: skip
# What only administrators of the whole tenant may call.
FOR_ADMINS = {
    "chains.show_list", "chains.show", "chains.pick_draft", "chains.show_draft", "chains.try_chain", "chains.try_draft", "changed.show", "changed.preview",
    "changed.change", "access.show", "rights.show", "rights.draft", "api.chains", "api.simulate", "api.changed", "api.change_chain",
}
ROLES = ("platform.admin", "platform.auditor", "lending.officer", "lending.risk_review", "lending.marketing", "workshop.technician", "workshop.storekeeper")
ALLOWED = {200, 201, 202, 204, 302, 303, 400, 409, 412, 415, 422, 428}


def rules(world: World) -> Iterator[tuple[Any, str]]:
    for rule in world.app.url_map.iter_rules():
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield rule, method


def open_routes() -> dict[str, set[str]]:
    lines = (Path(__file__).parent / "anonymous_routes.txt").read_text().splitlines()
    return {line.split()[0]: set(line.split()[1].split(",")) for line in lines if line and not line.startswith("#")}


def address_of(rule: Any, **values: Any) -> str:
    """The rule's path with its variables filled in."""
    return re.sub(r"<(int:)?(\w+)>", lambda found: str(values.get(found[2], "1" if found[1] else "x")), rule.rule)


def test_every_route_says_what_it_needs(world: World) -> None:
    known = {*NEEDS, *FOR_EVERYBODY, *FOR_ADMINS, *open_routes()}
    there = {rule.endpoint for rule, _ in rules(world)}
    print(f"routes: {len(list(rules(world)))} of {len(there)} endpoints")
    assert not there - known, f"say in NEEDS, FOR_EVERYBODY, FOR_ADMINS or anonymous_routes.txt what these need: {sorted(there - known)}"
    entity_routes = {rule.endpoint for rule, _ in rules(world) if "<entity>" in rule.rule}
    assert entity_routes <= set(NEEDS), "a route with an entity needs a right"
    assert len(there) >= 50


def test_without_a_login_every_route_is_401_or_the_login_page_except_the_listed_ones(world: World) -> None:
    client, cells, listed = world.app.test_client(), 0, open_routes()
    seed = world.alpha.rows["lending.customer"][0]
    for rule, method in rules(world):
        if method in listed.get(rule.endpoint, ()):
            continue
        for headers in ({}, {"Accept": "application/json"}, {"Authorization": "Bearer nonsense"}, {"HX-Request": "true"}):
            cells += 1
            path = "/alpha" + address_of(rule, entity="lending.customer", id=seed.id, name="main", action="blacklist", tab="loans", session_id=1)
            answer = client.open(path, method=method, headers=headers)
            told = answer.status_code == 401 or (answer.status_code in (302, 303) and "/alpha/login/" in answer.headers["Location"])
            assert told, (method, path, headers, answer.status_code)
            assert b"ZZ-" not in answer.data
    print(f"anonymous: {cells} requests refused")
    assert cells >= 220


def test_routes_of_administrators_refuse_everybody_else(sandbox: World) -> None:
    """Whatever is sent: 403 before anything of the tenant's chains is told; an administrator is not refused."""
    body = {"chain": "lending.customer/none", "mode": "pin", "cases": [1], "csrf_token": ""}
    wanted = {"lending.officer": {403}, "platform.admin": {200, 302, 303, 400, 404, 409}}
    for role, allowed in wanted.items():
        sandbox.assume(role)
        browser, api, seen = sandbox.browser(), sandbox.api(), 0
        for rule, method in rules(sandbox):
            if rule.endpoint in FOR_ADMINS:
                seen += 1
                path = address_of(rule, about="lending.customer", chain="none")
                if rule.endpoint.startswith("api."):
                    sent = {"chain": body["chain"]} if rule.endpoint == "api.simulate" else {k: body[k] for k in ("chain", "mode", "cases")}
                    answer = api.call(method, path.removeprefix("/api/v1"), sent if method == "POST" else None)
                else:
                    answer = browser.http.open("/alpha" + path, method=method, data={**body, "csrf_token": browser.csrf} if method == "POST" else None)
                assert answer.status_code in allowed, (role, method, path, answer.status_code)
        assert seen == len(FOR_ADMINS)


def test_methods_that_a_route_does_not_offer_are_405_and_change_nothing(sandbox: World) -> None:
    sandbox.assume("lending.officer")
    browser, api, cells = sandbox.browser(), sandbox.api(), 0
    seed = sandbox.alpha.rows["lending.customer"][0]
    before = stored(sandbox, "lending.customer", seed.id)
    offered: dict[str, set[str]] = {}
    for rule, method in rules(sandbox):
        path = address_of(rule, entity="lending.customer", id=seed.id, name="main", action="blacklist", tab="loans", session_id=1)
        offered.setdefault(path, set()).add(method)
    for path, methods in offered.items():
        for method in set(METHODS) - methods:
            cells += 1
            if path.startswith("/api/v1"):
                answer = api.call(method, path.removeprefix("/api/v1"))
            else:
                answer = browser.http.open("/alpha" + path, method=method, data={"csrf_token": browser.csrf} if method != "GET" else None)
            assert answer.status_code in (400, 404, 405, 401, 403, 428), (method, path, answer.status_code)
    assert stored(sandbox, "lending.customer", seed.id) == before
    print(f"methods: {cells} not offered, none answered")
    assert cells >= 150


def test_roles_times_routes_times_rows(sandbox: World) -> None:
    cells, wrong = matrix(sandbox, ROLES if sandbox.whole else ROLES[2::3])
    print(f"matrix: {cells} cells")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= (2_500 if sandbox.whole else 400)


@pytest.mark.nightly
def test_roles_times_routes_times_rows_in_the_long_form(sandbox: World) -> None:
    """Every role of the packs, on both databases."""
    roles = tuple(sandbox.catalog.roles)
    cells, wrong = matrix(sandbox, roles)
    print(f"matrix: {cells} cells, {len(roles)} roles, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 10_000 and len(roles) >= 20


def matrix(world: World, roles: tuple[str, ...]) -> tuple[int, list[str]]:
    cells, wrong = 0, []
    browser, api = world.browser(), world.api()
    for number, role in enumerate(roles):
        world.assume(role)
        oracle = Oracle(world.alpha, "alice", [role])
        for entity in _three(world, oracle, number):
            for rule, method in rules(world):
                if rule.endpoint not in NEEDS or rule.endpoint == "settings.set_list":
                    continue
                for row in rows_for(world, entity, rule):
                    cells += 1
                    answer = send(world, browser, api, rule, method, entity, row)
                    told = judge(world, oracle, rule, entity, row, answer)
                    if told:
                        wrong.append(f"{role} {method} {address_of(rule, entity=entity, id=row.id if row else '')} {row.owner if row else ''}: {told}")
    return cells, wrong


def _three(world: World, oracle: Oracle, number: int) -> list[str]:
    """Two entities that the role has rights on (one where some rows are not the role's), and one that it has none on."""
    usable = [a for a in world.alpha.rows if oracle.touches(a) and world.catalog.entities[a].storage == "table"]
    partly = [a for a in usable if 0 < len(oracle.rows(a, "read")) < len(world.alpha.rows[a])]
    none = [a for a in world.alpha.rows if not oracle.touches(a)]
    pick = [*(partly[number % len(partly):][:1] if partly else ()), *usable[number % max(1, len(usable)):][:1], *none[number % max(1, len(none)):][:1]]
    return list(dict.fromkeys(pick))


RANDOM = Seed("", 987_654_321, "nobody", 0, 0, 0, {})


def rows_for(world: World, entity: str, rule: Any) -> list[Seed | None]:
    """Own, other department, other company, and an id of nobody."""
    if "<int:id>" not in rule.rule and "<id>" not in rule.rule:
        return [None]
    rows = world.alpha.rows[entity]
    return [rows[0], next(r for r in rows if r.owner == "bob"), next(r for r in rows if r.owner == "carol"), RANDOM]


def an_action(world: World, entity: str) -> Any:
    found = [*world.catalog.actions_of(entity), *plugin_commands(world)[entity]]
    return found[0] if found else None


def send(world: World, browser: Any, api: Any, rule: Any, method: str, entity: str, row: Seed | None) -> Any:
    action = an_action(world, entity)
    tab = next(iter(world.catalog.entities[entity].related), "none")
    name = {"list": "main", "action": action.name if action else "none", "detail": tab, "form": "none"}.get(rule.endpoint.partition(".")[0], "main")
    path = address_of(rule, entity=entity, id=row.id if row else 0, name=name, action=action.name if action else "none", tab=tab, template="main")
    if path.startswith("/api/v1"):
        body = None if method == "GET" else {}
        return api.call(method, path.removeprefix("/api/v1") + ("?format=csv" if path.endswith("/export") else ""), body, If_Match='"999999"')
    form = {"csrf_token": browser.csrf, "_version": "999999"} if method == "POST" else None
    return browser.http.open("/alpha" + path, method=method, data=form)


def judge(world: World, oracle: Oracle, rule: Any, entity: str, row: Seed | None, answer: Any) -> str:
    """'' when the answer is one that the oracle allows."""
    status = 409 if says_no(answer) else answer.status_code
    if status >= 500:
        return f"{status}"
    if not oracle.touches(entity):
        return "" if status == 404 else f"{status} on an entity without any right"
    need = NEEDS[rule.endpoint]
    if world.catalog.entities[entity].child_of and need in ("create", "edit"):   # rows of a record are written with it; the answer is one for all ids
        return "" if status in (400, 403, 404, 409) else f"{status} for a row that has no form of its own"
    if need in ("nothing", "any"):
        return "" if status in {403, 404, *ALLOWED} else str(status)
    if need == "action":
        action = an_action(world, entity)
        if action is None:
            return "" if status in (400, 404) else f"{status} for an action that is not there"
        need = wanted_right(action)
    may = {"look": oracle.may(entity, "list") or oracle.may(entity, "read"), "write": oracle.may(entity, "create") or oracle.may(entity, "edit")}
    allowed = may.get(need, oracle.may(entity, need)) if row is None else row is not RANDOM and oracle.holds(entity, row, need)
    if allowed:
        return "" if status in {*ALLOWED, 404 if rule.endpoint in NO_SUCH else 200} else f"{status}, allowed"
    if status not in (403, 404):
        return "" if status in BEFORE_THE_RIGHT.get(rule.endpoint, ()) else f"{status}, not allowed"
    seen = row is not None and row is not RANDOM and (oracle.holds(entity, row, "read") or oracle.holds(entity, row, "list"))
    if row is not None and not seen and status == 403 and oracle.may(entity, need):
        return "403 tells that the row exists"
    return "" if b"ZZ-" not in answer.data else "a refusal with data"


def says_no(answer: Any) -> bool:
    """Whether a redirect takes a refusal along for the next page: *not now*, as 409 is elsewhere."""
    if answer.status_code != 303:
        return False
    said = [value.partition("=")[2].partition(";")[0] for value in answer.headers.getlist("Set-Cookie") if value.startswith(f"{TOAST_COOKIE}=")]
    return any(one["kind"] == REFUSED for text in said for one in URLSafeTimedSerializer("").loads_unsafe(text)[1] or ())


# A request that is wrong whoever sends it, about whatever row: an empty body, input that lacks what every sender must give (a form's comes back as a
# refusal on the next page), no key where money moves, a kind of deletion that the entity does not have.
BEFORE_THE_RIGHT = {"list.run_bulk": {400}, "action.ask": {400}, "action.do": {400, 409}, "api.act": {400}, "api.bulk": {400}, "api.many": {400},
                    "action.archive": {409}, "action.delete": {409}, "action.restore": {409}, "api.delete": {409}, "api.restore": {409},}  # fmt: skip
# Routes whose second name (a tab, a child field, an action that is not for lists) may not exist for the entity at hand.
NO_SUCH = {"api.related", "detail.show_tab", "form.linked", "list.run_bulk", "action.ask", "action.do",
           "action.linked", "api.act", "action.delete", "action.archive",
           "api.bulk", "list.show_totals", "import.show", "import.run", "import.download_template",
           "version.compare", "version.restore", "api.versions", "api.restore_version", "many.show", "many.undo", "api.many",
           "api.import", "api.imports", "api.undo_import", "api.import_run", "api.start_import", "api.cancel_import",
           "api.import_template", "api.failed_import", "api.correct_import",
           "api.comments", "api.add_comment", "api.change_comment", "api.remove_comment", "comment.people", "comment.add", "comment.change",
           "unmask.ask", "unmask.see", "board.show_lane", "board.show_moves", "board.move",
           "import.show_runs", "import.undo", "import.show_run", "import.download_failed", "import.start", "import.cancel", "import.correct",
           "saved.ask_change", "saved.change"}  # fmt: skip
