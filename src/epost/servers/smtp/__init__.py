"""SMTP submission (RFC 6409) for the user's own mail programs."""
