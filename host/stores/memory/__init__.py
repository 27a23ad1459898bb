"""Session stores in memory: for tests, and for sessions that nobody wants to keep."""

from lash.host.stores.memory.factory import MemorySessionStoreFactory

__all__ = ["MemorySessionStoreFactory"]
