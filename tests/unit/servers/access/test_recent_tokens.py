"""Tokens that were right lately."""

from epost.servers.access.passwords import derive_record
from epost.servers.access.recent_tokens import TOKENS_KEPT_MAX, RecentTokens

SALT = b"salt" * 4


def test_a_token_has_one_record_whether_it_is_known_or_not() -> None:
    tokens, record = RecentTokens(bytes(32)), derive_record("right", SALT, 10)
    assert tokens.record_of("right", SALT, 10) == record
    tokens.keep("right", record)
    assert tokens.record_of("right", SALT, 10) is record
    assert tokens.record_of("right", SALT, 11) == derive_record("right", SALT, 11)
    assert tokens.record_of("right", b"other", 10) == derive_record("right", b"other", 10)
    assert tokens.record_of("wrong", SALT, 10) == derive_record("wrong", SALT, 10)


def test_only_so_many_are_kept_and_those_in_use_stay() -> None:
    tokens, used = RecentTokens(bytes(32)), derive_record("used", SALT, 1)
    tokens.keep("used", used)
    for number in range(TOKENS_KEPT_MAX + 5):
        tokens.keep(str(number), derive_record(str(number), SALT, 1))
        assert tokens.record_of("used", SALT, 1) is used
    first = derive_record("0", SALT, 1)
    assert tokens.record_of("0", SALT, 1) is not first
    assert len(tokens._records) == TOKENS_KEPT_MAX
