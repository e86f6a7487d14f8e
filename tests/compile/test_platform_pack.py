"""The engine's own pack: whole, locked, and true to the tables that the engine makes."""

from metaloom.compile import compile_catalog
from metaloom.model import Catalog, FieldType
from metaloom.storage import engine as engine_tables
from tests.compile.shop import ENGINE, NO_PLUGINS

WANTED = {"company", "org_unit", "post", "user", "role_assignment", "file", "audit_entry", "job_run", "outbox", "revision", "ledger_entry", "ledger_leg",
          "message", "alert", "message_preference", "message_opt_out", "webhook_delivery", "webhook_call"}


def platform() -> Catalog:
    return compile_catalog(ENGINE, plugins=NO_PLUGINS)


def test_the_pack_is_whole_without_a_warning() -> None:
    made = platform()
    assert made.warnings == () and {e.name for e in made.entities.values()} >= WANTED
    assert made.packs["platform"].locked and all(e.locked for e in made.entities.values())


def test_storage_is_as_agreed() -> None:
    made = platform()
    own = {e.name for e in made.entities.values() if e.storage == "table"}
    assert own >= {"calendar_day", "company", "org_unit", "post"}
    assert all(made.entities[f"platform.{n}"].ownership.shared for n in own - {"alert"})
    assert made.entities["platform.user"].table == "ab_user"
    company = made.entities["platform.company"].fields
    assert company["business_date"].type is FieldType.DATE and {"code", "name", "short_name"} <= company.keys()


def test_every_field_of_an_engine_entity_has_its_column() -> None:
    tables = engine_tables.METADATA.tables
    checked = 0
    for entity in platform().entities.values():
        if entity.storage != "engine":
            continue
        columns = tables[entity.table].columns
        assert {"id", "row_version", "created_at", "created_by", "updated_at", "updated_by"} <= set(columns.keys()), entity.address
        for field in (one for one in entity.fields.values() if one.type is not FieldType.CHILD):
            assert field.column in columns, f"{entity.table} has no column {field.column}"
            checked += 1
        for part in entity.ownership.owned_by:
            assert {"company": "company_id", "org_unit": "org_unit_id", "user": "owner_id"}[part] in columns
            checked += 1
    assert checked > 70


def test_what_the_engine_writes_is_read_only_for_everybody() -> None:
    made = platform()
    for address, grants in made.grants.items():
        if made.entities[address].append_only:
            assert all(g.actions <= {"list", "read", "export"} for g in grants), address


def test_an_administrator_sees_no_money() -> None:
    """Rights over people are no rights over the books."""
    made = platform()
    for name in ("ledger_entry", "ledger_leg"):
        assert {g.role for g in made.grants[f"platform.{name}"]} == {"platform.auditor"}
