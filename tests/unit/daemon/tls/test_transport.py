"""The TLS transport between real nodes on loopback."""

from __future__ import annotations

import asyncio
import gc
import ssl
from dataclasses import replace

import pytest

from epost.daemon.tls import NodeIdentity, RingNews, listen
from epost.daemon.tls.frames import CHUNK_BYTES, CloseReason, Frame, close_frame, frame
from epost.daemon.tls.observed import DialFailed, LinkDown, LinkRefused, LinkUp, QueueFull
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address, NodeHandle
from epost.foundation.wire import MESSAGE_SIZE_MAX
from tests.support.tls import (
    NOW_MS,
    QUICK,
    Machine,
    free_port,
    hello_of,
    node_id,
    office,
    raw_peer,
    run,
)

MIB = 1024 * 1024


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def fast_loop(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def linked(one: Machine, other: Machine) -> None:
    """Let two machines have a link."""
    one.transport.send(other.node, b"first")
    await other.events.until(lambda: (one.node, b"first") in other.events.messages)
    await one.events.until(lambda: one.events.seen(LinkUp))
    other.events.messages.clear()


def bodies(machine: Machine) -> list[bytes]:
    return [message for _, message in machine.events.messages]


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
            assert not bert.events.unreachable

    run(story(), fast_loop=fast_loop)


def test_a_message_to_oneself_is_delivered_soon_and_not_within_the_call() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            anna.transport.send(anna.node, b"note")
            assert not anna.events.messages
            await anna.events.until(lambda: anna.events.messages)
            assert anna.events.messages == [(anna.node, b"note")]
            assert anna.transport.certificate(anna.node.id) == anna.identity.certificate

    run(story())


def test_both_sides_tell_each_other_their_news_and_clocks() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            anna.view.told = RingNews(7, 8, b"t" * 32)
            await linked(anna, bert)
            assert bert.view.heard == [(anna.node, RingNews(7, 8, b"t" * 32), NOW_MS)]
            assert anna.view.heard == [(bert.node, RingNews(), NOW_MS)]

    run(story())


def test_small_messages_keep_their_order(fast_loop: bool) -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            sent = [number.to_bytes(4, "big") for number in range(5000)]
            for message in sent:
                anna.transport.send(bert.node, message)
            await bert.events.until(lambda: len(bert.events.messages) == len(sent))
            assert bodies(bert) == sent

    run(story(), fast_loop=fast_loop)


def test_the_largest_messages_pass_both_ways_while_small_calls_are_answered(
    fast_loop: bool,
) -> None:
    large = bytes(range(256)) * (MESSAGE_SIZE_MAX // 256)

    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            got: dict[str, list[bytes]] = {"anna": [], "bert": []}
            answered: list[int] = []

            def at_bert(sender: NodeHandle, message: bytes) -> None:
                if len(message) > 8:
                    got["bert"].append(message)
                else:
                    bert.transport.send(sender, message)

            def at_anna(sender: NodeHandle, message: bytes) -> None:
                if len(message) > 8:
                    got["anna"].append(message)
                    return
                answered.append(len(got["anna"]) + len(got["bert"]))
                anna.transport.send(sender, message)

            anna.events.react, bert.events.react = at_anna, at_bert
            for _ in range(3):
                expected = len(got["anna"]) + 1
                anna.transport.send(bert.node, b"ping")
                anna.transport.send(bert.node, large)
                bert.transport.send(anna.node, large)
                await anna.events.until(lambda: len(got["anna"]) == expected)  # noqa: B023
                await bert.events.until(lambda: len(got["bert"]) == expected)  # noqa: B023
            assert got == {"anna": [large] * 3, "bert": [large] * 3}
            assert answered.count(0) >= 3, "calls wait until a large message is over"

    run(story(), fast_loop=fast_loop)


def test_a_node_that_is_not_there_is_reported_at_once_and_once() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            gone = NodeHandle(anna.node.ring, node_id(9), (Address("127.0.0.1", free_port()),))
            for _ in range(10):
                anna.transport.send(gone, b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            assert anna.events.unreachable == [gone.id]
            assert len(anna.events.seen(DialFailed)) == 1

    run(story())


def test_a_node_without_addresses_is_reported() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            anna.transport.send(NodeHandle(anna.node.ring, node_id(9), ()), b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            assert "no addresses" in anna.events.seen(DialFailed)[0].text

    run(story())


def test_a_process_that_is_killed_is_reported_at_once_though_nothing_waits_for_it() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
            await anna.events.until(lambda: anna.events.unreachable)
            assert anna.events.unreachable == [bert.node.id]
            assert len(anna.events.seen(LinkDown)) == 1

    run(story())


def test_a_node_that_stops_is_reported_and_back_on_its_port_is_reached_again() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            await bert.transport.close()
            await anna.events.until(lambda: anna.events.unreachable)
            again = place.start(2, port=bert.address.port)
            assert again.node == bert.node
            await linked(anna, again)
            assert anna.events.unreachable == [bert.node.id]

    run(story())


def test_what_was_sent_just_before_closing_arrives() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            anna.transport.send(bert.node, b"last words")
            anna.transport.send(bert.node, bytes(MIB))
            await anna.transport.close()
            await anna.transport.close()
            assert bodies(bert) == [b"last words", bytes(MIB)]

    run(story())


def test_a_closed_transport_sends_and_reports_nothing() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await anna.transport.close()
            anna.transport.send(bert.node, b"late")
            anna.transport.send(anna.node, b"late")
            await asyncio.sleep(0)
            assert not anna.events.unreachable
            assert not anna.events.messages

    run(story())


def test_closing_does_not_wait_for_a_peer_that_does_not_close(fast_loop: bool) -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, close_seconds=0.05, linger_seconds=60)) as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
                peer.stop_reading()
                for _ in range(6):
                    anna.transport.send(bert.node, bytes(MIB))
                await anna.transport.close()
                assert len(anna.transport._links) == 0

    run(story(), fast_loop=fast_loop)


def test_closing_gives_up_a_dial_that_is_under_way() -> None:
    async def story() -> None:
        silent = listen(Address("127.0.0.1", 0), purpose="a host that never answers")
        address = Address("127.0.0.1", silent.getsockname()[1])
        async with office() as place:
            anna = place.start(1)
            anna.transport.send(NodeHandle(anna.node.ring, node_id(9), (address,)), b"hello")
            await asyncio.sleep(0)
        silent.close()

    run(story())


def test_a_port_that_is_taken_is_named() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            with pytest.raises(ConfigError, match=f"ring: .*port {anna.address.port}"):
                place.start(2, port=anna.address.port)

    run(story())


def test_an_ipv6_address_may_be_listened_on() -> None:
    try:
        listener = listen(Address("::1", 0), purpose="ring")
    except ConfigError:
        pytest.skip("no IPv6 here")
    with listener:
        assert listener.getsockname()[0] == "::1"


def test_listening_needs_an_address_of_this_machine() -> None:
    with pytest.raises(ConfigError, match="not an IP address"):
        listen(Address("localhost", 0), purpose="ring")
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        listen(Address("192.0.2.1", 0), purpose="ring")


def test_parts_of_an_identity_that_do_not_belong_together_are_refused() -> None:
    def mixed(identity: NodeIdentity) -> NodeIdentity:
        return replace(identity, key_seed=b"\x07" * 32)

    async def story() -> None:
        async with office() as place:
            with pytest.raises(ConfigError):
                place.start(1, change=mixed)

    run(story())


def test_nodes_that_dial_each_other_at_once_end_with_one_link_and_lose_nothing(
    fast_loop: bool,
) -> None:
    async def story() -> None:
        async with office() as place:
            machines = [place.start(number) for number in range(1, 6)]
            for one in machines:
                for other in machines:
                    if other is not one:
                        one.transport.send(other.node, b"small")
                        one.transport.send(other.node, bytes(3 * CHUNK_BYTES))
            for one in machines:
                await one.events.until(lambda: len(one.events.messages) >= 8)  # noqa: B023
            for one in machines:
                others = {m.node for m in machines if m is not one}
                small = {sender for sender, body in one.events.messages if body == b"small"}
                large = {sender for sender, body in one.events.messages if len(body) > 5}
                assert small == large == others
                assert not one.events.unreachable
            for one in machines:
                await one.events.until(lambda: len(one.transport._links) == 4)  # noqa: B023
                for peer in one.transport._peers.values():
                    assert peer.session is not None
                    assert peer.session.opened_by_us == (one.node.id < peer.node.id)

    run(story(), fast_loop=fast_loop)


def test_a_second_link_from_the_same_side_replaces_the_first() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as old, raw_peer(anna.address, bert) as new:
                old.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
                new.write(hello_of(bert))
                assert (await old.closing())[0] is CloseReason.DUPLICATE
                old.write(frame(Frame.WHOLE, b"under way"))
                await anna.events.until(lambda: anna.events.messages)
                anna.transport.send(bert.node, b"hello")
                assert (await new.frame())[0] is Frame.HELLO
                assert await new.frame() == (Frame.WHOLE, b"hello")
                assert bodies(anna) == [b"under way"]
                await old.end()
                assert not anna.events.unreachable

    run(story())


def test_links_that_a_peer_keeps_replacing_do_not_pile_up() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with (
                raw_peer(anna.address, bert) as first,
                raw_peer(anna.address, bert) as second,
                raw_peer(anna.address, bert) as third,
            ):
                for count, peer in enumerate((first, second, third), 1):
                    peer.write(hello_of(bert))
                    await anna.events.until(
                        lambda: len(anna.events.seen(LinkUp)) == count  # noqa: B023
                    )
                await first.end()
                await anna.events.until(lambda: len(anna.transport._links) <= 2)

    run(story())


def test_the_link_used_least_lately_makes_room_and_nobody_is_reported() -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, links_max=2)) as place:
            anna, bert, carl, dora = (place.start(number) for number in range(1, 5))
            await linked(anna, bert)
            await linked(anna, carl)
            await linked(anna, bert)
            await linked(anna, dora)
            await carl.events.until(lambda: carl.events.seen(LinkDown))
            assert {h.id for h in anna.transport.linked} == {bert.node.id, dora.node.id}
            assert not carl.transport.linked
            await linked(anna, carl)
            assert not anna.events.unreachable
            assert not carl.events.unreachable

    run(story())


