"""Secrets open only where they belong; files are kept by content and orphans are swept."""

import io
import os
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Invalid, NotFound
from metaloom.storage import Tenancy, WrongKey
from metaloom.storage.engine import data_key, secret
from metaloom.storage.engine import file as file_table

FIELD = "shop.customer/field/id_no"


def test_a_ciphertext_opens_only_for_its_field_and_tenant(tenancy, tenant):
    other = tenancy.create("other", "x")
    sealed = tenant.secrets.encrypt(FIELD, "110101199003078515")
    assert "1990" not in sealed
    assert sealed != tenant.secrets.encrypt(FIELD, "110101199003078515")
    assert tenant.secrets.decrypt(FIELD, sealed) == "110101199003078515"
    for secrets, field in ((tenant.secrets, FIELD + "x"), (other.secrets, FIELD)):
        with pytest.raises(WrongKey):
            secrets.decrypt(field, sealed)
    with pytest.raises(WrongKey):
        tenant.secrets.decrypt(FIELD, sealed[:-6] + "AAAAA=")
    with pytest.raises(WrongKey):
        tenant.secrets.decrypt(FIELD, "plain text")


def test_blind_indexes_are_equal_within_a_field_and_nowhere_else(tenancy, tenant):
    other = tenancy.create("other", "x")
    one = tenant.secrets.blind(FIELD, "13800001111")
    assert one == tenant.secrets.blind(FIELD, "13800001111")
    assert len({one, tenant.secrets.blind(FIELD, "13800001112"), tenant.secrets.blind("x", "13800001111"),
                other.secrets.blind(FIELD, "13800001111")}) == 4


def test_rotation_keeps_old_ciphertexts_and_blind_indexes(tenancy, tenant):
    sealed, blind = tenant.secrets.encrypt(FIELD, "a"), tenant.secrets.blind(FIELD, "a")
    tenant.secrets.set("gateway.key", "geheim")
    key = tenant.secrets.rotate()
    assert f".{key}." in tenant.secrets.encrypt(FIELD, "b")
    assert tenant.secrets.decrypt(FIELD, sealed) == "a"
    assert tenant.secrets.blind(FIELD, "a") == blind
    assert tenant.secrets.get("gateway.key") == "geheim"
    with tenant.read() as conn:
        assert f".{key}." in conn.scalar(sa.select(secret.c.ciphertext))


def test_another_master_key_opens_nothing_until_the_keys_are_wrapped_anew(tenancy, tenant):
    sealed = tenant.secrets.encrypt(FIELD, "a")
    new = replace(tenancy.settings, master_key=os.urandom(32))
    moved = Tenancy(new)
    with pytest.raises(WrongKey):
        moved.open(tenant.name).secrets.decrypt(FIELD, sealed)
    assert moved.open(tenant.name).secrets.rewrap(tenancy.settings.master_key) == 2
    assert moved.open(tenant.name).secrets.decrypt(FIELD, sealed) == "a"
    assert moved.open(tenant.name).secrets.rewrap(new.master_key) == 2
    moved.close()


def test_keys_lie_wrapped_in_the_tenant(tenant):
    with tenant.read() as conn:
        rows = conn.execute(sa.select(data_key)).all()
    assert {row.purpose for row in rows} == {"data", "blind"}
    assert all(len(row.wrapped) > 60 for row in rows)


def test_equal_files_are_stored_once(tenant):
    first = tenant.files.put(b"content")
    assert tenant.files.put(io.BytesIO(b"content")) == first
    with tenant.files.open(first.digest) as content:
        assert content.read() == b"content"
    assert tenant.name in tenant.files.path(first.digest).parts


@pytest.mark.parametrize("content", [b"", io.BytesIO(b"")])
def test_an_empty_file_is_refused(tenant, content):
    with pytest.raises(Invalid):
        tenant.files.put(content)


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(tenancy, tenant):
    small = Tenancy(replace(tenancy.settings, file_size_max=10))
    store = small.open(tenant.name).files
    with pytest.raises(Invalid, match="corrected|larger"):
        store.put(io.BytesIO(b"x" * 11))
    assert store.put(b"x" * 10).size == 10
    folder = tenancy.settings.home / "files" / tenant.name
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1
    small.close()


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 64, "A" * 64, "0" * 63 + "/"])
def test_a_digest_of_nothing_is_not_found(tenant, digest):
    with pytest.raises(NotFound):
        tenant.files.open(digest)


def test_orphans_are_swept_and_attached_files_stay(tenant):
    kept, orphan = tenant.files.put(b"kept"), tenant.files.put(b"orphan")
    for one in (kept, orphan):
        os.utime(tenant.files.path(one.digest), (time.time() - 90, time.time() - 90))
    fresh = tenant.files.put(b"fresh")
    with tenant.write() as conn:
        for one, state in ((kept, "attached"), (orphan, "staging"), (fresh, "staging")):
            conn.execute(file_table.insert().values(name="a", media_type="text/plain", size=1, digest=one.digest, state=state))
        assert tenant.files.sweep(conn, staging_seconds=60) == 0
    with tenant.write() as conn:
        conn.execute(file_table.delete().where(file_table.c.digest == orphan.digest))
        assert tenant.files.sweep(conn, staging_seconds=60) == 1
    with pytest.raises(NotFound):
        tenant.files.open(orphan.digest)
    tenant.files.open(kept.digest).close()
    tenant.files.open(fresh.digest).close()


def test_an_upload_that_no_record_took_is_forgotten(tenant):
    with tenant.write() as conn:
        conn.execute(file_table.insert().values(name="a", media_type="text/plain", size=1, digest="0" * 64, state="staging"))
        conn.execute(file_table.insert().values(name="b", media_type="text/plain", size=1, digest="1" * 64, state="attached"))
        tenant.files.sweep(conn, staging_seconds=0)
        assert conn.scalars(sa.select(file_table.c.name)).all() == ["b"]
