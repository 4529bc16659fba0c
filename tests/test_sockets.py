"""Connections on asyncio's own sockets, and the threads that the loop hands work to."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import httpcore
import pytest

from comet_magic.client.loop_thread import WorkerThreads
from comet_magic.client.sockets import BUFFERED, Socket, connect
from comet_magic.client.transport import Connection
from tests.loopback import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        yield made


def between(listener: socket.socket, ask: Callable[[Socket, socket.socket], Coroutine[Any, Any, Any]]) -> Any:
    """What `ask` gives for both ends of a new connection: ours, and the server's as a plain socket."""

    async def both() -> Any:
        ours = await connect("127.0.0.1", listener.getsockname()[1], 20)
        theirs, _ = await asyncio.to_thread(listener.accept)
        with theirs:
            try:
                return await ask(ours, theirs)
            finally:
                await ours.aclose()

    return asyncio.run(both())


def test_everything_that_was_sent_is_read_in_few_pieces_however_slowly_it_is_read(
    listener: socket.socket,
) -> None:
    sent = bytes(range(256)) * (BUFFERED // 32)  # eight times what may wait to be read

    async def ask(ours: Socket, theirs: socket.socket) -> list[bytes]:
        def send() -> None:
            theirs.sendall(sent)
            theirs.shutdown(socket.SHUT_WR)

        sending = asyncio.create_task(asyncio.to_thread(send))
        pieces = []
        while piece := await ours.read(1, 20):
            pieces.append(piece)
            await asyncio.sleep(0.001)
        await sending
        return pieces

    pieces = between(listener, ask)
    assert b"".join(pieces) == sent
    assert max(map(len, pieces)) < len(sent)


def test_an_answer_that_came_before_the_connection_broke_is_read(listener: socket.socket) -> None:
    async def ask(ours: Socket, theirs: socket.socket) -> bytes:
        theirs.sendall(b"refused")
        first = await ours.read(1, 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()  # with a reset
        with pytest.raises(httpcore.ReadError):
            await ours.read(1, 20)
        with pytest.raises(httpcore.WriteError):
            await ours.write(b"more")
        return first

    assert between(listener, ask) == b"refused"


def test_silence_ends_a_read_in_time(listener: socket.socket) -> None:
    async def ask(ours: Socket, theirs: socket.socket) -> bytes:
        with pytest.raises(httpcore.ReadTimeout):
            await ours.read(1, 0.01)
        theirs.sendall(b"late")
        return await ours.read(1, 20)

    assert between(listener, ask) == b"late"


def test_a_write_ends_when_the_system_has_taken_all_of_it(listener: socket.socket) -> None:
    body = b"x" * (32 << 20)  # more than the buffers of both ends hold

    async def ask(ours: Socket, theirs: socket.socket) -> int:
        writing = asyncio.create_task(ours.write(body))
        first = await asyncio.to_thread(theirs.recv, 1)
        assert not writing.done()
        received = len(first)
        while received < len(body):
            received += len(await asyncio.to_thread(theirs.recv, 1 << 20))
        await writing
        return received

    assert between(listener, ask) == len(body)


def test_a_port_where_nobody_listens_and_a_name_that_nobody_has_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for host in ("127.0.0.1", f"{'x' * 70}.test"):
        with pytest.raises(httpcore.ConnectError):
            asyncio.run(connect(host, port, 20))


# --- threads


def test_work_comes_back_with_its_result_or_fault_and_no_more_threads_than_allowed_are_made() -> None:
    before = set(threading.enumerate())
    meet = threading.Barrier(2)

    async def work() -> tuple[list[int], int]:
        threads = WorkerThreads(2)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        async with anyio.create_task_group() as group:
            for _ in range(4):  # each waits for another one beside it
                group.start_soon(threads.run, meet.wait, 20)
        found = [await threads.run(len, "abc")]
        made = len(set(threading.enumerate()) - before)
        threads.end()
        return found, made

    assert asyncio.run(work()) == ([3], 2)
    assert until(lambda: set(threading.enumerate()) <= before)


def test_a_cancellation_waits_for_work_that_runs() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        go.wait(20)
        done.set()

    async def work() -> bool:
        threads = WorkerThreads(1)
        async with anyio.create_task_group() as group:
            group.start_soon(threads.run, act)
            await asyncio.to_thread(begun.wait, 20)
            group.cancel_scope.cancel()
            asyncio.get_running_loop().call_soon(go.set)
        threads.end()
        return done.is_set()

    assert asyncio.run(work())


@pytest.mark.parametrize("turns", range(12))
def test_a_request_that_is_stopped_at_any_turn_of_the_loop_leaves_no_connection_open(
    listener: socket.socket, turns: int
) -> None:
    port = listener.getsockname()[1]

    async def stopped() -> None:
        url = httpcore.URL(f"http://127.0.0.1:{port}/v1")
        sending = asyncio.create_task(
            Connection("http://127.0.0.1", None, 20).send("POST", url, {}, content=b"")
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    asyncio.run(stopped())
    listener.settimeout(0)
    try:
        theirs, _ = listener.accept()
    except BlockingIOError:
        return  # stopped before it connected
    with theirs:
        theirs.settimeout(20)
        with suppress(ConnectionResetError):
            while theirs.recv(4096):
                pass
