"""The one way in which parsing fails."""


class ImapSyntaxError(ValueError):
    """The command is not one of the grammar's; the text goes to the client after BAD."""


class ImpossibleName(ImapSyntaxError):  # noqa: N818 - as below
    """A folder name in a spelling that no folder can have: answered like a missing folder."""


class NumbersRefused(ImapSyntaxError):  # noqa: N818 - as below
    """Message numbers from a client that has done without them (RFC 9586 3)."""

    def __init__(self) -> None:
        super().__init__("Message numbers are not in use, only UIDs")


class UnknownCharset(ImapSyntaxError):  # noqa: N818 - the domain's words read better without "Error"
    """A SEARCH in a charset that is not offered (RFC 3501 6.4.4)."""

    empties_saved_result = False  # it was to be saved (RFC 5182 2.1)
