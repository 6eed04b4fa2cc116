"""Inflating what strangers have deflated, as much of it as is wanted."""

import zlib

_WITHOUT_HEADER = -15  # and without a checksum: what is damaged is read up to there
_PIECE_BYTES = 64 * 1024  # what zlib has not used it copies, so it gets little at a time


class Budget:
    """How many octets may still be read and made of one file: compressed data can name any size,
    and a file can name the same data again and again."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is made."""
        return self._left <= 0

    def plain(self, octets: memoryview) -> bytes:
        """Return what is not deflated, up to what is left."""
        kept = bytes(octets[: max(0, self._left)])
        self._left -= len(kept)
        return kept

    def inflated(self, deflated: memoryview) -> bytes:
        """Return what comes out of raw DEFLATE data (RFC 1951) until they end, up to what is left.

        Data that are damaged are read up to about there.
        """
        inflater, pieces = zlib.decompressobj(_WITHOUT_HEADER), list[bytes]()
        for at in range(0, len(deflated), _PIECE_BYTES):
            if self.is_spent or inflater.eof:
                break
            try:
                piece = inflater.decompress(deflated[at : at + _PIECE_BYTES], self._left)
            except zlib.error:
                break
            pieces.append(piece)
            used = min(_PIECE_BYTES, len(deflated) - at) - len(inflater.unused_data)
            self._left -= len(piece) + used
        return b"".join(pieces)
