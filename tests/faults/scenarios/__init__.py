"""What the fault server can be asked for, by the words behind `F:` in a prompt."""

from tests.faults.scenarios import address, broken, payload, status, stream, transport

__all__ = ["address", "broken", "payload", "status", "stream", "transport"]
