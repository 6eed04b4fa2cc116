"""The one way in which parsing fails."""


class ImapSyntaxError(ValueError):
    """The command is not one of the grammar's; the text goes to the client after BAD."""


class UnknownCharset(ImapSyntaxError):  # noqa: N818 - the domain's words read better without "Error"
    """A SEARCH in a charset that is not offered (RFC 3501 6.4.4)."""
