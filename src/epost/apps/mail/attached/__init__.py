"""The text of attached files, as it is searched: plain text, HTML, office documents, PDF.

Files come from strangers. Whatever they say about themselves, reading takes time linear in what
is read, every inflation is bounded, nothing is looked up elsewhere, and nothing raises.
"""
