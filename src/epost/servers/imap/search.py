"""Finds the messages that fulfil a search key (RFC 3501 6.4.4).

Whatever the row of a message decides is decided in one pass over the candidates; text is looked
for last, among the few that are left, by the mail application.
"""

from array import array
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import compress
from typing import assert_never

from epost.apps.mail.mailbox import MailTime, MessageRow, TextMatch
from epost.servers.imap.limits import FLAGS_PER_SLICE, LISTED_PER_SLICE, ROWS_PER_SLICE
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.dates import local_day
from epost.servers.imap.syntax.errors import NumbersRefused
from epost.servers.imap.syntax.flags import spelled_as
from epost.servers.imap.syntax.search_keys import (
    Both,
    Either,
    Every,
    HasEmailId,
    HasFlag,
    HasText,
    InSet,
    IsRecent,
    Moment,
    Not,
    Nothing,
    OfAge,
    OfSize,
    OnDay,
    Order,
    SearchKey,
    SinceModseq,
)
from epost.servers.imap.syntax.sequences import NumberSet
from epost.servers.imap.uid_list import UidList
from epost.servers.imap.view import FolderView

RowTest = Callable[[MessageRow], bool]
FlagTest = Callable[[frozenset[str]], bool]
Uids = Sequence[int]  # ascending


