"""Attached files are read in a process of their own, which may do next to nothing."""
