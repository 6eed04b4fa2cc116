"""Calendars and invitations, on the services of POST; to come (paper 1)."""
