"""The table: for every scenario the one way in which a call may end."""

from __future__ import annotations

from tests.faults.expected_picture import PICTURE
from tests.faults.expected_reply import REPLY
from tests.faults.expected_wire import WIRE

ROWS = WIRE + REPLY + PICTURE
CORE = tuple(row for row in ROWS if row.core)
DOORS = tuple(row for row in ROWS if row.doors)
