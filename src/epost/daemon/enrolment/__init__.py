"""Enrolment over TLS: the authority's listener, and the new member's side (crypto 3.8).

The listener is known by its key alone, which an issuer's certificate names. It says GREETING at
once; the client checks it against the invite and against the key of this very connection before
anything else leaves, then sends REQUEST, which holds the token; ANSWER or REFUSAL ends the
conversation. A client that lost the answer asks again with the same bytes. Formats and checks are
in `rings.enrolment`.
"""

from epost.daemon.enrolment.channel import EnrolmentLimits
from epost.daemon.enrolment.client import request_enrolment
from epost.daemon.enrolment.listener import EnrolmentRefused, EnrolmentServer, serve_enrolment

__all__ = [
    "EnrolmentLimits",
    "EnrolmentRefused",
    "EnrolmentServer",
    "request_enrolment",
    "serve_enrolment",
]
