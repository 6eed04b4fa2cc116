"""What mail programs talk to; the servers know nothing of each other."""
