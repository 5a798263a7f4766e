"""Who accepts connections, and hands each to the process that has the fewest, of several the one that was handed fewest before.

So work is spread evenly however few connections there are, the bounds on connections hold for all processes together, and a
process that is started again takes its part at once. Sockets that each process listens on by itself (SO_REUSEPORT) would be
spread by chance, and a process that dies would take those with it that wait to be accepted.
"""

import asyncio
import socket
from collections.abc import Sequence
from operator import itemgetter

import structlog

from runfold.access.limits import Limits
from runfold.http.processes.server_process import ServerProcess

PAUSE_SECONDS = 0.1
"""After an error of the operating system, such as that there are too many open files."""
LOOK_SECONDS = 0.01
_log = structlog.get_logger("runfold.http")


class Dispatcher:
    """Spreads the connections of one listening socket over processes."""

    def __init__(self, listener: socket.socket, processes: Sequence[ServerProcess], limits: Limits) -> None:
        listener.setblocking(False)
        self._listener, self._processes = listener, processes
        self._most, self._most_of_one = limits.all_connections, limits.of_one_address

    async def run(self) -> None:
        """Accept until it is cancelled. While no process serves, connections wait at the operating system."""
        loop = asyncio.get_running_loop()
        while True:
            await self._until_one_serves()
            try:
                connection, peer = await loop.sock_accept(self._listener)
            except OSError as error:
                _log.warning("no connection accepted", error=error.strerror or str(error))
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            await self._hand_on(connection, peer[0])

    async def _hand_on(self, connection: socket.socket, address: str) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        is_admitted = await self._has_room(address, self._most_of_one) and await self._has_room(None, self._most)
        await self._until_one_serves()
        emptiest = min((each for each in self._processes if each.can_take), key=lambda each: (each.count(None), each.handed))
        emptiest.hand(connection, address, is_admitted=is_admitted)

    async def _until_one_serves(self) -> None:
        while not any(each.can_take for each in self._processes):
            await asyncio.sleep(LOOK_SECONDS)

    async def _has_room(self, address: str | None, most: int) -> bool:
        """Return whether there is room for one more; where there is none, one without a request makes it, as in one process."""
        if sum(each.count(address) for each in self._processes) < most:
            return True
        having = [each for each in self._processes if each.count(address)]
        resting = zip(await asyncio.gather(*(each.first_rests(address) for each in having)), having, strict=True)
        for _, each in sorted(((since, each) for since, each in resting if since), key=itemgetter(0)):
            if await each.make_room(address):
                return True
        return sum(each.count(address) for each in self._processes) < most
