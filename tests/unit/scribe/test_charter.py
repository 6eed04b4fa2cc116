"""Who may join and publish: what is signed, and what is made of it."""

import pytest

from epost.crypto.signing import SigningKey
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    BadSignature,
    HashMismatch,
    NotPermitted,
    Overloaded,
    PeerError,
    ReplayedNotification,
    UntrustedCertificate,
)
from epost.foundation.ids import Id
from epost.scribe import terms as terms_module
from epost.scribe.charter import (
    Charter,
    Publication,
    chartered_group,
    open_charter,
    open_permit,
    open_publication,
    sign_charter,
    sign_permit,
    sign_publication,
)
from epost.scribe.messages import Terms
from epost.scribe.terms import TermsBook

FOUNDER, EDITOR, STRANGER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
GROUP = chartered_group(FOUNDER.public, b"board")
NODE = b"n" * 20


def charter(
    *,
    version: int = 1,
    epoch: int = 0,
    publishers: tuple[bytes, ...] = (EDITOR.public,),
    admitters: tuple[bytes, ...] = (EDITOR.public,),
    name: bytes = b"board",
) -> bytes:
    said = Charter(1, FOUNDER.public, name, version, epoch, publishers, admitters)
    return sign_charter(FOUNDER, said)


def book(*, is_in_use: bool = True) -> TermsBook:
    return TermsBook(is_in_use=lambda _: is_in_use)


def learned(signed: bytes) -> TermsBook:
    terms = book()
    assert terms.learn(Terms(GROUP, signed, ()))
    return terms


def test_a_charter_proves_itself_to_whoever_knows_the_group() -> None:
    assert open_charter(charter(), GROUP).group == GROUP
    with pytest.raises(UntrustedCertificate):
        open_charter(charter(name=b"other"), GROUP)
    with pytest.raises(BadSignature):
        open_charter(charter()[:-1] + b"\0", GROUP)


def test_nobody_charters_the_group_of_somebody_else() -> None:
    forged = Charter(1, STRANGER.public, b"board", 9, 0, (), ())
    with pytest.raises(UntrustedCertificate):
        open_charter(sign_charter(STRANGER, forged), GROUP)


def test_a_permit_is_for_one_group_and_epoch_and_by_an_admitter() -> None:
    rules = open_charter(charter(epoch=2), GROUP)
    assert open_permit(sign_permit(EDITOR, GROUP, NODE, 2), rules).node_id == NODE
    for wrong in (
        sign_permit(EDITOR, GROUP, NODE, 1),
        sign_permit(STRANGER, GROUP, NODE, 2),
        sign_permit(EDITOR, Id(b"g" * 20), NODE, 2),
    ):
        with pytest.raises(NotPermitted):
            open_permit(wrong, rules)


def test_news_are_those_of_a_publisher_in_this_group_and_unchanged() -> None:
    rules = open_charter(charter(), GROUP)
    signed = sign_publication(EDITOR, GROUP, 7, b"news")
    statement, publication = open_publication(signed, rules)
    assert (statement.number, publication.body) == (7, b"news")
    with pytest.raises(HashMismatch):
        open_publication(encode(Publication(publication.mark, b"other")), rules)
    for wrong in (
        sign_publication(STRANGER, GROUP, 7, b"news"),
        sign_publication(EDITOR, Id(b"g" * 20), 7, b"news"),
    ):
        with pytest.raises(NotPermitted):
            open_publication(wrong, rules)


def test_terms_never_go_back() -> None:
    terms = learned(charter(version=2))
    assert not terms.learn(Terms(GROUP, charter(version=1), ()))
    assert terms.version(GROUP) == 2
    assert terms.learn(Terms(GROUP, charter(version=3), ()))
    assert terms.version(GROUP) == 3


def test_of_two_charters_of_one_version_all_take_the_same() -> None:
    one, other = charter(), charter(publishers=(STRANGER.public,))
    first, second = learned(one), learned(other)
    first.learn(Terms(GROUP, other, ()))
    second.learn(Terms(GROUP, one, ()))
    assert first.say(GROUP) == second.say(GROUP)


