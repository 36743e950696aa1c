"""Ends all processes of a run when one of them has ended: at once and with one line, whatever ended it.

Every process holds a connection to the first one. The system closes the connections of a process that ends, however
it does, so nobody has to send heartbeats, which a busy process would miss. The main thread may be waiting in a library
for the process that is gone, so a thread of its own reads the connections and ends the process from there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import selectors
import socket
import threading
from collections.abc import Sequence
from typing import NoReturn

from savi.distributed.collectives import all_gather, from_rank_zero
from savi.types import SaviError

CONNECTING = 60.0
"""Most seconds that connecting may take."""
ENDING = 15.0
"""Most seconds that a process may take to end by itself when another one has failed."""
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds until the system asks whether the machine at the other end is still there, between two such questions, and
how many stay unanswered before the connection is closed."""

DONE, FAILED = "done", "failed"
"""The last word of a process. FAILED is followed by the line to show, if there is one."""


class Watch:
    """The connections of one process: to the first one, or in the first one to all others.

    All processes make it together, after they have met. Each says `done` or `fail` before it ends. One that ends
    without saying so has died, and the others end with exit code 2.
    """

    def __init__(self, rank: int, processes: int) -> None:
        self._rank, self._processes = rank, processes
        self._failing = threading.Event()
        machines = all_gather(socket.gethostname, "start")
        # One process on each machine tells of the first one's death.
        self._tells = rank == machines.index(machines[rank], 1) if rank else False
        self._peers = _accept(machines) if rank == 0 else _connect(rank)
        # A forked process must not hold the connections open when this one has died. At the end of this one, torch
        # would wait for the others, and they for the connections.
        os.register_at_fork(after_in_child=self._close)
        atexit.register(self._close)
        self._thread = threading.Thread(target=self._listen, daemon=True, name="watch")
        self._thread.start()

    def done(self) -> None:
        """This process is about to end, as it should."""
        self._say(DONE)

    def fail(self, line: str = "") -> None:
        """This process is about to end because of an error, and the others end with it.

        The first process shows its own error after this call. It also shows the line of another one, which this call
        then ends.
        """
        self._failing.set()
        self._say(f"{FAILED} {line}")
        if self._rank:
            self._thread.join(ENDING)

    def end(self, line: str) -> NoReturn:
        """Show the line, and end this process and the others, from any thread."""
        self.fail(line)
        end(line if self._rank == 0 else "")

    def _say(self, word: str) -> None:
        for connection in self._peers.values():
            with contextlib.suppress(OSError):  # the thread finds a peer that is gone
                connection.sendall(f"{word}\n".encode())

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer, connection in self._peers.items():
                selector.register(connection, selectors.EVENT_READ, peer)
            while selector.get_map():
                for key, _ in selector.select():
                    word = _read_line(self._peers[key.data])
                    selector.unregister(key.fileobj)
                    if word != DONE and self._rank:
                        self._follow(word)
                    elif word != DONE:
                        self._end_after(key.data, word)

    def _end_after(self, peer: int, word: str | None) -> None:
        """End all processes because of one, unless the main thread is ending them by itself."""
        who = f"process {peer} of {self._processes}"
        line = f"{who} has died (killed, or out of memory?)" if word is None else word.removeprefix(FAILED).strip()
        # An interrupt reaches all processes; this one's main thread has more to say about it.
        if not self._failing.wait(0 if line else ENDING):
            self.end(line or f"{who} was stopped")

    def _follow(self, word: str | None) -> NoReturn:
        """End behind the first process, which may have something to finish: its launcher would cut it short."""
        if word is None and not self._failing.is_set():
            end(f"process 0 of {self._processes} has died (killed, or out of memory?)" if self._tells else "")
        self._peers[0].settimeout(ENDING)
        _read_line(self._peers[0])
        end("")

    def _close(self) -> None:
        for connection in self._peers.values():
            connection.close()


def end(line: str) -> NoReturn:
    """Show a line, if there is one, and end this process at once, from any thread.

    The line goes past Python's buffers, which another thread may have locked.
    """
    if line:
        os.write(2, f"\nsavi: {line}\n".encode())  # a progress bar may have begun the current line
    os._exit(2)


def _accept(machines: Sequence[str]) -> dict[int, socket.socket]:
    """Connections from all other processes, by rank."""
    servers: list[socket.socket] = []
    token = secrets.token_hex(16)

    def offer() -> tuple[str, int, str]:
        if len(set(machines)) == 1:
            servers.append(socket.create_server(("127.0.0.1", 0)))
            return "127.0.0.1", servers[0].getsockname()[1], token
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        servers.append(socket.create_server(("", 0), family=family, dualstack_ipv6=both))
        return os.environ["MASTER_ADDR"], servers[0].getsockname()[1], token

    from_rank_zero(offer, "start")
    peers: dict[int, socket.socket] = {}
    with servers[0] as server:
        server.settimeout(CONNECTING)
        while len(peers) < len(machines) - 1:
            connection, _ = server.accept()
            connection.settimeout(CONNECTING)
            said, _, rank = (_read_line(connection) or "").partition(" ")
            if secrets.compare_digest(said, token):
                peers[int(rank)] = _keep(connection)
            else:
                connection.close()
    return peers


def _connect(rank: int) -> dict[int, socket.socket]:
    """The connection to the first process."""
    host, port, token = from_rank_zero(lambda: ("", 0, ""), "start")
    try:
        connection = socket.create_connection((host, port), CONNECTING)
        connection.sendall(f"{token} {rank}\n".encode())
    except OSError as error:
        raise SaviError(f"process {rank} can't reach process 0 at {host}:{port}: {error}") from None
    return {0: _keep(connection)}


def _keep(connection: socket.socket) -> socket.socket:
    """A connection without a time limit, on which the system notices that the other machine is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def _read_line(connection: socket.socket) -> str | None:
    """The next line, None where the connection ends before it does."""
    line = b""
    with contextlib.suppress(OSError):
        while not line.endswith(b"\n") and (byte := connection.recv(1)):
            line += byte
    return line[:-1].decode() if line.endswith(b"\n") else None
