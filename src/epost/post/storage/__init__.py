"""The message store: single copies, encrypted, and how long they are kept (POST 3.2)."""
