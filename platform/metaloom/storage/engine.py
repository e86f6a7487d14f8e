"""The tables the engine owns, in every tenant: definitions, triggers, and how they are made and kept up to date."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from metaloom.storage.types import (
    BigInt,
    ExactDecimal,
    Flag,
    IsoDate,
    JsonText,
    LongText,
    ShortText,
    UtcDateTime,
    utc_now,
)

METADATA = sa.MetaData()
OUTBOX_STATES = ("pending", "running", "done", "failed", "dead")


def _table(name: str, *columns: sa.Column[object] | sa.Index | sa.Constraint, reserved: bool = True) -> sa.Table:
    """An engine table; with the reserved columns, so that generic lists and details read it like any other."""
    kept: tuple[sa.Column[Any], ...] = (
        sa.Column("row_version", BigInt(), nullable=False, server_default="1"),
        sa.Column("created_at", UtcDateTime(), nullable=False, server_default=utc_now()),
        sa.Column("created_by", BigInt()),
        sa.Column("updated_at", UtcDateTime(), nullable=False, server_default=utc_now()),
        sa.Column("updated_by", BigInt()),
    )  # fmt: skip
    key = sa.Column("id", BigInt(), sa.Identity(), primary_key=True)
    return sa.Table(
        name, METADATA, key, *(kept if reserved else ()), *columns, sqlite_strict=True, sqlite_autoincrement=True,
    )  # fmt: skip


def _text(name: str, length: int, *, required: bool = False, **more: object) -> sa.Column[object]:
    return sa.Column(name, ShortText(length), nullable=not required, **more)  # type: ignore[arg-type]


def _number(name: str, *, required: bool = False, **more: object) -> sa.Column[object]:
    return sa.Column(name, BigInt(), nullable=not required, **more)  # type: ignore[arg-type]


# People. The first columns are what Flask-AppBuilder reads and writes; its own tables are made by its own metadata.
user = _table(
    "ab_user",
    _text("first_name", 64, required=True, server_default=""),
    _text("last_name", 64, required=True, server_default=""),
    _text("username", 128, required=True),
    _text("password", 256),
    sa.Column("active", Flag(), server_default=sa.true()),
    _text("email", 320, required=True),
    sa.Column("last_login", sa.DateTime().with_variant(LongText(), "sqlite")),
    _number("login_count"),
    _number("fail_login_count"),
    sa.Column("created_on", sa.DateTime().with_variant(LongText(), "sqlite")),
    sa.Column("changed_on", sa.DateTime().with_variant(LongText(), "sqlite")),
    _number("created_by_fk"),
    _number("changed_by_fk"),
    _text("display_name", 100, required=True, server_default=""),
    _text("display_name__py", 500),
    _text("staff_no", 60),
    _text("mobile", 30),
    _number("company_id"),
    _number("org_unit_id"),
    _number("post_id"),
    _text("locale", 10),
    _text("theme", 20),
    sa.Column("preferences", JsonText()),
    _number("auth_stamp", required=True, server_default="1"),
    _number("roles_lost", required=True, server_default="0"),
    _text("person_key", 120),
    sa.Column("must_renew", Flag(), nullable=False, server_default=sa.false()),
    _text("login_subject", 520),
    _text("waiting_password", 256),
    _number("waiting_by"),
    sa.Column("password_waits", Flag(), nullable=False, server_default=sa.false()),
    sa.Column("password_changed_at", UtcDateTime()),
    sa.Column("locked_until", UtcDateTime()),
    sa.Column("archived_at", UtcDateTime()),
    sa.UniqueConstraint("username", name="ab_user__username__uq"),
    sa.UniqueConstraint("email", name="ab_user__email__uq"),
    sa.Index("ab_user__staff_no__uq", "staff_no", unique=True),
    sa.Index("ab_user__login_subject__uq", "login_subject", unique=True),
    sa.Index("ab_user__org_unit__ix", "org_unit_id", "id"),
    sa.Index("ab_user__company__ix", "company_id", "id"),
)
role_assignment = _table(
    "ml_role_assignment",
    _number("user_id", required=True),
    _text("role", 120, required=True),
    _number("company_id"),
    _number("org_unit_id"),
    sa.Column("valid_from", IsoDate()),
    sa.Column("valid_to", IsoDate()),
    sa.Column("waits_for_second", Flag(), nullable=False, server_default=sa.false()),
    sa.ForeignKeyConstraint(["user_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.Index("ml_role_assignment__user__ix", "user_id", "role"),
)
api_key = _table(
    "ml_api_key",
    _number("user_id", required=True),
    _text("name", 100, required=True),
    _text("prefix", 16, required=True),
    _text("key_digest", 64, required=True),
    sa.Column("scopes", JsonText()),
    _number("auth_stamp"),
    sa.Column("expires_at", UtcDateTime()),
    sa.Column("revoked_at", UtcDateTime()),
    sa.Column("last_used_at", UtcDateTime()),
    sa.ForeignKeyConstraint(["user_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.Index("ml_api_key__key_digest__uq", "key_digest", unique=True),
    sa.Index("ml_api_key__user__ix", "user_id"),
)
session = _table(
    "ml_session",
    _text("token_digest", 64, required=True),
    _number("user_id"),
    sa.Column("data", JsonText()),
    sa.Column("seen_at", UtcDateTime(), nullable=False),
    sa.Column("expires_at", UtcDateTime(), nullable=False),
    _text("address", 60),
    _text("agent", 300),
    sa.Index("ml_session__token_digest__uq", "token_digest", unique=True),
    sa.Index("ml_session__user__ix", "user_id"),
    sa.Index("ml_session__expires_at__ix", "expires_at"),
)
saved_filter = _table(
    "ml_saved_filter",
    _number("user_id", required=True),
    _text("list", 200, required=True),
    _text("name", 100, required=True),
    sa.Column("query", JsonText(), nullable=False),
    sa.Column("shared", Flag(), nullable=False, server_default=sa.false()),
    sa.ForeignKeyConstraint(["user_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.Index("ml_saved_filter__user__uq", "user_id", "list", "name", unique=True),
)

# Metadata: what is published, how it came to be, and what the tables look like.
revision = _table(
    "ml_revision",
    _number("number", required=True),
    _text("digest", 64, required=True),
    _text("engine_version", 40, required=True),
    sa.Column("sources", JsonText(), nullable=False),
    _number("base_number"),
    _number("author_id"),
    _text("author_name", 128),
    _text("reason", 1000),
    sa.Column("published_at", UtcDateTime(), nullable=False, server_default=utc_now()),
    sa.Index("ml_revision__number__uq", "number", unique=True),
    sa.Index("ml_revision__digest__ix", "digest"),
)
pointer = _table(
    "ml_pointer",
    _number("revision_number", required=True),
    _number("stamp", required=True),
    sa.CheckConstraint("id = 1", name="ml_pointer__one_row"),
    reserved=False,
)
publish = _table(
    "ml_publish",
    _text("kind", 20, required=True),
    _text("state", 20, required=True),
    _number("base_number"),
    _number("target_number"),
    _text("digest", 64),
    sa.Column("steps", JsonText()),
    _number("steps_done", required=True, server_default="0"),
    _number("author_id"),
    _text("author_name", 128),
    _text("reason", 1000),
    _text("note", 4000),
    sa.Column("finished_at", UtcDateTime()),
    sa.Index(
        "ml_publish__open__uq", sa.text("(1)"), unique=True,
        sqlite_where=sa.text("finished_at IS NULL"), postgresql_where=sa.text("finished_at IS NULL"),
    ),
)  # fmt: skip
layout = _table(
    "ml_layout",
    _text("table_name", 63, required=True),
    _text("column_name", 63, required=True, server_default=""),
    sa.Column("spec", JsonText()),
    sa.Column("former", JsonText()),
    _text("origin", 200),
    _number("since_revision"),
    _number("retired_revision"),
    sa.Index("ml_layout__column__uq", "table_name", "column_name", unique=True),
    reserved=False,
)

# What happened.
audit = _table(
    "ml_audit",
    sa.Column("at", UtcDateTime(), nullable=False),
    _number("actor_id"),
    _text("actor_name", 128),
    _text("channel", 20, required=True),
    _text("command", 160, required=True),
    _text("entity", 130),
    _number("record_id"),
    sa.Column("before", JsonText()),
    sa.Column("after", JsonText()),
    _text("reason", 2000),
    _number("revision_number"),
    _text("revision_digest", 64),
    _text("request_id", 64),
    sa.Index("ml_audit__record__ix", "entity", "record_id", "id"),
    sa.Index("ml_audit__actor__ix", "actor_id", "id"),
    sa.Index("ml_audit__at__ix", "at", "id"),
)
seal = _table(
    "ml_seal",
    _text("chain", 20, required=True),
    _number("row_id", required=True),
    _text("row_digest", 64, required=True),
    _text("hash", 64, required=True),
    sa.Index("ml_seal__row__uq", "chain", "row_id", unique=True),
    reserved=False,
)

# Work that a schedule begins: what is known of each job, its runs, and the records that failed.
scheduled_job = _table(
    "ml_scheduled_job",
    _text("job", 130, required=True),
    _text("label", 100, required=True, server_default=""),
    _text("label_en", 100, required=True, server_default=""),
    _text("schedule", 120, required=True, server_default=""),
    _text("per", 20),
    _text("catch_up", 20),
    sa.Column("active", Flag(), nullable=False, server_default=sa.true()),
    sa.Column("paused", Flag(), nullable=False, server_default=sa.false()),
    sa.Column("marked_at", UtcDateTime()),
    sa.Column("marked_days", JsonText()),
    sa.Column("next_at", UtcDateTime()),
    sa.Index("ml_scheduled_job__job__uq", "job", unique=True),
)
scheduled_run = _table(
    "ml_scheduled_run",
    _number("job_id", required=True),
    _text("key", 200, required=True),
    _text("origin", 20, required=True),
    _number("company_id"),
    sa.Column("due_at", UtcDateTime(), nullable=False),
    sa.Column("business_date", IsoDate()),
    _text("status", 20, required=True, server_default="waiting"),
    sa.Column("dry_run", Flag(), nullable=False, server_default=sa.false()),
    _number("rerun_of_id"),
    _text("digest", 64),
    _number("step", required=True, server_default="0"),
    _number("step_begun", required=True, server_default="-1"),
    _number("cursor", required=True, server_default="0"),
    _number("until_id", required=True, server_default="0"),
    _number("working_on"),
    _number("total", required=True, server_default="0"),
    _number("done", required=True, server_default="0"),
    _number("skipped", required=True, server_default="0"),
    _number("failed", required=True, server_default="0"),
    sa.Column("started_at", UtcDateTime()),
    sa.Column("finished_at", UtcDateTime()),
    _text("worker", 120),
    _number("asked_by_id"),
    sa.ForeignKeyConstraint(["job_id"], ["ml_scheduled_job.id"], ondelete="RESTRICT"),
    sa.CheckConstraint("status IN ('waiting', 'running', 'done', 'partial', 'failed', 'cancelled')", name="ml_scheduled_run__status"),
    sa.Index("ml_scheduled_run__key__uq", "key", unique=True),
    sa.Index("ml_scheduled_run__job__ix", "job_id", "id"),
    sa.Index(
        "ml_scheduled_run__one__uq", "job_id", sa.text("coalesce(company_id, 0)"), unique=True,
        sqlite_where=sa.text("status = 'running'"), postgresql_where=sa.text("status = 'running'"),
    ),
)  # fmt: skip
run_error = _table(
    "ml_run_error",
    _number("run_id", required=True),
    _number("step", required=True),
    _text("entity", 130),
    _number("record_id"),
    _text("sentence", 2000, required=True),
    _text("sentence_en", 2000, required=True),
    sa.ForeignKeyConstraint(["run_id"], ["ml_scheduled_run.id"], ondelete="CASCADE"),
    sa.Index("ml_run_error__entity_record__uq", "run_id", "step", sa.text("coalesce(entity, '')"), sa.text("coalesce(record_id, 0)"), unique=True),
)

run_part = _table(
    "ml_run_part",
    _number("run_id", required=True),
    _number("step", required=True),
    _number("no", required=True),
    _number("from_id", required=True),
    _number("until_id", required=True),
    _number("size", required=True),
    sa.Column("held", Flag(), nullable=False, server_default=sa.false()),
    _text("state", 20, required=True, server_default="waiting"),
    _number("attempts", required=True, server_default="0"),
    _number("fence", required=True, server_default="0"),
    sa.Column("lease_until", UtcDateTime()),
    _text("worker", 120),
    _number("done", required=True, server_default="0"),
    _number("failed", required=True, server_default="0"),
    sa.Column("figures", JsonText()),
    sa.Column("started_at", UtcDateTime()),
    sa.Column("finished_at", UtcDateTime()),
    sa.ForeignKeyConstraint(["run_id"], ["ml_scheduled_run.id"], ondelete="CASCADE"),
    sa.CheckConstraint("state IN ('waiting', 'running', 'done')", name="ml_run_part__state"),
    sa.Index("ml_run_part__run__ix", "run_id", "step", "state", "no"),
)
held_record = _table(
    "ml_held_record",
    _text("mass", 130, required=True),
    _text("entity", 130, required=True),
    _number("record_id", required=True),
    _number("run_id"),
    _number("company_id"),
    sa.Column("business_date", IsoDate()),
    _text("sentence", 2000, required=True),
    _text("sentence_en", 2000, required=True),
    _number("tries", required=True, server_default="1"),
    sa.Column("released_at", UtcDateTime()),
    sa.Index(
        "ml_held_record__open__uq", "mass", "entity", "record_id", unique=True,
        sqlite_where=sa.text("released_at IS NULL"), postgresql_where=sa.text("released_at IS NULL"),
    ),
)  # fmt: skip

# What must still happen.
outbox = _table(
    "ml_outbox",
    _text("kind", 60, required=True),
    sa.Column("payload", JsonText(), nullable=False),
    _text("key", 200, required=True),
    _text("state", 20, required=True, server_default="pending"),
    sa.Column("run_after", UtcDateTime(), nullable=False, server_default=utc_now()),
    _number("attempts", required=True, server_default="0"),
    _text("lease_owner", 120),
    sa.Column("lease_until", UtcDateTime()),
    _number("fence", required=True, server_default="0"),
    sa.Column("last_error", LongText()),
    sa.Column("finished_at", UtcDateTime()),
    sa.CheckConstraint("state IN ('pending', 'running', 'done', 'failed', 'dead')", name="ml_outbox__state"),
    sa.Index("ml_outbox__key__uq", "key", unique=True),
    sa.Index(
        "ml_outbox__open__ix", "run_after", "id",
        sqlite_where=sa.text("state IN ('pending', 'running')"), postgresql_where=sa.text("state IN ('pending', 'running')"),
    ),
)  # fmt: skip
job_run = _table(
    "ml_job_run",
    _text("kind", 60, required=True),
    _text("key", 200),
    _number("outbox_id"),
    _text("outcome", 20, required=True),
    _number("attempt"),
    _text("worker", 120),
    sa.Column("started_at", UtcDateTime(), nullable=False),
    sa.Column("finished_at", UtcDateTime()),
    sa.Column("error", LongText()),
    sa.Column("facts", JsonText()),
    sa.Index("ml_job_run__outbox__ix", "outbox_id"),
    sa.Index("ml_job_run__started__ix", "started_at", "id"),
)
idempotency = _table(
    "ml_idempotency",
    _number("user_id", required=True),
    _text("route", 200, required=True),
    _text("key", 255, required=True),
    _text("body_digest", 64, required=True),
    _number("status"),
    sa.Column("response", JsonText()),
    sa.Index("ml_idempotency__key__uq", "user_id", "route", "key", unique=True),
    sa.Index("ml_idempotency__created_at__ix", "created_at"),
)
number_counter = _table(
    "ml_number_counter",
    _text("series", 130, required=True),
    _text("period", 60, required=True),
    _number("value", required=True, server_default="0"),
    sa.Index("ml_number_counter__series__uq", "series", "period", unique=True),
    reserved=False,
)

# Files, settings, secrets.
file = _table(
    "ml_file",
    _text("name", 255, required=True),
    _text("media_type", 100, required=True),
    _number("size", required=True),
    _text("digest", 64, required=True),
    _text("state", 20, required=True, server_default="staging"),
    _text("entity", 130),
    _number("record_id"),
    _text("field", 60),
    sa.Index("ml_file__digest__ix", "digest"),
    sa.Index("ml_file__record__ix", "entity", "record_id"),
    sa.Index("ml_file__state__ix", "state", "created_at"),
)
setting = _table(
    "ml_setting", _text("name", 130, required=True), sa.Column("value", JsonText()), sa.Index("ml_setting__name__uq", "name", unique=True)
)
rate = _table(
    "ml_rate",
    _text("name", 130, required=True),
    _number("hits", required=True),
    sa.Column("since", UtcDateTime(), nullable=False),
    sa.Column("last", UtcDateTime(), nullable=False),
    _number("user_id"),
    sa.Index("ml_rate__name__uq", "name", unique=True),
    sa.Index("ml_rate__last__ix", "last"),
    sa.Index("ml_rate__user__ix", "user_id"),
    reserved=False,
)
secret = _table(
    "ml_secret",
    _text("name", 130, required=True),
    sa.Column("ciphertext", LongText(), nullable=False),
    sa.Index("ml_secret__name__uq", "name", unique=True),
)
data_key = _table(
    "ml_data_key",
    _text("key_id", 20, required=True),
    _text("purpose", 20, required=True),
    _text("wrapped", 300, required=True),
    sa.Column("active", Flag(), nullable=False, server_default=sa.true()),
    sa.Index("ml_data_key__key_id__uq", "key_id", unique=True),
)

# Money. A header is written as a draft, its legs after it, then the header is flipped to posted: the database adds up.
ledger_entry = _table(
    "ml_ledger_entry",
    _text("event", 120, required=True),
    _text("state", 10, required=True, server_default="draft"),
    _text("posting_key", 200),
    sa.Column("booking_date", IsoDate(), nullable=False),
    sa.Column("value_date", IsoDate(), nullable=False),
    _text("currency", 3, required=True, server_default="CNY"),
    _number("company_id"),
    _number("org_unit_id"),
    _text("entity", 130),
    _number("record_id"),
    _number("reversal_of"),
    _text("memo", 500),
    _text("command", 160),
    _number("revision_number"),
    _text("revision_digest", 64),
    sa.Column("posted_at", UtcDateTime()),
    sa.CheckConstraint("state IN ('draft', 'posted')", name="ml_ledger_entry__state"),
    sa.ForeignKeyConstraint(["reversal_of"], ["ml_ledger_entry.id"], ondelete="RESTRICT"),
    sa.Index("ml_ledger_entry__posting_key__uq", "posting_key", unique=True),
    sa.Index("ml_ledger_entry__reversal_of__uq", "reversal_of", unique=True),
    sa.Index("ml_ledger_entry__record__ix", "entity", "record_id", "id"),
    sa.Index("ml_ledger_entry__booking_date__ix", "company_id", "booking_date", "id"),
)
ledger_leg = _table(
    "ml_ledger_leg",
    _number("entry_id", required=True),
    _number("line", required=True),
    _text("account", 60, required=True),
    _text("side", 10, required=True),
    sa.Column("amount", ExactDecimal(18, 2), nullable=False),
    _text("currency", 3, required=True, server_default="CNY"),
    sa.Column("booking_date", IsoDate(), nullable=False),
    sa.Column("value_date", IsoDate(), nullable=False),
    _number("company_id"),
    _number("org_unit_id"),
    _text("entity", 130),
    _number("record_id"),
    _text("party_entity", 130),
    _number("party_id"),
    _text("memo", 200),
    sa.CheckConstraint("side IN ('debit', 'credit')", name="ml_ledger_leg__side"),
    sa.CheckConstraint("amount <> 0", name="ml_ledger_leg__amount"),
    sa.ForeignKeyConstraint(["entry_id"], ["ml_ledger_entry.id"], ondelete="RESTRICT"),
    sa.Index("ml_ledger_leg__line__uq", "entry_id", "line", unique=True),
    sa.Index("ml_ledger_leg__account__ix", "account", "booking_date", "id"),
    sa.Index("ml_ledger_leg__record__ix", "entity", "record_id", "id"),
)

# Months whose books are closed: nothing is booked into them or before them any more.
ledger_period = _table(
    "ml_ledger_period",
    _number("company_id", required=True),
    _text("month", 7, required=True),
    _number("entries", required=True),
    _number("entry_id"),
    _text("head", 64),
    sa.ForeignKeyConstraint(["entry_id"], ["ml_ledger_entry.id"], ondelete="RESTRICT"),
    sa.Index("ml_ledger_period__month__uq", "company_id", "month", unique=True),
)

# Approval. A case is the fold of its events; chains are kept as the text they had when the first case began under them.
approval_chain = _table(
    "ml_approval_chain",
    _text("digest", 64, required=True),
    _text("entity", 130, required=True),
    _text("name", 60, required=True),
    _number("revision_number", required=True),
    sa.Column("body", LongText(), nullable=False),
    sa.Index("ml_approval_chain__digest__uq", "digest", unique=True),
    reserved=False,
)
approval_case = _table(
    "ml_approval_case",
    _text("entity", 130, required=True),
    _number("record_id", required=True),
    _text("chain", 60, required=True),
    _text("chain_digest", 64, required=True),
    _number("revision_number", required=True),
    _text("status", 20, required=True),
    sa.Column("subject", JsonText()),
    _text("subject_text", 500),
    _number("initiator_id"),
    _number("company_id"),
    _number("org_unit_id"),
    sa.Column("state", LongText(), nullable=False),
    _number("seq", required=True, server_default="0"),
    _number("record_version", required=True),
    _text("current_steps", 500),
    sa.Column("started_at", UtcDateTime(), nullable=False),
    sa.Column("finished_at", UtcDateTime()),
    _text("result", 20),
    _number("parent_case_id"),
    _text("parent_step", 120),
    # Filled while the chain allows one running case per record: <entity>/<record>/<chain>. The index keeps it to one.
    _text("open_key", 250),
    sa.CheckConstraint("status IN ('running', 'returned', 'waiting', 'approved', 'rejected', 'withdrawn', 'terminated')",
                       name="ml_approval_case__status"),
    sa.ForeignKeyConstraint(["parent_case_id"], ["ml_approval_case.id"], ondelete="RESTRICT"),
    sa.Index("ml_approval_case__open_key__uq", "open_key", unique=True),
    sa.Index("ml_approval_case__record__ix", "entity", "record_id", "id"),
    sa.Index("ml_approval_case__initiator__ix", "initiator_id", "id"),
    sa.Index("ml_approval_case__company__ix", "company_id", "id"),
    sa.Index("ml_approval_case__chain__ix", "chain_digest", "id"),
    sa.Index("ml_approval_case__parent__ix", "parent_case_id"),
)  # fmt: skip
approval_task = _table(
    "ml_approval_task",
    _number("case_id", required=True),
    _number("task_no", required=True),
    _text("step", 120, required=True),
    sa.Column("step_label", JsonText()),
    _text("kind", 20, required=True),
    _number("assignee_id"),
    _number("principal_id"),
    _text("status", 20, required=True),
    sa.Column("opened_at", UtcDateTime(), nullable=False),
    sa.Column("due_at", UtcDateTime()),
    sa.Column("urged_at", UtcDateTime()),
    sa.Column("read_at", UtcDateTime()),
    sa.Column("closed_at", UtcDateTime()),
    _number("closed_by_id"),
    _text("decision", 20),
    sa.Column("opinion", LongText()),
    sa.Column("outputs", JsonText()),
    sa.Column("attachments", JsonText()),
    _number("record_version"),
    sa.CheckConstraint("status IN ('waiting', 'open', 'done', 'cancelled')", name="ml_approval_task__status"),
    sa.ForeignKeyConstraint(["case_id"], ["ml_approval_case.id"], ondelete="RESTRICT"),
    sa.Index("ml_approval_task__no__uq", "case_id", "task_no", unique=True),
    sa.Index("ml_approval_task__assignee__ix", "assignee_id", "status", "id"),
)
approval_pool = _table(
    "ml_approval_pool",
    _number("task_id", required=True),
    _number("user_id", required=True),
    sa.ForeignKeyConstraint(["task_id"], ["ml_approval_task.id"], ondelete="CASCADE"),
    sa.Index("ml_approval_pool__task__uq", "task_id", "user_id", unique=True),
    sa.Index("ml_approval_pool__user__ix", "user_id", "task_id"),
)
# Everybody who takes or took part in a case: who may look at it.
approval_party = _table(
    "ml_approval_party",
    _number("case_id", required=True),
    _number("user_id", required=True),
    sa.ForeignKeyConstraint(["case_id"], ["ml_approval_case.id"], ondelete="CASCADE"),
    sa.Index("ml_approval_party__case__uq", "case_id", "user_id", unique=True),
    sa.Index("ml_approval_party__user__ix", "user_id", "case_id"),
)
approval_event = _table(
    "ml_approval_event",
    _number("case_id", required=True),
    _number("seq", required=True),
    _text("kind", 40, required=True),
    sa.Column("data", JsonText(), nullable=False),
    sa.Column("at", UtcDateTime(), nullable=False),
    _number("actor_id"),
    _text("request_id", 64),
    _text("address", 60),
    sa.ForeignKeyConstraint(["case_id"], ["ml_approval_case.id"], ondelete="RESTRICT"),
    sa.Index("ml_approval_event__seq__uq", "case_id", "seq", unique=True),
)
approval_copy = _table(
    "ml_approval_copy",
    _number("case_id", required=True),
    _number("user_id", required=True),
    _number("by_id"),
    _text("step", 120),
    sa.Column("read_at", UtcDateTime()),
    sa.ForeignKeyConstraint(["case_id"], ["ml_approval_case.id"], ondelete="CASCADE"),
    sa.Index("ml_approval_copy__case__uq", "case_id", "user_id", unique=True),
    sa.Index("ml_approval_copy__user__ix", "user_id", "id"),
)
# Processes: definitions kept under their digest, runs, and the log that a run is made of.
process = _table(
    "ml_process",
    _text("digest", 64, required=True),
    _text("entity", 130, required=True),
    _text("name", 60, required=True),
    _number("revision_number", required=True),
    sa.Column("body", LongText(), nullable=False),
    sa.Index("ml_process__digest__uq", "digest", unique=True),
    reserved=False,
)
process_run = _table(
    "ml_process_run",
    _text("entity", 130, required=True),
    _number("record_id", required=True),
    _text("process", 60, required=True),
    _text("process_digest", 64, required=True),
    _number("revision_number", required=True),
    _text("status", 20, required=True),
    _text("step", 60),
    _number("starter_id"),
    _number("company_id"),
    _number("org_unit_id"),
    sa.Column("state", LongText(), nullable=False),
    _number("seq", required=True, server_default="0"),
    _number("attempt", required=True, server_default="0"),
    _text("reference", 200),
    _text("error", 1000),
    _text("error_en", 1000),
    sa.Column("started_at", UtcDateTime(), nullable=False),
    sa.Column("since", UtcDateTime()),
    sa.Column("due_at", UtcDateTime()),
    sa.Column("wake_at", UtcDateTime()),
    sa.Column("finished_at", UtcDateTime()),
    # Filled while the run is open: <entity>/<record>/<process>. The index keeps it to one.
    _text("open_key", 250),
    sa.CheckConstraint("status IN ('ready', 'calling', 'again', 'settled', 'waiting', 'task', 'manual', 'done', 'failed', 'cancelled')",
                       name="ml_process_run__status"),
    sa.Index("ml_process_run__open_key__uq", "open_key", unique=True),
    sa.Index("ml_process_run__record__ix", "entity", "record_id", "id"),
    sa.Index("ml_process_run__company__ix", "company_id", "id"),
    sa.Index("ml_process_run__digest__ix", "process_digest", "id"),
    sa.Index("ml_process_run__status__ix", "status", "id"),
)  # fmt: skip
process_step = _table(
    "ml_process_step",
    _number("run_id", required=True),
    _number("seq", required=True),
    _text("kind", 40, required=True),
    _text("step", 60),
    sa.Column("data", JsonText(), nullable=False),
    sa.Column("at", UtcDateTime(), nullable=False),
    _number("actor_id"),
    _text("request_id", 64),
    sa.ForeignKeyConstraint(["run_id"], ["ml_process_run.id"], ondelete="RESTRICT"),
    sa.Index("ml_process_step__seq__uq", "run_id", "seq", unique=True),
)
substitute = _table(
    "ml_substitute",
    _number("user_id", required=True),
    _number("substitute_id", required=True),
    sa.Column("from_date", IsoDate(), nullable=False),
    sa.Column("to_date", IsoDate(), nullable=False),
    _text("entity", 130),
    _text("chain", 60),
    _text("reason", 500),
    sa.Column("ended_at", UtcDateTime()),
    sa.CheckConstraint("user_id <> substitute_id", name="ml_substitute__not_oneself"),
    sa.CheckConstraint("from_date <= to_date", name="ml_substitute__in_order"),
    sa.ForeignKeyConstraint(["user_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["substitute_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.Index("ml_substitute__user__ix", "user_id", "to_date"),
)

# Webhooks: what was told to other systems and what they asked; each event once, whatever is repeated.
webhook_delivery = _table(
    "ml_webhook_delivery",
    _text("webhook", 120, required=True),
    _text("event", 120, required=True),
    _text("event_id", 64, required=True),
    _text("entity", 130),
    _number("record_id"),
    sa.Column("body", LongText(), nullable=False),
    _text("status", 20, required=True),
    _number("tries", required=True, server_default="0"),
    _number("answer_status"),
    _text("error", 300),
    sa.Column("delivered_at", UtcDateTime()),
    _number("resend_of"),
    sa.CheckConstraint("status IN ('queued', 'delivered', 'dead')", name="ml_webhook_delivery__status"),
    sa.Index("ml_webhook_delivery__event__ix", "event_id"),
    sa.Index("ml_webhook_delivery__webhook__ix", "webhook", "id"),
    sa.Index("ml_webhook_delivery__record__ix", "entity", "record_id", "id"),
)
webhook_call = _table(
    "ml_webhook_call",
    _text("webhook", 120, required=True),
    _text("event_id", 128, required=True),
    _text("status", 20, required=True),
    _text("entity", 130),
    _number("record_id"),
    _text("error", 300),
    _text("address", 60),
    _text("digest", 64),
    _number("repeats", required=True, server_default="0"),
    sa.CheckConstraint("status IN ('done', 'refused')", name="ml_webhook_call__status"),
    sa.Index("ml_webhook_call__event__uq", "webhook", "event_id", unique=True),
)

APPEND_ONLY = (audit, seal, revision, ledger_leg, ledger_period, approval_event, approval_chain, process, process_step)
# What people are told, and through which channel. A row without a receiver went to somebody outside: its address is sealed.
message = _table(
    "ml_message",
    _number("receiver_id"),
    _text("channel", 30, required=True),
    _text("kind", 120, required=True),
    _text("template", 200),
    _text("subject", 200, required=True, server_default=""),
    sa.Column("body", LongText()),
    _text("status", 20, required=True),
    _text("why", 40),
    _text("entity", 130),
    _number("record_id"),
    _text("link", 500),
    sa.Column("urgent", Flag(), nullable=False, server_default=sa.false()),
    sa.Column("read_at", UtcDateTime()),
    _text("address", 320),
    _text("address_mark", 64),
    sa.Column("sealed", LongText()),
    sa.Column("due_at", UtcDateTime()),
    _text("reference", 100),
    _text("provider", 60),
    _text("provider_no", 100),
    _number("tries", required=True, server_default="0"),
    _text("error", 1000),
    sa.Column("sent_at", UtcDateTime()),
    sa.Column("delivered_at", UtcDateTime()),
    _number("resend_of"),
    _text("request_id", 64),
    sa.ForeignKeyConstraint(["receiver_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.CheckConstraint(
        "status IN ('queued', 'sent', 'delivered', 'unknown', 'failed', 'suppressed')", name="ml_message__status"
    ),
    sa.Index("ml_message__reference__uq", "reference", unique=True),
    sa.Index("ml_message__receiver__ix", "receiver_id", "channel", "id"),
    sa.Index(
        "ml_message__unread__ix", "receiver_id",
        sqlite_where=sa.text("channel = 'in_app' AND read_at IS NULL"),
        postgresql_where=sa.text("channel = 'in_app' AND read_at IS NULL"),
    ),
    sa.Index("ml_message__record__ix", "entity", "record_id", "id"),
    sa.Index("ml_message__status__ix", "status", "id"),
)  # fmt: skip
message_preference = _table(
    "ml_message_preference",
    _number("user_id", required=True),
    _text("kind", 120, required=True),
    _text("channel", 30, required=True),
    sa.Column("wanted", Flag(), nullable=False),
    sa.ForeignKeyConstraint(["user_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.Index("ml_message_preference__user__uq", "user_id", "kind", "channel", unique=True),
)
message_opt_out = _table(
    "ml_message_opt_out",
    _text("channel", 30, required=True),
    _text("address", 320, required=True),
    _text("address_mark", 64, required=True),
    _text("word", 60),
    _text("reason", 500),
    sa.Index("ml_message_opt_out__address__uq", "channel", "address_mark", unique=True),
)
# Lists as people keep them: a search with its order and columns, under a name, for its owner or shared.
saved_list = _table(
    "ml_saved_list",
    _text("entity", 130, required=True),
    _text("list", 60, required=True),
    _text("name", 60, required=True),
    _number("owner_id", required=True),
    _text("shared", 20, required=True, server_default="nobody"),
    sa.Column("roles", JsonText(), nullable=False),
    sa.Column("query", JsonText(), nullable=False),
    sa.Column("columns", JsonText(), nullable=False),
    sa.ForeignKeyConstraint(["owner_id"], ["ab_user.id"], ondelete="CASCADE"),
    sa.CheckConstraint("shared IN ('nobody', 'roles', 'everybody')", name="ml_saved_list__shared"),
    sa.Index("ml_saved_list__name__uq", "owner_id", "entity", "list", "name", unique=True),
    sa.Index("ml_saved_list__entity__ix", "entity", "list", "id"),
)
# What people say about a record. The words of one that was taken back stay here and are shown to nobody.
comment = _table(
    "ml_comment",
    _text("entity", 130, required=True),
    _number("record_id", required=True),
    sa.Column("text", LongText(), nullable=False),
    sa.Column("mentions", JsonText(), nullable=False),
    sa.Column("files", JsonText(), nullable=False),
    sa.Column("edited_at", UtcDateTime()),
    sa.Column("removed_at", UtcDateTime()),
    sa.Index("ml_comment__record__ix", "entity", "record_id", "id"),
)
# Imports of records from a file: who, when, which records came of it. ``left``: those that an undo has not taken back, [id, row_version]; those of
# an import in the background stand with its parts. ``file``, sealed with ``key``, holds its rows while they are needed; ``done`` of ``total`` are behind.
import_run = _table(
    "ml_import_run",
    _text("entity", 130, required=True),
    _text("name", 255, required=True, server_default=""),
    _text("mode", 20, required=True),
    _number("rows_read", required=True),
    _number("rows_kept", required=True),
    sa.Column("left", JsonText(), nullable=False),
    sa.Column("undone_at", UtcDateTime()),
    _number("undone_by"),
    _number("undone", required=True, server_default="0"),
    _text("status", 20, required=True, server_default="done"),
    _text("source", 10, required=True, server_default="import"),
    _text("locale", 10, required=True, server_default="zh"),
    _number("total", required=True, server_default="0"),
    _number("done", required=True, server_default="0"),
    _number("good", required=True, server_default="0"),
    _number("failed", required=True, server_default="0"),
    _text("file", 80),
    sa.Column("key", LongText()),
    _text("sentence", 2000),
    _text("sentence_en", 2000),
    sa.Column("started_at", UtcDateTime()),
    sa.Column("finished_at", UtcDateTime()),
    sa.Column("expires_at", UtcDateTime()),
    sa.Index("ml_import_run__entity__ix", "entity", "id"),
)
# What each part of an import in the background made, as ``left`` above.
import_part = _table(
    "ml_import_part",
    _number("run_id", required=True),
    _number("number", required=True),
    _number("records", required=True),
    sa.Column("left", JsonText(), nullable=False),
    sa.Column("undone_at", UtcDateTime()),
    sa.ForeignKeyConstraint(["run_id"], ["ml_import_run.id"], ondelete="CASCADE"),
    sa.Index("ml_import_part__number__uq", "run_id", "number", unique=True),
)
# Rows that an import in the background could not take. ``content``, sealed: the cells as they were sent, and what is wrong with them.
import_failed = _table(
    "ml_import_failed",
    _number("run_id", required=True),
    _number("row", required=True),
    sa.Column("content", LongText(), nullable=False),
    sa.ForeignKeyConstraint(["run_id"], ["ml_import_run.id"], ondelete="CASCADE"),
    sa.Index("ml_import_failed__row__uq", "run_id", "row", unique=True),
)
# Exports that are made in the background. ``question``, sealed: which rows and columns. ``file`` names the finished file, sealed with ``key``;
# ``rights``: the mark of the rights under which it was made.
export_run = _table(
    "ml_export_run",
    _text("entity", 130, required=True),
    _text("name", 255, required=True),
    _text("format", 10, required=True),
    sa.Column("question", LongText()),
    _text("locale", 10, required=True),
    _text("channel", 20, required=True),
    _text("status", 20, required=True, server_default="waiting"),
    _number("rows", required=True, server_default="0"),
    _number("total", required=True, server_default="0"),
    sa.Column("total_exact", Flag(), nullable=False, server_default=sa.true()),
    _number("size", required=True, server_default="0"),
    _text("file", 80),
    sa.Column("key", LongText()),
    _text("rights", 64),
    _number("downloads", required=True, server_default="0"),
    _text("sentence", 2000),
    _text("sentence_en", 2000),
    sa.Column("started_at", UtcDateTime()),
    sa.Column("finished_at", UtcDateTime()),
    sa.Column("expires_at", UtcDateTime()),
    sa.CheckConstraint("status IN ('waiting', 'running', 'done', 'failed', 'cancelled', 'gone')", name="ml_export_run__status"),
    sa.Index("ml_export_run__person__ix", "created_by", "id"),
    sa.Index("ml_export_run__status__ix", "status", "expires_at"),
)
# Edits and archivings of many records at once. ``left``: those that an undo has not put back, [id, row_version, {field: value before}].
bulk_run = _table(
    "ml_bulk_run",
    _text("entity", 130, required=True),
    _text("verb", 20, required=True),
    sa.Column("left", JsonText(), nullable=False),
    sa.Column("undone_at", UtcDateTime()),
)


def engine_tables_are_current(conn: sa.Connection) -> bool:
    """Whether this engine's tables were made here already; looking is cheap and takes no lock."""
    return conn.scalar(sa.select(setting.c.value).where(setting.c.name == MARK)) == _fingerprint(conn)


