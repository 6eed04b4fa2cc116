"""The applications on the services of POST; they know nothing of each other."""
