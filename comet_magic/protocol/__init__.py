"""The wire without I/O: answers, stream events, refusals, and the decision whether a request is sent again.

No socket, no clock, no random numbers: bytes and times are arguments.
"""

from .answer import Reply, StreamCollector, is_complete, read_answer, read_preview
from .body import decoded, looks_like_a_stream
from .decisions import TABLE, CallStatus, Decision, RowStatus, call_status, decide, row_status, should_retry
from .pictures import ReplyItem
from .refusal import refusal_of, request_id_of
from .retry import Retries, RetryBudget, RetryPolicy, RetryVerdict, backoff, retry_after
from .sse import StreamEvent, StreamReader
