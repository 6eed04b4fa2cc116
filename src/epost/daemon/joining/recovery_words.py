"""The 24 words that stand for the recovery seed of an account (BIP 39; crypto 2.1)."""

from __future__ import annotations

from mnemonic import Mnemonic

from epost.foundation.errors import RefusedError

WORDS = 24


def words_of_seed(seed: bytes) -> str:
    """Return the words, to be written down, that `seed_of_words` takes back."""
    return Mnemonic("english").to_mnemonic(seed)


def seed_of_words(words: str) -> bytes:
    """Return the recovery seed of 24 words; raises RefusedError with what is wrong with them."""
    mnemonic = Mnemonic("english")
    said = words.lower().split()
    if len(said) != WORDS:
        raise RefusedError(f"the recovery phrase has {WORDS} words, these are {len(said)}")
    known = set(mnemonic.wordlist)
    for place, word in enumerate(said, 1):
        if word not in known:
            raise RefusedError(f"word {place} is not one of the list: is it spelt right?")
    if not mnemonic.check(" ".join(said)):
        raise RefusedError("these words do not belong together: is one of them another, or moved?")
    return bytes(mnemonic.to_entropy(said))
