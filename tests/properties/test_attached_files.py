"""Files come from strangers: whatever octets they are, they have a text, and never too much."""

from hypothesis import given, settings
from hypothesis import strategies as st

from epost.apps.mail.attached.markup import text_of_html
from epost.apps.mail.attached.office import text_of_office
from tests.support.attached_files import archive

LIMIT = 50
pieces = st.sampled_from(
    b"<|>|</|/>|<w:t>|</w:t>|<w:p>|</w:p>|<text:p>|</text:p>|<text:tab/>|<script>|<!--|-->|&amp;"
    b'|&#x41;|&|<a href="|"|PK\3\4|\n| |a|\xff'.split(b"|")
)
octets = st.lists(pieces | st.binary(max_size=4), max_size=40).map(b" ".join)


@settings(max_examples=60)
@given(octets)
def test_any_octets_are_a_page_or_a_document_with_some_text(anything: bytes) -> None:
    xml = anything.decode("latin-1")
    text_of_html(xml)
    assert len(text_of_office(anything, LIMIT)) <= LIMIT
    text_of_office(archive(("content.xml", xml), ("word/document.xml", xml))[:-3], LIMIT)
    text_of_office(b"PK\3\4" + anything, LIMIT)