def test_a_stranger_is_refused_while_all_links_are_busy() -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, links_max=1)) as place:
            anna = place.start(1)
            bert, carl = place.ring.identity(2), place.ring.identity(3)
            async with raw_peer(anna.address, bert) as busy, raw_peer(anna.address, carl) as late:
                busy.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
                for _ in range(7):
                    anna.transport.send(bert.node, bytes(MIB))
                late.write(hello_of(carl))
                assert await late.closing() == (CloseReason.REFUSED, "all links are busy")
                assert [h.id for h in anna.transport.linked] == [bert.node.id]

    run(story())


def test_what_waits_when_the_peer_saves_the_link_takes_another_one() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            await linked(bert, anna)
            peer = bert.transport._peers[anna.node.id]
            anna.transport.send(bert.node, bytes(3 * MIB))
            assert peer.session is not None
            peer.session.retire(CloseReason.IDLE)
            del bert.transport._peers[anna.node.id]
            await bert.events.until(lambda: bert.events.messages)
            assert bodies(bert) == [bytes(3 * MIB)]
            assert not anna.events.unreachable

    run(story())


def test_a_peer_that_does_not_read_bounds_what_waits_and_is_reported_once() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.seen(LinkUp))
                for _ in range(40):
                    anna.transport.send(bert.node, bytes(MIB))
                    await asyncio.sleep(0)
                await anna.events.until(lambda: anna.events.unreachable)
                assert anna.events.unreachable == [bert.node.id]
                assert len(anna.events.seen(QueueFull)) == 1
                assert anna.transport._budget.used <= QUICK.queue_bytes_max
            await anna.events.until(lambda: len(anna.events.unreachable) == 2)
            assert anna.transport._budget.used == 0

    run(story())


