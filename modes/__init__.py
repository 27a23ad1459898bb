"""The ways a session lets its model act, ``rlm`` and ``standard``: not written yet."""
