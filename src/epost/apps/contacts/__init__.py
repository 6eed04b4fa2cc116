"""Contacts: an address book folded from log records, on the services of POST; to come (paper 1)."""