def test_an_overloaded_node_lets_its_peers_wait_and_loses_nothing(fast_loop: bool) -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            overloaded = True
            place.is_overloaded = lambda: overloaded
            count = 2000
            for number in range(count):
                anna.transport.send(bert.node, number.to_bytes(4, "big") + bytes(4000))
            await bert.events.until(lambda: bert.events.messages)
            assert len(bert.events.messages) < count
            assert bert.transport._overload._held
            overloaded = False
            await bert.events.until(lambda: len(bert.events.messages) == count)
            assert [m[:4] for m in bodies(bert)] == [n.to_bytes(4, "big") for n in range(count)]

    run(story(), fast_loop=fast_loop)


KEEN = replace(QUICK, keepalive_seconds=0.02, keepalive_answer_seconds=0.5)


def test_a_silent_peer_is_asked_and_reported_when_it_does_not_answer() -> None:
    async def story() -> None:
        async with office(config=KEEN) as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert))
                await anna.events.until(lambda: anna.events.unreachable)
                frames = [(await peer.frame())[0] for _ in range(3)]
                assert frames == [Frame.HELLO, Frame.PING, Frame.CLOSE]

    run(story())


def test_a_peer_that_answers_keeps_its_link() -> None:
    async def story() -> None:
        async with office(config=KEEN) as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert))
                assert (await peer.frame())[0] is Frame.HELLO
                for _ in range(5):
                    assert await peer.frame() == (Frame.PING, b"")
                    peer.write(frame(Frame.PONG))
                peer.write(frame(Frame.PING) * 1000)
                kinds = [await peer.frame()]
                while kinds[-1][0] is not Frame.PONG:
                    kinds.append(await peer.frame())
                assert not anna.events.unreachable

    run(story())


