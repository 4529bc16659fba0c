"""The clients in front of the work: `Client` waits, `AsyncClient` is awaited, both submit to one engine."""

from __future__ import annotations

from .api import AsyncClient, Client
from .core import Plan
from .default import agenerate, close_shared_client, generate, shared_client
from .job import Abandoned, CallView, Job, wait
from .vendor import Balance, Listed, reachable

__all__ = [
    "Abandoned",
    "AsyncClient",
    "Balance",
    "CallView",
    "Client",
    "Job",
    "Listed",
    "Plan",
    "agenerate",
    "close_shared_client",
    "generate",
    "reachable",
    "shared_client",
    "wait",
]
