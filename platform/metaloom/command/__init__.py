"""What a person or a job can do: one file per verb. The only writer.

Every command goes the same way: permission → lock → version → rules → store → audit, in one transaction
(`unit.perform`); a repeated idempotency key gets the first answer again.
"""

import metaloom.command.approval_words  # noqa: F401  (registers the sentences)
import metaloom.command.messages  # noqa: F401  (registers the sentences)
from metaloom.command.alert_offers import AlertOffers, alert_offers
from metaloom.command.approval_timer import handle_sub_done, handle_timer
from metaloom.command.archive_record import archive_record
from metaloom.command.assign_role import assign_role, confirm_role, revoke_role
from metaloom.command.available_actions import available_actions, may_edit
from metaloom.command.bind_login import bind_login, issuer_of, unbind_login
from metaloom.command.bulk import Outcome, bulk_action, bulk_archive
from metaloom.command.case_asked import Pick, choices_left, names_in_case, output_defaults, people_to_choose
from metaloom.command.case_shown import CaseShown, case_log, case_of_task, case_shown
from metaloom.command.cases_around import cases_around
from metaloom.command.chains_open import ChainStanding, chain_standings, older_texts, open_by_step, preview_change
from metaloom.command.change_case_chain import CaseMove, ChainChange, change_case_chain, changed_chains, preview_move
from metaloom.command.change_record import change_record
from metaloom.command.close_month import close_month
from metaloom.command.collect_messages import collect_messages
from metaloom.command.comment import (
    add_comment,
    change_comment,
    comment_count,
    comments_of,
    may_change_comment,
    may_remove_comment,
    people_to_mention,
    remove_comment,
)
from metaloom.command.context import ActionDone, Context, Offered, Saved
from metaloom.command.create_record import create_record
from metaloom.command.decide_task import decide_task, decide_tasks
from metaloom.command.delete_record import delete_record
from metaloom.command.draft_chain import refuse_unless_admin
from metaloom.command.end_session import end_session
from metaloom.command.enter_by_provider import PasswordFirst, enter_by_provider
from metaloom.command.evaluate_warnings import Summary, evaluate_warnings, handle_evaluation
from metaloom.command.explain_access import explain_access
from metaloom.command.explain_warning import explain_warning
from metaloom.command.hand_over_tasks import hand_over_tasks
from metaloom.command.handle_call import handle_call, system_context
from metaloom.command.handle_message import handle_message
from metaloom.command.handle_process import handle_process, wake_runs
from metaloom.command.handle_webhook import handle_webhook, redeliver_webhook
from metaloom.command.import_records import Imported, RowProblem, import_records, read_import
from metaloom.command.long_export import (
    begin_export,
    cancel_export,
    handle_export,
    my_export,
    my_exports,
    open_export,
    sweep_exports,
    throw_export_away,
)
from metaloom.command.long_import import (
    begin_import,
    cancel_import,
    correct_import,
    failed_rows,
    handle_import,
    start_import,
    sweep_imports,
)
from metaloom.command.mass_step import handle_part
from metaloom.command.move_business_date import move_business_date
from metaloom.command.move_case import move_case
from metaloom.command.move_process import continue_by_hand, give_up_process, retry_process, start_process
from metaloom.command.my_messages import Wish, my_message, my_messages, prefer_messages, read_messages, wishes
from metaloom.command.opinion_files import case_files
from metaloom.command.print_records import print_offers
from metaloom.command.process_run import words_of
from metaloom.command.process_shown import (
    RunShown,
    changed_processes,
    list_runs,
    names_in_run,
    run_log,
    run_shown,
    runs_shown,
    startable,
)
from metaloom.command.publish import publish, roll_back
from metaloom.command.resend_message import resend_message
from metaloom.command.restore_record import restore_record
from metaloom.command.retry_held import retry_held
from metaloom.command.run_action import run_action
from metaloom.command.run_command import run_command
from metaloom.command.run_job import handle_run
from metaloom.command.save_user import save_user
from metaloom.command.saved_lists import (
    change_saved_list,
    forget_saved_list,
    may_change,
    may_share,
    save_list,
    saved_list,
    saved_lists,
)
from metaloom.command.schedule_jobs import schedule_jobs
from metaloom.command.set_password import confirm_password, refuse_password, set_password
from metaloom.command.set_substitute import end_substitute, set_substitute
from metaloom.command.simulate_chain import simulate_chain
from metaloom.command.start_approval import start_approval
from metaloom.command.start_job import cancel_run, pause_job, rerun_failed, start_job
from metaloom.command.tell_webhooks import tell_webhooks
from metaloom.command.transfer_record import transfer_record
from metaloom.command.undo_import import Undone, import_run, import_runs, undo_import
from metaloom.command.unlock_user import unlock_user
from metaloom.command.unmask_field import unmask_field
from metaloom.command.upload_file import FileShown, file_for, upload_file
from metaloom.command.waiting import Waiting, waiting
from metaloom.command.ways import moves_of, ways_between

__all__ = [
    "ActionDone", "AlertOffers", "CaseMove", "CaseShown", "ChainChange", "ChainStanding", "Context", "FileShown", "Imported", "Offered", "Outcome",
    "PasswordFirst", "Pick", "RowProblem", "RunShown", "Saved", "Summary", "Undone", "Waiting", "Wish", "add_comment", "alert_offers", "archive_record",
    "assign_role", "available_actions", "begin_export", "begin_import", "bind_login", "bulk_action", "bulk_archive", "cancel_export", "cancel_import",
    "cancel_run", "case_files", "case_log", "case_of_task", "case_shown", "cases_around", "chain_standings", "change_case_chain", "change_comment",
    "change_record", "change_saved_list", "changed_chains", "changed_processes", "choices_left", "close_month", "collect_messages", "comment_count",
    "comments_of",
    "confirm_password", "confirm_role", "continue_by_hand", "correct_import", "create_record", "decide_task", "decide_tasks", "delete_record",
    "end_session", "end_substitute", "enter_by_provider", "evaluate_warnings", "explain_access", "explain_warning", "failed_rows", "file_for",
    "forget_saved_list", "give_up_process", "hand_over_tasks", "handle_call", "handle_evaluation", "handle_export", "handle_import", "handle_message",
    "handle_part", "handle_process", "handle_run", "handle_sub_done", "handle_timer", "handle_webhook", "import_records", "import_run", "import_runs",
    "issuer_of", "list_runs", "may_change", "may_change_comment", "may_edit", "may_remove_comment", "may_share", "move_business_date", "move_case", "moves_of",
    "my_export", "my_exports", "my_message", "my_messages", "names_in_case", "names_in_run", "older_texts", "open_by_step", "open_export",
    "output_defaults", "pause_job", "people_to_choose", "people_to_mention", "prefer_messages", "preview_change", "preview_move", "print_offers",
    "publish", "read_import", "read_messages", "redeliver_webhook", "refuse_password", "refuse_unless_admin", "remove_comment", "rerun_failed",
    "resend_message", "restore_record", "retry_held", "retry_process", "revoke_role", "roll_back", "run_action", "run_command", "run_log", "run_shown",
    "runs_shown", "save_list", "save_user", "saved_list", "saved_lists", "schedule_jobs", "set_password", "set_substitute", "simulate_chain",
    "start_approval", "start_import", "start_job", "start_process", "startable", "sweep_exports", "sweep_imports", "system_context", "tell_webhooks",
    "throw_export_away", "transfer_record", "unbind_login", "undo_import", "unlock_user", "unmask_field", "upload_file", "waiting", "wake_runs",
    "ways_between", "wishes", "words_of",
]