def test_the_right_one_of_several_addresses_is_found() -> None:
    async def story() -> None:
        silent = listen(Address("127.0.0.1", 0), purpose="a host that never answers")
        nobody = Address("127.0.0.1", free_port())
        hung = Address("127.0.0.1", silent.getsockname()[1])
        async with office() as place:
            anna, bert, carl = place.start(1), place.start(2), place.start(3)
            addresses = (nobody, hung, carl.address, bert.address)
            handle = NodeHandle(bert.node.ring, bert.node.node_id, addresses)
            anna.transport.send(handle, b"hello")
            await bert.events.until(lambda: bert.events.messages)
            assert bert.events.messages == [(anna.node, b"hello")]
            assert not carl.events.messages
            assert not anna.events.unreachable
        silent.close()

    run(story())


def test_a_node_that_answers_for_another_is_not_taken_for_it() -> None:
    async def story() -> None:
        async with office() as place:
            anna, carl = place.start(1), place.start(3)
            wrong = NodeHandle(anna.node.ring, node_id(9), (carl.address, anna.address))
            anna.transport.send(wrong, b"secret")
            await anna.events.until(lambda: anna.events.unreachable)
            assert anna.events.unreachable == [wrong.id]
            assert not carl.events.messages
            failed = anna.events.seen(DialFailed)[0]
            assert "there is " + str(carl.node) in failed.text
            assert "ourselves" in failed.text

    run(story())


def test_whoever_finds_the_gate_full_comes_back_and_is_let_in() -> None:
    async def story() -> None:
        narrow = replace(QUICK, handshakes_per_source_max=1)
        async with office() as place:
            busy = place.start(1, config=narrow)
            patient = replace(QUICK, dial_rounds=14)  # handshakes may take seconds, and queue
            others = [place.start(number, config=patient) for number in range(2, 8)]
            for other in others:
                other.transport.send(busy.node, b"hello")
            await busy.events.until(lambda: len(busy.events.messages) == len(others))
            refused = busy.events.seen(LinkRefused)
            assert any(str(event.error) == "too many connections" for event in refused)
            assert not any(other.events.unreachable for other in others)

    run(story())


