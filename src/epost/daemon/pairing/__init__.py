"""Adding a machine to an account from one that it has (design 6; crypto 3.9).

The old machine listens for one conversation, over TLS with a key drawn for it. The new machine is
given a code: a long one (typed, pasted or read as a QR code) that names the listener's key and
holds a token; or only the listener's address, and then both machines show six digits that the user
compares. The digits come from a commitment that is sent before the other side's number is known, so
somebody in the middle has one guess in a million, three times.

No secret of the account travels: the new machine's keys are drawn there, and the keyring that it is
given is sealed to them.
"""
