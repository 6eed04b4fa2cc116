"""The text of HTML, without its markup."""

import html
import re

_UNSEEN = re.compile(
    r"<(head|style|script|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# Tags within a word, which do not part it: `<b>W</b>ord`.
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|code|em|font|i|mark|s|small|span|strong|sub|sup|tt|u|wbr)"
    r"(?:\s[^>]*)?(?:>|\Z)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^>]*(?:>|\Z)")
_LINK = re.compile(r"\shref\s{0,9}=\s{0,9}[\"']?([^\"'\s<>]{1,2000})", re.IGNORECASE)


def shown_html(markup: str) -> str:
    """Return what of a page is shown: a space where tags part words, characters for entities."""
    return _shown(_UNSEEN.sub(" ", markup))


def text_of_html(markup: str) -> str:
    """Return what of a page is shown, and where its links lead."""
    seen = _UNSEEN.sub(" ", markup)
    return "\n".join((_shown(seen), *map(html.unescape, _LINK.findall(seen))))


def _shown(markup: str) -> str:
    return html.unescape(_TAG.sub(" ", _INLINE_TAG.sub("", markup)))
