"""HTTP in, JSON out: one set of REST endpoints for every entity of the catalog, below ``/<tenant>/api/v1``.

Writes go through the commands of the screens, reads through the one scoped reader; what a person may do here is what the
person may do there.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException

import metaloom.api.messages  # noqa: F401  (registers the sentences)
from metaloom.api import (
    actions,
    approval,
    books,
    bulk,
    chains,
    comments,
    dashboards,
    door,
    exports,
    files,
    imports,
    many,
    openapi,
    outside,
    paper,
    person,
    problems,
    process,
    records,
    saved,
    tools,
    version,
)

ROOT = "/api/v1"
# endpoint name → (method, path below ROOT, view)
ROUTES = {
    "login": ("POST", "/auth/login", door.login),
    "refresh": ("POST", "/auth/refresh", door.refresh),
    "me": ("GET", "/me", person.me),
    "menu": ("GET", "/menu", person.menu),
    "openapi": ("GET", "/openapi.json", openapi.document),
    "upload": ("POST", "/files", files.upload),
    "download": ("GET", "/files/<id>", files.download),
    "chains": ("GET", "/approval/chains", chains.chains),
    "simulate": ("POST", "/approval/simulate", chains.simulate),
    "changed": ("GET", "/approval/changed", chains.changed),
    "change_chain": ("POST", "/approval/changed", chains.change),
    "tasks": ("GET", "/task", approval.tasks),
    "decide_many": ("POST", "/task/decide", approval.decide_many),
    "decide": ("POST", "/task/<id>/decide", approval.decide),
    "move_task": ("POST", "/task/<id>/<verb>", approval.move_task),
    "case": ("GET", "/case/<id>", approval.case),
    "case_events": ("GET", "/case/<id>/events", approval.events),
    "case_path": ("GET", "/case/<id>/path", approval.case_path),
    "move_case": ("POST", "/case/<id>/<verb>", approval.move),
    "start_approval": ("POST", "/<entity>/<id>/approval/<chain>", approval.start),
    "dashboards": ("GET", "/dashboards", dashboards.boards),
    "widget": ("GET", "/dashboards/<board>/<name>", dashboards.widget),
    "process": ("GET", "/process/<id>", process.run),
    "process_events": ("GET", "/process/<id>/events", process.events),
    "move_process": ("POST", "/process/<id>/<verb>", process.move),
    "start_process": ("POST", "/<entity>/<id>/process/<name>", process.start),
    "balances": ("GET", "/books/balances", books.balances),
    "saved_lists": ("GET", "/saved", saved.list_saved),
    "save_list": ("POST", "/saved", saved.create_saved),
    "saved_list": ("GET", "/saved/<id>", saved.read_saved),
    "change_saved_list": ("PATCH", "/saved/<id>", saved.change_saved),
    "forget_saved_list": ("DELETE", "/saved/<id>", saved.delete_saved),
    "exports": ("GET", "/exports", exports.exports),
    "export_run": ("GET", "/exports/<id>", exports.export),
    "export_file": ("GET", "/exports/<id>/file", exports.file),
    "cancel_export": ("POST", "/exports/<id>/cancel", exports.cancel),
    "delete_export": ("DELETE", "/exports/<id>", exports.delete),
    "list": ("GET", "/<entity>", records.list_records),
    "create": ("POST", "/<entity>", records.create),
    "bulk": ("POST", "/<entity>/bulk", bulk.bulk),
    "lookup": ("GET", "/<entity>/lookup", records.lookup),
    "export": ("GET", "/<entity>/export", records.export),
    "begin_export": ("POST", "/<entity>/exports", exports.begin),
    "print_list": ("GET", "/<entity>/print", paper.print_all),
    "print": ("GET", "/<entity>/<id>/print/<template>", paper.print_one),
    "many": ("POST", "/<entity>/many", many.change),
    "undo_many": ("POST", "/many/<id>/undo", many.undo),
    "import": ("POST", "/<entity>/import", imports.run),
    "import_template": ("GET", "/<entity>/import/template", imports.template),
    "imports": ("GET", "/<entity>/imports", imports.runs),
    "import_run": ("GET", "/<entity>/imports/<id>", imports.read),
    "start_import": ("POST", "/<entity>/imports/<id>/start", imports.start),
    "cancel_import": ("POST", "/<entity>/imports/<id>/cancel", imports.cancel),
    "failed_import": ("GET", "/<entity>/imports/<id>/failed", imports.failed),
    "correct_import": ("POST", "/<entity>/imports/<id>/corrected", imports.correct),
    "undo_import": ("POST", "/<entity>/imports/<id>/undo", imports.undo),
    "read": ("GET", "/<entity>/<id>", records.read_record),
    "change": ("PATCH", "/<entity>/<id>", records.change),
    "delete": ("DELETE", "/<entity>/<id>", records.delete),
    "act_on_list": ("POST", "/<entity>/<action>", actions.act_on_list),
    "restore": ("POST", "/<entity>/<id>/restore", records.restore),
    "transfer": ("POST", "/<entity>/<id>/transfer", records.transfer),
    "history": ("GET", "/<entity>/<id>/history", records.history),
    "comments": ("GET", "/<entity>/<id>/comments", comments.list_comments),
    "add_comment": ("POST", "/<entity>/<id>/comments", comments.create_comment),
    "change_comment": ("PATCH", "/<entity>/<id>/comments/<comment>", comments.edit_comment),
    "remove_comment": ("DELETE", "/<entity>/<id>/comments/<comment>", comments.delete_comment),
    "versions": ("GET", "/<entity>/<id>/versions", version.compare),
    "restore_version": ("POST", "/<entity>/<id>/versions/<entry>/restore", version.restore),
    "actions": ("GET", "/<entity>/<id>/actions", actions.offered),
    "related": ("GET", "/<entity>/<id>/related/<tab>", records.related),
    "act": ("POST", "/<entity>/<id>/<action>", actions.act),
}


def register_api(app: Flask) -> None:
    """Mount the endpoints on ``app``; needs the tenant of the request in ``g.metaloom``, and the plugins in ``app.extensions``."""
    blueprint = Blueprint("api", __name__, url_prefix=ROOT)
    for name, (method, path, view) in ROUTES.items():
        blueprint.add_url_rule(path, name, view, methods=[method])
    tools.mount(blueprint, app.extensions["metaloom"].registry.tools())
    problems.register_problems(blueprint)
    blueprint.before_request(door.identify)
    app.before_request(_unrouted)
    app.register_blueprint(blueprint)
    app.register_blueprint(outside.blueprint)


def _unrouted() -> Response | None:
    """An address below the API that no endpoint has: a problem document too, not a page."""
    wrong = request.routing_exception
    if not isinstance(wrong, HTTPException) or not request.path.startswith(ROOT + "/") or g.get("metaloom") is None:
        return None
    return problems.http(wrong)


__all__ = ["ROOT", "ROUTES", "register_api"]
