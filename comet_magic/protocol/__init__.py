"""The wire without I/O: replies, stream events and refusals in; may this be sent again?

No socket, no clock, no random: what is read comes as bytes, what time it is comes as a number.
"""

from __future__ import annotations

from .events import Arrived, Event, Preview, Progress
from .judge import Attempt, Policy, RetryBudget, Verdict, judge
from .refusal import refusal, request_id_of
from .reply import Item, Reply, read_reply
from .stream import StreamEvent, StreamReader, read_preview, read_stream
from .waiting import backoff, retry_after, vouched

__all__ = [
    "Arrived",
    "Attempt",
    "Event",
    "Item",
    "Policy",
    "Preview",
    "Progress",
    "Reply",
    "RetryBudget",
    "StreamEvent",
    "StreamReader",
    "Verdict",
    "backoff",
    "judge",
    "read_preview",
    "read_reply",
    "read_stream",
    "refusal",
    "request_id_of",
    "retry_after",
    "vouched",
]
