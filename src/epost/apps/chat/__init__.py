"""Chat rooms and instant messages, on the services of POST; to come (paper 1)."""
