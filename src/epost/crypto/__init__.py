"""Hashing, signatures, boxes, seals, certificates: thin, typed, no protocol knowledge.

No primitive is our own: SHA-2 and HMAC from the standard library, Ed25519 from PyNaCl,
AES-256-GCM, HPKE (X-Wing) and Argon2id from `cryptography`. docs/protocol.md has the formats.
"""