def test_while_a_gate_stays_full_dialling_ends_after_some_rounds() -> None:
    async def story() -> None:
        shut = replace(QUICK, handshakes_per_source_max=0)
        async with office() as place:
            anna, bert = place.start(1), place.start(2, config=shut)
            anna.transport.send(bert.node, b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            refused = bert.events.seen(LinkRefused)
            assert len(refused) == QUICK.dial_rounds

    run(story())


def test_a_refused_node_is_cut_off_and_kept_out_for_a_while() -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, refuse_seconds=0.2, refused_max=1)) as place:
            anna, bert = place.start(1), place.start(2)
            await linked(bert, anna)
            anna.transport.refuse(bert.node.id, "sent three invalid blocks")
            await bert.events.until(lambda: bert.events.unreachable)
            assert "invalid blocks" in bert.events.seen(LinkDown)[0].text
            anna.transport.send(bert.node, b"hello")
            await anna.events.until(lambda: anna.events.unreachable)
            bert.transport.send(anna.node, b"let me in")
            await bert.events.until(lambda: bert.events.seen(DialFailed))
            assert "refused for a while" in str(anna.events.seen(LinkRefused)[0].error)
            anna.transport.refuse(node_id(7), "takes the only place in the table")
            await linked(anna, bert)

    run(story())


def test_the_state_of_a_link_that_is_over_does_not_wait_for_the_collector() -> None:
    def kept() -> int:
        return sum(isinstance(found, ssl.SSLObject) for found in gc.get_objects())

    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            gc.collect()
            gc.disable()
            before = kept()
            await linked(bert, anna)
            assert kept() == before + 2
            anna.transport.refuse(bert.node.id, "sent three invalid blocks")
            await bert.events.until(lambda: bert.events.unreachable and kept() == before)

    try:
        run(story())
    finally:
        gc.enable()


def test_a_revoked_node_loses_its_open_links() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            anna.transport.recheck()
            place.ring.revoked.add((2).to_bytes(16, "big"))
            assert anna.transport.linked
            anna.transport.recheck()
            await anna.events.until(lambda: anna.events.unreachable)
            await bert.events.until(lambda: bert.events.seen(LinkDown))
            assert "revoked" in bert.events.seen(LinkDown)[0].text
            assert not anna.transport.linked

    run(story())


def test_certificates_of_open_links_are_verified_again_from_time_to_time() -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, recheck_seconds=0.05)) as place:
            anna, bert = place.start(1), place.start(2)
            await linked(anna, bert)
            place.ring.revoked.add((2).to_bytes(16, "big"))
            await anna.events.until(lambda: anna.events.unreachable)

    run(story())


def test_a_renewed_certificate_is_shown_on_new_links() -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.start(2)
            renewed = place.ring.node_certificate(1, log_sequence=99)
            anna.transport.renew(replace(anna.identity, certificate=renewed))
            await linked(anna, bert)
            assert bert.transport.certificate(anna.node.id) == renewed

    run(story())


def test_certificates_kept_are_bounded() -> None:
    async def story() -> None:
        async with office(config=replace(QUICK, certificates_kept_max=1)) as place:
            anna, bert, carl = (place.start(number) for number in range(1, 4))
            await linked(anna, bert)
            await linked(anna, carl)
            assert anna.transport.certificate(bert.node.id) is None
            assert anna.transport.certificate(carl.node.id) == carl.identity.certificate

    run(story())


def test_a_peer_that_closes_because_it_is_done_with_us_is_reported() -> None:
    async def story() -> None:
        async with office() as place:
            anna = place.start(1)
            bert = place.ring.identity(2)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert) + close_frame(CloseReason.SHUTDOWN, "bye"))
                await anna.events.until(lambda: anna.events.unreachable)
                assert "shutdown: bye" in anna.events.seen(LinkDown)[0].text

    run(story())
