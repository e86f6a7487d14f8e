"""Django's admin over the tickets of the bench: its list with filters and search, its detail, which is its form, and a new one.

Idiomatic settings: ``list_select_related``, ``autocomplete_fields`` for links, no full count. Argument: host, port, user, database, schema.
"""

from __future__ import annotations

import sys
from typing import Any

import django
from django.conf import settings

HOST, PORT, USER, DATABASE, SCHEMA = sys.argv[1:6]
settings.configure(
    SECRET_KEY="b" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, TIME_ZONE="Asia/Shanghai", LANGUAGE_CODE="zh-hans", STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "USER": USER, "NAME": DATABASE, "CONN_MAX_AGE": None,
                           "OPTIONS": {"options": f"-c search_path=peer_django,{SCHEMA}"}}},
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.gzip.GZipMiddleware", "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}])
django.setup()

from django.contrib import admin  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402
from peer import ASKED, COLUMNS, serve  # noqa: E402


class Reserved(models.Model):
    row_version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    company_id = models.BigIntegerField(default=1, editable=False)
    org_unit_id = models.BigIntegerField(default=1, editable=False)
    owner_id = models.BigIntegerField(default=1, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True


class Client(Reserved):
    client_no = models.CharField(max_length=20, null=True)
    name = models.CharField(max_length=60, null=True)

    class Meta:
        app_label, managed, db_table = "auth", False, "bench__client"

    def __str__(self) -> str:
        return self.name or ""


class Person(models.Model):
    display_name = models.CharField(max_length=60)

    class Meta:
        app_label, managed, db_table = "auth", False, "ab_user"

    def __str__(self) -> str:
        return self.display_name


class Ticket(Reserved):
    code = models.CharField(max_length=20)
    title = models.CharField(max_length=60, null=True)
    client = models.ForeignKey(Client, models.DO_NOTHING, null=True)
    kind = models.CharField(max_length=20, null=True, choices=[("build", "建设"), ("fix", "维修"), ("ask", "咨询")])
    amount, paid, open_amount = (models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True) for _ in range(3))
    rate = models.DecimalField(max_digits=18, decimal_places=8, null=True, blank=True)
    days, late_days, steps = (models.BigIntegerField(null=True, blank=True) for _ in range(3))
    starts_on, ends_on = (models.DateField(null=True, blank=True) for _ in range(2))
    closed_at = models.DateTimeField(null=True, blank=True)
    urgent = models.BooleanField(null=True)
    place, remark, hint = (models.TextField(null=True, blank=True) for _ in range(3))
    phone_note, grade, source, batch = (models.CharField(max_length=30, null=True, blank=True) for _ in range(4))
    score = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    reviewer = models.ForeignKey(Person, models.DO_NOTHING, null=True, blank=True)
    status = models.CharField(max_length=20, default="open", choices=[("open", "进行中"), ("late", "逾期"), ("done", "完成")])

    class Meta:
        app_label, managed, db_table = "auth", False, "bench__ticket"


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):
    search_fields = ("name",)
    list_display = ("client_no", "name", "created_at")
    list_per_page, show_full_result_count, ordering = 20, False, ("-created_at", "-id")


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):
    list_display, list_select_related = COLUMNS, ("client", "reviewer")
    list_filter, ordering = ("status", "kind"), ("-created_at", "-id")
    search_fields = ("code", "client__name")
    autocomplete_fields, raw_id_fields = ("client",), ("reviewer",)
    list_per_page, show_full_result_count = 20, False


urlpatterns = [path("", admin.site.urls)]


def main() -> None:
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client as Browser

    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS peer_django")
    call_command("migrate", verbosity=0)
    user, _ = get_user_model().objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
    browser = Browser(headers={"accept-encoding": "gzip"})
    browser.force_login(user)
    count = [0]

    def counted(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        count[0] += 1
        return execute(sql, params, many, context)

    def sent() -> int:
        found, count[0] = count[0], 0
        return found

    def get(address: str) -> tuple[int, int]:
        answer = browser.get(address)
        return answer.status_code, len(answer.content)

    def save(number: int) -> int:
        values = {"code": f"D{number}", "title": "t", "client": "1", "kind": "fix", "amount": "10.00", "late_days": "1", "ends_on": "2026-05-05", "place": "x",
                  "status": "open", "urgent": "true"}
        assert set(ASKED) <= set(values)
        return browser.post("/auth/ticket/add/", values).status_code

    with connection.execute_wrapper(counted):
        serve(get, save, sent)


if __name__ == "__main__":
    sys.modules[__name__.replace("__main__", "django_admin")] = sys.modules[__name__]
    main()
