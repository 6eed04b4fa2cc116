"""Ends the conversations of a listener without losing one that is just beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class Conversations:
    """The connections that a listener serves, each in a task of its own, until `hang_up`."""

    def __init__(self) -> None:
        self._writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def __len__(self) -> int:
        return len(self._writers)

    def begin(self, talk: Coroutine[None, None, None], writer: asyncio.StreamWriter) -> None:
        """Let a client be served; whoever serves it closes `writer` at the end."""
        task = asyncio.get_running_loop().create_task(talk)
        self._writers[task] = writer
        task.add_done_callback(self._writers.pop)

    async def hang_up(self) -> None:
        """Cancel every conversation and wait until all have ended and are closed."""
        writers = dict(self._writers)
        for conversation in writers:
            conversation.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        for writer in writers.values():
            writer.close()  # one cancelled before its first step has closed nothing


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
