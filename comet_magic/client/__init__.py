"""The clients: `Client` waits, `AsyncClient` is awaited; all calls of a process run on one loop in one thread.

api             what users call: `Client`, `AsyncClient`, `generate`, `agenerate`
core            one client's settings, limiter and archive; plans calls and runs them as jobs
job             a call as its caller sees it; its requests; waiting and stopping
loop_thread     the one background thread; `process_exit` waits for what was sent when the script ends
run_call        the journey of one request, top to bottom; `results` reads and stores its pictures
reuse           the journey of a request with `reuse`: what another call makes is awaited, not bought
transport       HTTP; only it, `proxy` and `tls` know the library; `download` fetches pictures by address
limiter         how many calls at once, and how fast
takeover        paid calls of dead processes, finished free of charge
batch           many requests of a dataset
vendor          free questions: catalogue and balance
"""

from __future__ import annotations

from .api import AsyncClient, Client, agenerate, close_shared_client, edit, generate, shared_client
from .core import Plan
from .job import Abandoned, Arrived, Job, Preview, Progress, RunningCall, wait
from .results import picture_of
from .transport import proxy_to
from .vendor import Balance, Listed, reachable

__all__ = [
    "Abandoned",
    "Arrived",
    "AsyncClient",
    "Balance",
    "Client",
    "Job",
    "Listed",
    "Plan",
    "Preview",
    "Progress",
    "RunningCall",
    "agenerate",
    "close_shared_client",
    "edit",
    "generate",
    "picture_of",
    "proxy_to",
    "reachable",
    "shared_client",
    "wait",
]
