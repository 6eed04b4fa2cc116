"""Blocks go into the inserter's own ring; notices and receipts into the recipient's."""

import pytest

from epost.crypto.certificates import NODE_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import BlockKind
from epost.rings.scope import require_scope
from tests.support.organisation import Organisation


@pytest.mark.parametrize("kind", list(BlockKind))
def test_insertion_is_scoped_to_the_ring_of_the_inserter(kind: BlockKind) -> None:
    certificate = Organisation().node("ann").certificate
    node = NODE_CERT.decode(parse(certificate, Kind.NODE).body)
    require_scope(node, kind, node.ring)
    if kind in {BlockKind.PENDING, BlockKind.RECEIPT}:
        require_scope(node, kind, bytes(20))
    else:
        with pytest.raises(NotPermitted):
            require_scope(node, kind, bytes(20))
