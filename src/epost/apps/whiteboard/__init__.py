"""Whiteboards and shared notes, on the services of POST; to come (paper 1)."""
