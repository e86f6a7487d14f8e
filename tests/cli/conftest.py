from tests.storage.fixtures import database, settings, tenancy, tenant

__all__ = ["database", "settings", "tenancy", "tenant"]
