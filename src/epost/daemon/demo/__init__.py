"""`epost demo`: a small organisation of real daemons on loopback, and a real mail through it."""
