"""Closing a listener of asyncio without losing a connection that is just being accepted."""

from __future__ import annotations

import asyncio


async def stop_listening(server: asyncio.Server) -> None:
    """Take no more connections; those already accepted have begun their conversation on return.

    `Server.close` alone may fall between accept() and the transport: the connection then belongs
    to nobody and stays open until it is collected.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    await asyncio.sleep(0)  # what was accepted gets its transport
    await asyncio.sleep(0)  # and its protocol
    server.close()
