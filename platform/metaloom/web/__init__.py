"""HTTP in, HTML out: one set of views for every entity of the catalog."""

from flask import Blueprint, Flask

import metaloom.web.alert_page  # noqa: F401  (registers what alerts offer)
import metaloom.web.job_page  # noqa: F401  (registers what jobs and their runs offer)
import metaloom.web.messages  # noqa: F401  (registers the sentences)
import metaloom.web.people_page  # noqa: F401  (registers what people, roles and companies offer)
from metaloom.web import (
    access_page,
    action_page,
    board_page,
    case_page,
    chain_page,
    changed_page,
    comment_page,
    detail_page,
    export_page,
    file_page,
    form_page,
    import_page,
    inbox_page,
    ledger_page,
    list_page,
    lookup,
    many_page,
    message_page,
    print_page,
    process_page,
    rights_page,
    saved_page,
    settings_page,
    start_page,
    tool_page,
    unmask_page,
    version_page,
    voucher_page,
    workbench,
)
from metaloom.web.assets import static_blueprint
from metaloom.web.current import site
from metaloom.web.errors import register_error_pages
from metaloom.web.frame import register_frame, theme_css


def register_web(app: Flask) -> None:
    """Mount the screens on ``app``; needs ``app.extensions['metaloom']``."""
    with app.app_context():
        assets = site().assets
    assert voucher_page.ENTRY                     # imported for what it registers
    register_error_pages(app)
    register_frame(app)
    app.register_blueprint(static_blueprint(assets))
    frame = Blueprint("frame", __name__)
    frame.get("/theme.css")(theme_css)
    app.register_blueprint(frame)
    for page in (workbench, list_page, board_page, form_page, detail_page, action_page, lookup, file_page, import_page, many_page, saved_page, settings_page,
                 message_page,
                 inbox_page, case_page, chain_page, changed_page, start_page, process_page, tool_page, version_page, ledger_page, access_page,
                 print_page, comment_page, rights_page, unmask_page, export_page):
        app.register_blueprint(page.blueprint)
