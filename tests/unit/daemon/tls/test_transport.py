"""The TLS transport between real nodes on loopback."""

import pytest

from tests.support.tls import office, run


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def fast_loop(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_message_travels_and_names_its_authenticated_sender(fast_loop: bool) -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            anna.transport.send(bert.node, b"hello")
            await bert.events.until(lambda: bert.events.messages)
            assert bert.events.messages == [(anna.node, b"hello")]
            assert bert.transport.certificate(anna.node.id) == anna.identity.certificate
            bert.transport.send(anna.node, b"answer")
            await anna.events.until(lambda: anna.events.messages)
            assert anna.events.messages == [(bert.node, b"answer")]
        assert not anna.events.unreachable

    run(story(), fast_loop=fast_loop)
