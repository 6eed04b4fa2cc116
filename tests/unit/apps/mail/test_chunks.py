"""Cutting long lists."""

from __future__ import annotations

import pytest

from epost.apps.mail.chunks import in_chunks


@pytest.mark.parametrize(
    ("items", "chunks"), [([], []), ([1], [(1,)]), ([1, 2, 3], [(1, 2), (3,)])]
)
def test_lists_are_cut_into_chunks(items: list[int], chunks: list[tuple[int, ...]]) -> None:
    assert list(in_chunks(items, 2)) == chunks
