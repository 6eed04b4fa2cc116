"""News groups and bulletin boards, on the services of POST; to come (paper 1)."""
