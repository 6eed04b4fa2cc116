"""MIME by byte offsets: reads any octets, never changes one.

`structure` finds the parts, `section` the octets of an IMAP section, `headers`, `addresses` and
`content` read header fields, `skeleton` cuts a mail into storable parts and puts it together again.
"""
