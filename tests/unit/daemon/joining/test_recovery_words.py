"""The words that somebody has written down, as she types them."""

from __future__ import annotations

import pytest

from epost.daemon.joining.recovery_words import seed_of_words, words_of_seed
from epost.foundation.errors import RefusedError

WORDS = words_of_seed(bytes(32))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("abandon art", "24 words, these are 2"),
        (WORDS.replace("art", "arts"), "word 24 is not"),
        (WORDS.replace("art", "able"), "do not belong together"),
    ],
)
def test_mistyped_words_are_told_apart(words: str, complaint: str) -> None:
    with pytest.raises(RefusedError, match=complaint):
        seed_of_words(words)
    assert seed_of_words(WORDS.upper()) == bytes(32)
