"""SCRAM against the example of its standard."""

import base64

from epost.servers.access.passwords import AppPassword, Scope, derive_record
from epost.servers.access.scram import Candidates, ScramServer


def test_the_exchange_of_rfc_7677_section_3_comes_out_to_the_octet() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    password = AppPassword("example", Scope.MAIL, derive_record("pencil", salt))
    server = ScramServer(
        candidates=lambda login: Candidates(salt, 4096, (password,)),
        server_nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        channel_binding=None,
        plus_offered=False,
    )
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    match = server.final(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert match is not None
    assert match.server_final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
