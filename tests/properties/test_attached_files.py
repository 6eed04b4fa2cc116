"""Files come from strangers: whatever octets they are, they have a text, and never too much."""

from hypothesis import given, settings
from hypothesis import strategies as st

from epost.apps.mail.attached.markup import text_of_html
from epost.apps.mail.attached.office import text_of_office
from epost.apps.mail.attached.pdf import text_of_pdf
from epost.apps.mail.attached.pdf_content import shown_text
from epost.apps.mail.attached.pdf_fonts import read_font
from tests.support.attached_files import archive, pdf, pdf_stream

LIMIT = 50
pieces = st.sampled_from(
    b"BT|ET|Tj|TJ|Td|Tm|T*|(|)|\\|<|>|<<|>>|[|]|/|/F1|/Type /Page|/Subtype /Form|/Contents|/Font"
    b"|/Resources|/Parent|/ToUnicode|/Differences|/Filter /FlateDecode|/ASCII85Decode|/ObjStm"
    b"|/First|1 0 obj|2 0 obj|3 0 obj|stream\n|endstream|1 0 R|2 0 R|3 0 R|0|-300|1.5|12345678901"
    b"|beginbfchar|beginbfrange|endbf|<00>|<0041>|%|\n| |a|\xff".split(b"|")
)
octets = st.lists(pieces | st.binary(max_size=4), max_size=40).map(b" ".join)


@settings(max_examples=60)
@given(octets)
def test_any_octets_are_a_pdf_with_some_text(anything: bytes) -> None:
    assert len(text_of_pdf(anything, LIMIT)) <= LIMIT
    assert len(text_of_pdf(pdf(anything), LIMIT)) <= LIMIT
    text_of_pdf(pdf(b"BT (\1) Tj ET", anything + b" 10 0 R", pdf_stream(10, anything)), LIMIT)
    assert (
        len(shown_text(anything, {b"F1": read_font(anything, anything, anything)}, LIMIT)) <= LIMIT
    )


@settings(max_examples=60)
@given(octets)
def test_any_octets_are_a_page_or_a_document_with_some_text(anything: bytes) -> None:
    xml = anything.decode("latin-1")
    text_of_html(xml)
    text_of_office(anything, LIMIT)
    text_of_office(archive(("content.xml", xml), ("word/document.xml", xml))[:-3], LIMIT)
    text_of_office(b"PK\3\4" + anything, LIMIT)