class Search:
    """One search in one view."""

    def __init__(self, session: Session, view: FolderView) -> None:
        self._session = session
        self._view = view

    async def among(self, uids: Uids, key: SearchKey) -> Uids:
        """Those of `uids` that fulfil the key."""
        match key:
            case Every():
                return uids
            case InSet():
                return await self._in_both(uids, self._members(key))
            case Both(keys):
                return await self._among_all(uids, keys)
            case _ if (flag_test := self._flag_test(key)) is not None:
                return await self._flagged(uids, flag_test)
            case _ if (test := self._row_test(key)) is not None:
                return await self._passing(uids, test)
            case HasText(match):
                return await self._matching(uids, match)
            case OnDay(Moment.SAVED):
                return await self._saved(uids, key)
            case Not(inner):
                return await self._without(uids, frozenset(await self.among(uids, inner)))
            case Either(keys):
                return await self._among_either(uids, keys)
            case _:
                raise AssertionError("every other key is decided by the row")

    async def _among_all(self, uids: Uids, keys: Sequence[SearchKey]) -> Uids:
        """Cheap conditions first: sets, flags, then rows in one pass, then what needs text."""
        tests: list[RowTest] = []
        expensive: list[SearchKey] = []
        for key in keys:
            if isinstance(key, InSet):
                uids = await self.among(uids, key)
            elif (flag_test := self._flag_test(key)) is not None:
                uids = await self._flagged(uids, flag_test)
            elif (test := self._row_test(key)) is not None:
                tests.append(test)
            else:
                expensive.append(key)
        if tests:
            uids = await self._passing(uids, partial(_all_pass, tests))
        for key in expensive:
            uids = await self.among(uids, key)
        return uids

    async def _among_either(self, uids: Uids, keys: Sequence[SearchKey]) -> Uids:
        """Each key is looked for only in what those before it have not found."""
        found: set[int] = set()
        others = uids
        for key in keys:
            hits = frozenset(await self.among(others, key))
            found |= hits
            others = await self._without(others, hits)
        return await self._kept(uids, found.__contains__)

    async def _flagged(self, uids: Uids, test: FlagTest) -> Uids:
        """Those whose flags pass a test: many messages share few sets of flags."""
        found = array("I")
        for start in range(0, len(uids), FLAGS_PER_SLICE):
            some = uids[start : start + FLAGS_PER_SLICE]
            rows = await self._view.folder.columns(some, facts=False)
            found.extend(compress(rows.uids, rows.whose_flags(test)))
            await self._pause(start, len(uids))
        return found

    async def _passing(self, uids: Uids, test: RowTest) -> Uids:
        """Those whose rows pass a test, loaded slice by slice."""
        found = array("I")
        for start in range(0, len(uids), ROWS_PER_SLICE):
            rows = await self._view.folder.rows(uids[start : start + ROWS_PER_SLICE])
            found.extend(row.uid for row in rows if test(row))
            await self._pause(start, len(uids))
        return found

    async def _matching(self, uids: Uids, match: TextMatch) -> Uids:
        """Those with a text, looked for slice by slice."""
        found = array("I")
        for start in range(0, len(uids), LISTED_PER_SLICE):
            some = uids[start : start + LISTED_PER_SLICE]
            hits = await self._view.folder.matching(match, some)
            found.extend(filter(hits.__contains__, some))
            await self._pause(start, len(uids))
        return found

    async def _saved(self, uids: Uids, key: OnDay) -> Uids:
        """Those that were saved then, or received if nobody noted the other (RFC 8514 4.3)."""
        compare, found = _COMPARISONS[key.order], array("I")
        for start in range(0, len(uids), ROWS_PER_SLICE):
            rows = await self._view.folder.rows(uids[start : start + ROWS_PER_SLICE])
            saved = await self._view.folder.save_dates([row.uid for row in rows])
            for row in rows:
                seconds = saved.get(row.uid)
                when = row.internal_date if seconds is None else MailTime(seconds)
                if compare(local_day(when), key.day):
                    found.append(row.uid)
            await self._pause(start, len(uids))
        return found

    async def _pause(self, done: int, goal: int) -> None:
        self._session.tell_progress(done, goal)
        await self._session.client.breathe()

    async def _without(self, uids: Uids, excluded: Collection[int]) -> Uids:
        return await self._kept(uids, lambda uid: uid not in excluded)

    async def _kept(self, uids: Uids, test: Callable[[int], bool]) -> Uids:
        kept = array("I")
        for start in range(0, len(uids), ROWS_PER_SLICE):
            kept.extend(filter(test, uids[start : start + ROWS_PER_SLICE]))
            await self._pause(start, len(uids))
        return kept

    async def _in_both(self, uids: Uids, members: UidList) -> Uids:
        kept = array("I")
        for start in range(0, len(uids), LISTED_PER_SLICE):
            kept += members.those_of(uids[start : start + LISTED_PER_SLICE])
            await self._pause(start, len(uids))
        return kept

    def _members(self, key: InSet) -> UidList:
        is_numbers = not key.by_uid and isinstance(key.messages, NumberSet)
        if is_numbers and self._session.modes.is_uid_only:
            raise NumbersRefused
        return UidList(self._view.resolve(key.messages, by_uid=key.by_uid, is_strict=False))

    def _flag_test(self, key: SearchKey) -> FlagTest | None:
        """A test of the flags alone, None if they do not decide."""
        match key:
            case HasFlag(flag):
                (spelled,) = spelled_as(frozenset({flag}), self._view.folder.keywords)
                return lambda flags: spelled in flags
            case Not(inner):
                test = self._flag_test(inner)
                return None if test is None else lambda flags: not test(flags)
            case _:
                return None

    def _row_test(self, key: SearchKey) -> RowTest | None:
        """A test of the row alone, None if the row does not decide."""
        match key:
            case HasText() | OnDay(Moment.SAVED):
                return None
            case Not(inner):
                test = self._row_test(inner)
                return None if test is None else lambda row: not test(row)
            case Both(keys) | Either(keys):
                tests = [test for test in map(self._row_test, keys) if test is not None]
                if len(tests) < len(keys):
                    return None
                return partial(_all_pass if isinstance(key, Both) else _any_passes, tests)
            case _:
                return self._simple_test(key)

    def _simple_test(
        self,
        key: Every
        | HasFlag
        | IsRecent
        | OnDay
        | OfSize
        | InSet
        | SinceModseq
        | OfAge
        | HasEmailId
        | Nothing,
    ) -> RowTest:
        match key:
            case Every() | Nothing():
                is_every = isinstance(key, Every)
                return lambda row: is_every
            case HasFlag(flag):
                (spelled,) = spelled_as(frozenset({flag}), self._view.folder.keywords)
                return lambda row: spelled in row.flags
            case IsRecent():
                return lambda row: self._view.is_recent(row.uid)
            case OnDay(moment, order, day):
                return partial(_is_on_day, moment, _COMPARISONS[order], day)
            case OfSize(order, size):
                compare = _COMPARISONS[order]
                return lambda row: compare(row.size, size)
            case InSet():
                members = self._members(key)
                return lambda row: row.uid in members
            case SinceModseq(modseq):
                return lambda row: row.modseq >= modseq
            case OfAge(order, seconds):
                limit = self._session.site.clock.wall_ms() // 1000 - seconds
                compare = _COMPARISONS[order]
                return lambda row: compare(row.internal_date.seconds, limit)
            case HasEmailId(email_id):
                return lambda row: row.email_id == email_id
            case unexpected:
                assert_never(unexpected)


_COMPARISONS: dict[Order, Callable[[int, int], bool]] = {
    Order.BELOW: int.__lt__,
    Order.EQUAL: int.__eq__,
    Order.ABOVE: int.__gt__,
    Order.AT_LEAST: int.__ge__,
    Order.AT_MOST: int.__le__,
}


def _is_on_day(
    moment: Moment, compare: Callable[[int, int], bool], day: int, row: MessageRow
) -> bool:
    when = row.internal_date if moment is Moment.INTERNAL else row.sent
    return when is not None and compare(local_day(when), day)


def _all_pass(tests: Sequence[RowTest], row: MessageRow) -> bool:
    return all(test(row) for test in tests)


def _any_passes(tests: Sequence[RowTest], row: MessageRow) -> bool:
    return any(test(row) for test in tests)
