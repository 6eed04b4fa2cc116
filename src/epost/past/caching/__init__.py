"""Copies of immutable blocks in spare space on the ways that look-ups take (PAST, SOSP 2001)."""