def make_engine_tables(conn: sa.Connection) -> None:
    """Create what is missing: tables, columns that a newer engine added (nullable or with a default), triggers."""
    METADATA.create_all(conn)
    _add_missing_columns(conn)
    for statement in (_SQLITE if conn.dialect.name == "sqlite" else _POSTGRESQL):
        run_statement(conn, statement)
    conn.execute(setting.delete().where(setting.c.name == MARK))
    conn.execute(setting.insert().values(name=MARK, value=_fingerprint(conn)))


MARK = "engine.tables"          # the setting that says which engine made the tables


def _fingerprint(conn: sa.Connection) -> str:
    columns = [(table.name, column.name, str(column.type)) for table in METADATA.sorted_tables for column in table.columns]
    statements = _SQLITE if conn.dialect.name == "sqlite" else _POSTGRESQL
    return sha256(repr((columns, statements)).encode()).hexdigest()


def run_statement(conn: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    """Run SQL that was written by the engine, as it stands (the PostgreSQL driver would take % for a parameter)."""
    return conn.exec_driver_sql(statement if conn.dialect.name == "sqlite" else statement.replace("%", "%%"))


def _add_missing_columns(conn: sa.Connection) -> None:
    inspector = sa.inspect(conn)
    quote = conn.dialect.identifier_preparer.quote
    writer = conn.dialect.ddl_compiler(conn.dialect, None)  # type: ignore[arg-type]
    for table in METADATA.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                run_statement(conn, f"ALTER TABLE {quote(table.name)} ADD COLUMN {writer.get_column_specification(column)}")


def _append_only_sqlite(table: sa.Table) -> tuple[str, ...]:
    return tuple(
        f"CREATE TRIGGER IF NOT EXISTS {table.name}__no_{verb.lower()} BEFORE {verb} ON {table.name} "
        f"BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    )


def _append_only_postgresql(table: sa.Table) -> tuple[str, ...]:
    return (
        f"CREATE OR REPLACE TRIGGER {table.name}__append_only BEFORE UPDATE OR DELETE ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION ml_refuse_change()",
        f"CREATE OR REPLACE TRIGGER {table.name}__no_truncate BEFORE TRUNCATE ON {table.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION ml_refuse_change()",
    )


# Σ debit − Σ credit per currency must be 0, with two legs or more; negative amounts only in a reversal.
_BALANCE = """
    (SELECT count(*) FROM ml_ledger_leg WHERE entry_id = NEW.id) < 2
    OR EXISTS (SELECT 1 FROM ml_ledger_leg WHERE entry_id = NEW.id GROUP BY currency
               HAVING sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) <> 0)
    OR (NEW.reversal_of IS NULL AND EXISTS (SELECT 1 FROM ml_ledger_leg WHERE entry_id = NEW.id AND amount < 0))
"""
_UNBALANCED = "ledger entry does not balance"
_CLOSED = "the month of this ledger entry is closed"

# What failed in a step is unique by record, and a record by its entity: numbers of different entities are alike. Tenants of an older
# engine have the index without the entity.
_INDEXES = (
    "DROP INDEX IF EXISTS ml_run_error__record__uq",
    "CREATE UNIQUE INDEX IF NOT EXISTS ml_run_error__entity_record__uq ON ml_run_error (run_id, step, coalesce(entity, ''), coalesce(record_id, 0))",
)
_SQLITE = (
    *_INDEXES,
    *(statement for table in APPEND_ONLY for statement in _append_only_sqlite(table)),
    """CREATE TRIGGER IF NOT EXISTS ml_ledger_entry__begins_as_draft BEFORE INSERT ON ml_ledger_entry
       WHEN NEW.state <> 'draft' BEGIN SELECT RAISE(ABORT, 'a ledger entry begins as draft'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ml_ledger_entry__balances BEFORE UPDATE ON ml_ledger_entry BEGIN
       SELECT RAISE(ABORT, 'ml_ledger_entry is append-only') WHERE OLD.state = 'posted' OR NEW.id <> OLD.id;
       SELECT RAISE(ABORT, '{_UNBALANCED}') WHERE NEW.state = 'posted' AND ({_BALANCE}); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ml_ledger_entry__month_open BEFORE UPDATE ON ml_ledger_entry
       WHEN NEW.state = 'posted' AND EXISTS (SELECT 1 FROM ml_ledger_period WHERE company_id = NEW.company_id
                                             AND month >= substr(NEW.booking_date, 1, 7))
       BEGIN SELECT RAISE(ABORT, '{_CLOSED}'); END""",
    """CREATE TRIGGER IF NOT EXISTS ml_ledger_entry__no_delete BEFORE DELETE ON ml_ledger_entry
       BEGIN SELECT RAISE(ABORT, 'ml_ledger_entry is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS ml_ledger_leg__before_posting BEFORE INSERT ON ml_ledger_leg
       WHEN (SELECT state FROM ml_ledger_entry WHERE id = NEW.entry_id) = 'posted'
       BEGIN SELECT RAISE(ABORT, 'a posted ledger entry takes no more legs'); END""",
)

_POSTGRESQL = (
    *_INDEXES,
    """CREATE OR REPLACE FUNCTION ml_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$""",
    # Told columns and their targets in turn. All rows of a statement are looked up by one query near the ids that they name.
    """CREATE OR REPLACE FUNCTION ml_look_up() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE place int; link text; low bigint; high bigint; missing bigint;
       BEGIN FOR place IN 0 .. TG_NARGS / 2 - 1 LOOP
         link := TG_ARGV[2 * place];
         EXECUTE format('SELECT min(%1$I), max(%1$I) FROM new_rows', link) INTO low, high;
         IF low = high THEN
           EXECUTE format('SELECT $1 WHERE NOT EXISTS (SELECT FROM %I.%I WHERE id = $1)', TG_TABLE_SCHEMA, TG_ARGV[2 * place + 1]) INTO missing USING low;
         ELSE
           EXECUTE format('SELECT n.%1$I FROM new_rows n WHERE n.%1$I IS NOT NULL AND NOT EXISTS
                           (SELECT FROM %2$I.%3$I t WHERE t.id = n.%1$I AND t.id BETWEEN $1 AND $2) LIMIT 1',
                          link, TG_TABLE_SCHEMA, TG_ARGV[2 * place + 1]) INTO missing USING low, high;
         END IF;
         IF missing IS NOT NULL THEN
           RAISE EXCEPTION '% points to a row that is not there', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation',
             TABLE = TG_TABLE_NAME, DETAIL = format('Key (%s)=(%s) is not present in table "%s".', link, missing, TG_ARGV[2 * place + 1]);
         END IF;
       END LOOP; RETURN NULL; END $$""",
    *(statement for table in APPEND_ONLY for statement in _append_only_postgresql(table)),
    f"""CREATE OR REPLACE FUNCTION ml_ledger_entry_rules() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF TG_OP = 'INSERT' THEN
         IF NEW.state <> 'draft' THEN
           RAISE EXCEPTION 'a ledger entry begins as draft' USING ERRCODE = 'check_violation'; END IF;
       ELSIF OLD.state = 'posted' OR NEW.id <> OLD.id THEN
         RAISE EXCEPTION 'ml_ledger_entry is append-only' USING ERRCODE = 'restrict_violation';
       ELSIF NEW.state = 'posted' AND ({_BALANCE}) THEN
         RAISE EXCEPTION '{_UNBALANCED}' USING ERRCODE = 'check_violation'; END IF;
       RETURN NEW; END $$""",
    """CREATE OR REPLACE TRIGGER ml_ledger_entry__balances BEFORE INSERT OR UPDATE ON ml_ledger_entry
       FOR EACH ROW EXECUTE FUNCTION ml_ledger_entry_rules()""",
    # Whoever posts holds the company's books open till the end of the transaction; whoever closes a month waits for that.
    f"""CREATE OR REPLACE FUNCTION ml_ledger_month_rules() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema() || '/books/' || coalesce(NEW.company_id, 0)));
       IF EXISTS (SELECT 1 FROM ml_ledger_period WHERE company_id = NEW.company_id AND month >= to_char(NEW.booking_date, 'YYYY-MM')) THEN
         RAISE EXCEPTION '{_CLOSED}' USING ERRCODE = 'check_violation'; END IF;
       RETURN NEW; END $$""",
    """CREATE OR REPLACE TRIGGER ml_ledger_entry__month_open BEFORE UPDATE ON ml_ledger_entry
       FOR EACH ROW WHEN (NEW.state = 'posted') EXECUTE FUNCTION ml_ledger_month_rules()""",
    """CREATE OR REPLACE TRIGGER ml_ledger_entry__no_delete BEFORE DELETE ON ml_ledger_entry
       FOR EACH ROW EXECUTE FUNCTION ml_refuse_change()""",
    # The share lock makes a leg wait for a poster of the same entry in another transaction.
    """CREATE OR REPLACE FUNCTION ml_ledger_leg_rules() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       PERFORM 1 FROM ml_ledger_entry WHERE id = NEW.entry_id AND state = 'posted' FOR SHARE;
       IF FOUND THEN RAISE EXCEPTION 'a posted ledger entry takes no more legs' USING ERRCODE = 'restrict_violation'; END IF;
       RETURN NEW; END $$""",
    """CREATE OR REPLACE TRIGGER ml_ledger_leg__before_posting BEFORE INSERT ON ml_ledger_leg
       FOR EACH ROW EXECUTE FUNCTION ml_ledger_leg_rules()""",
)
