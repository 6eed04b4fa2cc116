"""Event notification: sending, delegating, receiving, and the proofs of each (POST 3.3)."""
