"""The ways a session lets its model act: ``rlm`` by programs, ``standard`` by native tool calls."""
