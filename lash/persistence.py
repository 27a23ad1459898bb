"""Where sessions live: stores, what a commit holds, and the reading side of a session."""

from lash.host.stores.attachments import FileAttachmentStore, InMemoryAttachmentStore
from lash.host.stores.memory import MemorySessionStoreFactory
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.persistence import (
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimePersistence,
    SessionMeta,
    SessionNode,
    SessionRelation,
    SessionStoreFactory,
)
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import ChronologicalProjection, SessionReadView

__all__ = [
    "AttachmentStore",
    "ChronologicalProjection",
    "FileAttachmentStore",
    "InMemoryAttachmentStore",
    "MemorySessionStoreFactory",
    "PersistedSessionConfig",
    "RuntimeCommit",
    "RuntimePersistence",
    "SessionGraph",
    "SessionMeta",
    "SessionNode",
    "SessionReadView",
    "SessionRelation",
    "SessionStoreFactory",
    "SqliteSessionStoreFactory",
]
