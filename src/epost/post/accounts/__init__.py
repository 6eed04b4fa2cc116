"""Accounts: who a name is, its devices, and the keys of both (POST 3.1)."""
