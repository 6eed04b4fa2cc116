"""COMPRESS (RFC 4978)."""

import asyncio
import zlib

from epost.servers.imap.compression import InflatingReader
from epost.servers.imap.limits import READ_BYTES
from tests.support.imap_dialogue import MAIL, ImapHouse, put


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)


def test_both_ways_are_compressed_from_behind_the_ok() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await put(house.mail, MAIL)
        client = await house.member()
        assert (await client.command("COMPRESS LZMA"))[0].startswith("t BAD")
        assert (await client.command("COMPRESS DEFLATE"))[0].startswith("t OK")
        written = len(client.writer.written)
        client.send(deflated(b"a SELECT INBOX\r\nb FETCH 1 BODY[]\r\nc COMPRESS DEFLATE\r\n"))
        client.send(deflated(b"")[:0])
        inflater, inflated = zlib.decompressobj(-15), b""
        while b"\r\nc " not in inflated:
            await asyncio.sleep(0)
            fresh = bytes(client.writer.written[written:])
            written += len(fresh)
            inflated += inflater.decompress(fresh)
        assert MAIL in inflated
        assert b"c NO [COMPRESSIONACTIVE]" in inflated
        await client.hang_up()

    asyncio.run(scene())


def test_a_little_that_becomes_very_much_comes_in_pieces() -> None:
    async def scene() -> None:
        source = asyncio.StreamReader()
        source.feed_data(deflated(b"x" * 50_000_000))
        source.feed_eof()
        reader, total = InflatingReader(source), 0
        while piece := await reader.read(READ_BYTES):
            assert len(piece) <= READ_BYTES
            total += len(piece)
        assert total == 50_000_000

    asyncio.run(scene())


def test_nonsense_ends_the_stream() -> None:
    async def scene() -> None:
        source = asyncio.StreamReader()
        source.feed_data(b"\xff" * 100)
        assert await InflatingReader(source).read(100) == b""

    asyncio.run(scene())
