"""Where a tenant's data lies and how it is reached: tenancy, tables, transactions, files, secrets, outbox, bell.

    tenancy = Tenancy(Settings.from_env())
    tenant = tenancy.open("demo")
    with tenant.write() as conn:
        outbox.put(conn, tenant.revision().tables, kind="call", payload={...}, key="payout/42")
        after_commit(conn, lambda: bell.ring(tenant.name))
"""

from metaloom.storage.apart import apart
from metaloom.storage.failures import Contended, CutOff, Violation, violation
from metaloom.storage.files import FileStore, StoredFile
from metaloom.storage.hooks import after_commit
from metaloom.storage.postgresql import without_waiting
from metaloom.storage.revisions import Revision, TenantBroken
from metaloom.storage.secrets import Secrets, WrongKey
from metaloom.storage.settings import Settings
from metaloom.storage.tables import Tables
from metaloom.storage.tenancy import Tenancy, Tenant, TenantClosed, together

__all__ = [
    "Contended", "CutOff", "FileStore", "Revision", "Secrets", "Settings", "StoredFile", "Tables", "Tenancy", "Tenant",
    "TenantBroken", "TenantClosed", "Violation",
    "WrongKey", "after_commit", "apart", "together", "violation", "without_waiting",
]
