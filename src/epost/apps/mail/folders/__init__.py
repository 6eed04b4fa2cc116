"""Folders as mail servers see them, and what a client's changes become (paper 4.4)."""
