"""Traces: what a session did, as records that are written while it runs and read afterwards.

core = LashCore(..., trace_jsonl_path="trace.jsonl")

for entry in read_trace("trace.jsonl"):
    print(entry.line_no, entry.record)
"""

from lash.host.tracing.encoding import InvalidRecord, decode_record, encode_record
from lash.host.tracing.entries import TraceEntry
from lash.host.tracing.jsonl import JsonlTraceSink
from lash.host.tracing.reading import LlmCall, ToolCall, TraceParseError, Turn, fold_calls, read_trace
from lash.host.tracing.redaction import LearnsSecrets, Redactor
from lash.host.tracing.sharing import expand_messages
from lash.host.tracing.sinks import (
    MemoryTraceSink,
    NullTraceSink,
    RedactingTraceSink,
    StderrTraceSink,
    TeeTraceSink,
)
from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import (
    TRACE_SCHEMA_VERSION,
    TraceContext,
    TraceEvent,
    TraceLevel,
    TraceLimits,
    TraceRecord,
    TraceSink,
    TraceStats,
    UnknownTraceRecord,
)

__all__ = [
    "TRACE_SCHEMA_VERSION",
    "InvalidRecord",
    "JsonlTraceSink",
    "LearnsSecrets",
    "LlmCall",
    "MemoryTraceSink",
    "NullTraceSink",
    "RedactingTraceSink",
    "Redactor",
    "StderrTraceSink",
    "TeeTraceSink",
    "ToolCall",
    "TraceContext",
    "TraceEntry",
    "TraceEvent",
    "TraceLevel",
    "TraceLimits",
    "TraceParseError",
    "TraceRecord",
    "TraceSink",
    "TraceSinkError",
    "TraceStats",
    "Turn",
    "UnknownTraceRecord",
    "decode_record",
    "encode_record",
    "expand_messages",
    "fold_calls",
    "read_trace",
]
