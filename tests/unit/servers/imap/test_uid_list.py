"""The UIDs of one session, which begin as a list that all sessions of a folder share."""

from array import array

from epost.servers.imap.uid_list import UidList


def test_a_shared_list_stays_as_it_is_when_a_session_learns_of_changes() -> None:
    shared = array("I", (3, 5, 8))
    grown, shrunk = UidList(shared), UidList(shared)
    grown.extend([9])
    grown.extend([12])
    assert shrunk.remove([5]) == [1]
    shrunk.extend([10])
    assert list(grown) == [3, 5, 8, 9, 12]
    assert list(shrunk) == [3, 8, 10]
    assert list(shared) == [3, 5, 8]
