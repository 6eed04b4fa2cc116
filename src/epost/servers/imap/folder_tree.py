"""Which folders a LIST shows, and with which attributes (RFC 3501 6.3.8, RFC 5258)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from epost.apps.mail.mailbox import INBOX, SEPARATOR, FolderInfo


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the answer."""

    name: str
    attributes: tuple[str, ...]
    is_selectable: bool
    chosen_children: tuple[str, ...] = ()  # CHILDINFO of RFC 5258 4: by which options
    old_name: str | None = None  # before it was renamed (RFC 5465 5.4)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is listed."""

    patterns: Sequence[str]
    subscribed_only: bool = False
    special_use_only: bool = False
    parents_of_chosen: bool = False  # RECURSIVEMATCH
    show_subscribed: bool = False
    is_extended: bool = False  # the client knows RFC 5258

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that a folder must meet, all of them."""
        subscribed = ("SUBSCRIBED",) if self.subscribed_only else ()
        return (*subscribed, "SPECIAL-USE") if self.special_use_only else subscribed


@dataclass(slots=True)
class FolderTree:
    """All folders, the parents that their names imply, and what is subscribed."""

    folders: Sequence[FolderInfo]
    subscriptions: frozenset[str]
    _by_name: dict[str, FolderInfo] = field(init=False)
    _parents: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {info.name: info for info in self.folders}
        self._parents = frozenset(parents_of(self._by_name))

    def listed(self, choice: Choice) -> Iterator[Listed]:
        """The answer to LIST, in the order of names, INBOX first."""
        hidden = (name for name in self._chosen_names(choice) if not _fits(name, choice))
        chosen_parents = frozenset(parents_of(hidden))
        for name in self._names(choice):
            if not _fits(name, choice):
                continue
            is_chosen, has_chosen = self._is_chosen(name, choice), name in chosen_parents
            shows_children = choice.parents_of_chosen and has_chosen
            if is_chosen or shows_children:
                info = self._by_name.get(name)
                attributes = tuple(self._attributes(name, info, choice))
                children = choice.options if shows_children else ()
                yield Listed(name, attributes, info is not None, children)

    def listed_subscriptions(self, pattern: str) -> Iterator[Listed]:
        r"""The answer to LSUB: a parent stands for what % hides below it, with \Noselect."""
        parents = parents_of(self.subscriptions) if pattern.endswith("%") else ()
        for name in _in_order({*self.subscriptions, *parents}):
            if matches(name, pattern):
                is_subscribed = name in self.subscriptions
                yield Listed(name, () if is_subscribed else ("\\Noselect",), is_subscribed)

    def described(self, name: str) -> Listed:
        """What one name stands for, whether there is such a folder or not."""
        info = self._by_name.get(name)
        choice = Choice((), show_subscribed=True, is_extended=True)
        return Listed(name, tuple(self._attributes(name, info, choice)), info is not None)

    def _names(self, choice: Choice) -> list[str]:
        names = {*self._by_name, *self._parents}
        if choice.subscribed_only:
            names |= self.subscriptions
            if choice.parents_of_chosen:
                names |= set(parents_of(self.subscriptions))
        return _in_order(names)

    def _chosen_names(self, choice: Choice) -> Iterable[str]:
        if not choice.parents_of_chosen:
            return ()
        return [name for name in self._names(choice) if self._is_chosen(name, choice)]

    def _is_chosen(self, name: str, choice: Choice) -> bool:
        if choice.subscribed_only and name not in self.subscriptions:
            return False
        info = self._by_name.get(name)
        return not choice.special_use_only or (info is not None and info.special_use is not None)

    def _attributes(self, name: str, info: FolderInfo | None, choice: Choice) -> Iterator[str]:
        if info is None:
            yield "\\NonExistent"
            if not choice.is_extended:  # older clients do not know what the other implies
                yield "\\Noselect"
        yield "\\HasChildren" if name in self._parents else "\\HasNoChildren"
        if (choice.subscribed_only or choice.show_subscribed) and name in self.subscriptions:
            yield "\\Subscribed"
        if info is not None and info.special_use is not None:
            yield info.special_use.value


def _fits(name: str, choice: Choice) -> bool:
    return any(matches(name, pattern) for pattern in choice.patterns)


def parents_of(names: Iterable[str]) -> Iterator[str]:
    """Every name above one of `names`, some more than once."""
    for name in names:
        at = name.find(SEPARATOR)
        while at > 0:
            yield name[:at]
            at = name.find(SEPARATOR, at + 1)


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern fits: "*" stands for anything, "%" for anything but a separator.

    Follows all possibilities at once: the work is bounded by the product of the lengths.
    """
    if name == INBOX:
        pattern = pattern.upper()
    places = {0}
    for wanted in pattern:
        if not places:
            return False
        if wanted == "*":
            places = set(range(min(places), len(name) + 1))
        elif wanted == "%":
            places = {end for place in places for end in _within_level(name, place)}
        else:
            places = {place + 1 for place in places if name[place : place + 1] == wanted}
    return len(name) in places


def _within_level(name: str, place: int) -> range:
    separator = name.find(SEPARATOR, place)
    return range(place, (len(name) if separator < 0 else separator) + 1)


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != INBOX, name))
