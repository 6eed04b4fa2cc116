"""What of HTML is shown."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.markup import text_of_html


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Gr&uuml;&szlig;e</p><p>an alle</p>", "Grüße an alle"),
        ("<b>W</b>ord <i class='x'>by</i> <font size=2>w</font>ord", "Word by word"),
        ("<title>no</title><style>p{}</style><script>x()</script>yes<!-- no -->", "yes"),
        ('see <a href="https://x.org/?a=1&amp;b=2">this</a>', "see this https://x.org/?a=1&b=2"),
        ("a < b", "a"),
        ("<body>1<br>2", "1 2"),
        ("", ""),
    ],
)
def test_tags_go_and_text_stays(markup: str, text: str) -> None:
    assert " ".join(text_of_html(markup).split()) == text


@pytest.mark.parametrize("piece", ["<", "<a ", "<head>", "<!--", "&", " href", " href="])
def test_what_never_ends_takes_no_longer_than_what_does(piece: str) -> None:
    assert len(text_of_html(piece * 100_000)) <= 2 * len(piece) * 100_000
