"""The IMAP server (RFC 3501 and the extensions named in `capabilities`).

`syntax/` turns bytes into requests and values into bytes, without I/O. `commands/` holds what each
command does, one file per group. `session` is the state of a client, `view` what it knows of its
folder, `dispatch` the way from a command to its answer, `connection` the only part that reads and
writes. A new command is a grammar, an `async def` and a line in its group's VERBS.
"""
