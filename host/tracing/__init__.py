"""Traces on the host's side: sinks, redaction, reading. The records themselves are in `lash.runtime.seams.trace`."""
