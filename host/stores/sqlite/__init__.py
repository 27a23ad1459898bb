"""Session stores on SQLite: one file per session below one folder."""

from lash.host.stores.sqlite.factory import SqliteSessionStoreFactory

__all__ = ["SqliteSessionStoreFactory"]
