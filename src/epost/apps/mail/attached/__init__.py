"""The text of attached files, as it is searched: HTML, office documents, PDF.

`kinds` says which files are read, `reading` reads them. Files come from strangers: PDF and office
documents are read behind the port `ReadFile` (`apps.mail.ports`), in a process that has nothing
to lose.
"""