def test_a_group_without_charter_is_open_to_all() -> None:
    terms = book()
    assert terms.version(GROUP) == 0
    assert terms.say(GROUP) == Terms(GROUP, b"", ())
    assert terms.may_join(GROUP, b"")
    assert terms.is_permit_of(GROUP, NODE, b"")
    assert terms.open_news(GROUP, b"anything") == b"anything"


def test_a_charter_may_leave_joining_or_publishing_to_everybody() -> None:
    terms = learned(charter(publishers=(), admitters=()))
    assert terms.may_join(GROUP, b"")
    assert terms.is_permit_of(GROUP, NODE, b"")
    assert terms.open_news(GROUP, b"anything") == b"anything"


def test_a_permit_opens_the_tree_to_its_node_and_to_those_who_carry_for_it() -> None:
    terms = learned(charter())
    permit = sign_permit(EDITOR, GROUP, NODE, 0)
    assert terms.may_join(GROUP, permit)
    assert terms.is_permit_of(GROUP, NODE, permit)
    assert not terms.is_permit_of(GROUP, b"x" * 20, permit)
    for wrong in (b"", b"garbage", sign_permit(STRANGER, GROUP, NODE, 0)):
        assert not terms.may_join(GROUP, wrong)
        assert not terms.is_permit_of(GROUP, NODE, wrong)


def test_a_new_epoch_takes_permits_back() -> None:
    terms = learned(charter())
    permit = sign_permit(EDITOR, GROUP, NODE, 0)
    terms.learn(Terms(GROUP, charter(version=2, epoch=1), ()))
    assert not terms.may_join(GROUP, permit)


def test_news_are_heard_once_and_never_after_newer_ones() -> None:
    terms = learned(charter())
    assert terms.open_news(GROUP, sign_publication(EDITOR, GROUP, 2, b"two")) == b"two"
    for number in (2, 1):
        with pytest.raises(ReplayedNotification):
            terms.open_news(GROUP, sign_publication(EDITOR, GROUP, number, b"again"))


def test_how_far_a_publisher_got_is_told_on_and_proves_itself() -> None:
    terms = learned(charter())
    old = sign_publication(EDITOR, GROUP, 5, b"old")
    terms.open_news(GROUP, old)
    heir = book()
    heir.learn(terms.say(GROUP))
    with pytest.raises(ReplayedNotification):
        heir.open_news(GROUP, old)
    assert heir.say(GROUP) == terms.say(GROUP)
    (mark,) = terms.say(GROUP).marks
    forged = Terms(GROUP, charter(), (type(mark)(EDITOR.public, mark.statement[:-1] + b"\0"),))
    with pytest.raises(AuthenticityError):
        book().learn(forged)


def test_a_new_charter_keeps_how_far_its_publishers_got() -> None:
    terms = learned(charter(publishers=(EDITOR.public, STRANGER.public)))
    old = sign_publication(EDITOR, GROUP, 5, b"old")
    terms.open_news(GROUP, old)
    terms.open_news(GROUP, sign_publication(STRANGER, GROUP, 1, b"me too"))
    terms.learn(Terms(GROUP, charter(version=2), ()))
    assert [mark.publisher for mark in terms.say(GROUP).marks] == [EDITOR.public]
    with pytest.raises(ReplayedNotification):
        terms.open_news(GROUP, old)


def test_the_terms_kept_are_bounded_and_unused_ones_make_room(monkeypatch) -> None:
    monkeypatch.setattr(terms_module, "TERMS_MAX", 1)
    other = chartered_group(FOUNDER.public, b"other")
    crowded = learned(charter())
    with pytest.raises(Overloaded):
        crowded.learn(Terms(other, charter(name=b"other"), ()))
    relaxed = book(is_in_use=False)
    relaxed.learn(Terms(GROUP, charter(), ()))
    relaxed.learn(Terms(other, charter(name=b"other"), ()))
    assert (relaxed.version(GROUP), relaxed.version(other)) == (0, 1)


def test_garbage_is_no_charter_and_no_news() -> None:
    with pytest.raises(PeerError):
        book().learn(Terms(GROUP, b"garbage", ()))
    with pytest.raises(PeerError):
        learned(charter()).open_news(GROUP, b"garbage")
