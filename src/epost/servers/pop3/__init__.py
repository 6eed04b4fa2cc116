"""POP3 for programs that take mail away (RFC 1939): the account's INBOX as a numbered list."""
