"""What a daemon says when its user's account has other keys: the owner must know of it, always.

If it was not she, somebody has her words and was quicker: that is the moment to hear of it.
"""

from __future__ import annotations

from epost.daemon.account.own_inbox import put_in_inbox
from epost.foundation.ports import Clock
from epost.node.assembly import Node
from epost.node.renewal import Validity

SUBJECT = "Your account has other keys and other words"
TEXT = (
    "This machine goes on under other keys of your account. The 24 words that were\r\n"
    "in force before bring nothing back any more: keep the new ones.\r\n\r\n"
    "If you did not do this (epost account rekey), somebody else has your words\r\n"
    "and your account. Say so at once to whoever runs the organisation, by another\r\n"
    "way than mail.\r\n"
)


async def tell_of_other_keys(node: Node, clock: Clock) -> None:
    """Put a mail into the user's inbox: every machine of hers does, as soon as it follows."""
    await node.ready()
    if node.mail is not None and node.post is not None:
        name = node.post.services.accounts.me.name
        await put_in_inbox(node.mail, name, SUBJECT, TEXT, clock)


def keys_advice(validity: Validity) -> list[str]:
    """Say, for `epost status`, that this machine was left behind by the account's keys, and why."""
    if not validity.keys_failure:
        return []
    return [
        "ALARM: your account has other keys than this machine, which cannot go on under them: "
        f"{validity.keys_failure}. If you did not do this (epost account rekey), somebody else has "
        "your 24 words: say so at once to whoever runs the organisation, by another way than mail."
    ]
