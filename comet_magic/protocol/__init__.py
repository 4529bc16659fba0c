"""The wire without I/O: replies, stream events, refusals, and the decision whether a request is sent again.

No socket, no clock, no random numbers: bytes and times are arguments.
"""

from __future__ import annotations

from .answer import is_complete, read_answer
from .decisions import TABLE, CallStatus, Decision, RowStatus, call_status, decide, row_status, should_retry
from .refusal import refusal_of, request_id_of
from .reply import Reply, ReplyItem, read_reply
from .retry import (
    Retries,
    RetryBudget,
    RetryPolicy,
    RetryVerdict,
    backoff,
    retry_after,
)
from .sse import StreamEvent, StreamReader, read_preview, read_stream

__all__ = [
    "TABLE",
    "CallStatus",
    "Decision",
    "Reply",
    "ReplyItem",
    "Retries",
    "RetryBudget",
    "RetryPolicy",
    "RetryVerdict",
    "RowStatus",
    "StreamEvent",
    "StreamReader",
    "backoff",
    "call_status",
    "decide",
    "is_complete",
    "read_answer",
    "read_preview",
    "read_reply",
    "read_stream",
    "refusal_of",
    "request_id_of",
    "retry_after",
    "row_status",
    "should_retry",
]
