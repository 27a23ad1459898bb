"""The session graph (runtime.md 3.1): an append-only tree of nodes with one leaf.

The *active path* is the leaf with its ancestors. Nothing is ever edited: to rewrite history is to begin a branch behind
the longest part that stays, and the old branch lies there as an orphan. Indexes are extended as nodes are appended, so
that k nodes cost O(k).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lash.runtime.errors import DuplicateNode, SessionError
from lash.runtime.sansio.messages import SessionEvent, SessionEventRecord
from lash.runtime.seams.persistence import AnyGraphDelta, GraphDelta, SessionNode


class SessionGraph:
    """The nodes of one session that are loaded; `leaf` is the end of the active path, None for an empty one.

    `whole` says that there are no others in its store.
    """

    def __init__(self, nodes: Iterable[SessionNode] = (), leaf: str | None = None, *, whole: bool = True) -> None:
        self.whole = whole
        self._nodes: dict[str, SessionNode] = {}
        for node in nodes:
            if node.node_id in self._nodes:
                raise DuplicateNode(node.node_id)
            self._nodes[node.node_id] = node
        self._path: list[SessionNode] = []
        self._new: list[SessionNode] = []
        self._ordinals: dict[str, int] = {}
        self._replaced = False
        self._set_leaf(leaf)

    @property
    def leaf(self) -> str | None:
        """The id of the last node of the active path."""
        return self._path[-1].node_id if self._path else None

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, node_id: str) -> SessionNode | None:
        """A loaded node."""
        return self._nodes.get(node_id)

    def nodes(self) -> Sequence[SessionNode]:
        """All loaded nodes, in the order they came."""
        return tuple(self._nodes.values())

    def active_path(self) -> Sequence[SessionNode]:
        """The nodes from the root to the leaf."""
        return tuple(self._path)

    def active_events(self) -> Sequence[SessionEventRecord]:
        """What the nodes of the active path say."""
        return tuple(node.payload for node in self._path)

    def append(self, events: Iterable[SessionEventRecord], scope: str, timestamp_ms: int) -> list[SessionNode]:
        """Add nodes behind the leaf; `scope` is a turn or operation id, from which the nodes' ids are made."""
        added: list[SessionNode] = []
        for event in events:
            ordinal = self._ordinals.get(scope, 0)
            node = SessionNode(f"n:{scope}:{ordinal}", self.leaf, timestamp_ms, event)
            self._ordinals[scope] = ordinal + 1
            if node.node_id in self._nodes:
                raise DuplicateNode(node.node_id)
            self._nodes[node.node_id] = node
            self._path.append(node)
            self._new.append(node)
            added.append(node)
        return added

    def branch_to(self, node_id: str | None) -> None:
        """Make another node the leaf; None for the empty start. SessionError where it is not loaded."""
        if node_id is not None and node_id not in self._nodes:
            raise SessionError("unknown_node", f"this session has no node {node_id!r}")
        self._set_leaf(node_id)

    def rewrite(self, events: Sequence[SessionEventRecord], scope: str, timestamp_ms: int) -> list[SessionNode]:
        """Make the active path say this: what stays the same at its beginning is kept, the rest becomes a branch."""
        kept = 0
        while kept < min(len(events), len(self._path)) and self._path[kept].payload == events[kept]:
            kept += 1
        self._set_leaf(self._path[kept - 1].node_id if kept else None)
        return self.append(events[kept:], scope, timestamp_ms)

    def fork_current_path(self) -> SessionGraph:
        """A graph of the active path alone, node ids kept."""
        return SessionGraph(self._path, self.leaf)

    def heal_orphaned_leaf(self) -> bool:
        """Where the stored leaf is gone, fall back to the newest message; whether anything had to be done.

        The next commit then replaces the stored graph whole, so that all of it has to be loaded.
        """
        if self._path or not self._nodes or not self.whole:
            return False
        messages = [node for node in self._nodes.values() if isinstance(node.payload, SessionEvent.Conversation)]
        newest = max(messages or self._nodes.values(), key=lambda node: node.timestamp_ms)
        self._set_leaf(newest.node_id)
        self._replaced = True
        return True

    def delta(self) -> AnyGraphDelta:
        """What has changed since the graph was loaded or `committed` was called."""
        if self._replaced:
            return GraphDelta.ReplaceFull(tuple(self._nodes.values()), self.leaf)
        if self._new:
            return GraphDelta.Append(tuple(self._new), self.leaf)
        return GraphDelta.Unchanged(self.leaf)

    def committed(self) -> None:
        """All changes are stored."""
        self._new.clear()
        self._replaced = False

    def _set_leaf(self, leaf: str | None) -> None:
        path: list[SessionNode] = []
        seen: set[str] = set()
        at = leaf
        while at is not None and at in self._nodes and at not in seen:
            seen.add(at)
            node = self._nodes[at]
            path.append(node)
            at = node.parent_node_id
        path.reverse()
        self._path = path
