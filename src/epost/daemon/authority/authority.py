"""The authority at work: founds the organisation, invites, certifies, revokes, says the policy.

It draws node ids after the request is fixed, enters each certificate in the certified log before
it leaves, and binds the answer durably to the request, so that a crash in between repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from epost.crypto.certificates import OrganisationTrust
from epost.crypto.names import canonical, canonical_domain
from epost.daemon.authority.appointing import Deputies, trust_of
from epost.daemon.authority.catching_up import CatchingUp, inherited
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.founding import (
    PROLONGED_BEFORE_MS,
    Organisation,
    found,
    is_founded,
    prolonged,
    read_public,
    write_public,
)
from epost.daemon.authority.invitations import Invitations, require_invited
from epost.daemon.authority.keys import (
    IssuerKeys,
    RootKeys,
    load_issuer_keys,
    load_root_keys,
    make_keys,
)
from epost.daemon.authority.log_publication import LogPublication
from epost.daemon.authority.members import Members
from epost.daemon.authority.register import REGISTER_FILE, Register
from epost.daemon.authority.rekeying import KeyChanges
from epost.daemon.authority.renaming import Renaming
from epost.daemon.authority.renewing import Renewals
from epost.daemon.authority.rolling_over import former_root_blocks, roll_over
from epost.daemon.authority.rules import Rules, changed_rules, read_rules, write_rules
from epost.daemon.authority.secret_desk import SecretDesk
from epost.daemon.authority.word import Word
from epost.daemon.authority.world import World
from epost.daemon.files import make_private_folder
from epost.foundation.codec import encode
from epost.foundation.errors import ConfigError, NotPermitted, RefusedError
from epost.foundation.ids import Address, NodeHandle
from epost.rings.enrolment import (
    CONTACTS_MAX,
    Answer,
    DeviceRequest,
    MemberRequest,
    Request,
    make_greeting,
    open_request,
    request_hash,
    require_recent,
    site_asked_for,
)
from epost.rings.policy import Reason


class Authority:
    """One organisation's authority on its folder."""

    def __init__(
        self, directory: Path, keys: IssuerKeys, public: Organisation, world: World
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._world = world
        self._register = Register(directory / REGISTER_FILE)
        self._invitations = Invitations(self._register, world)
        self._adopt(public)

    @classmethod
    def create(cls, directory: Path, domain: str, enrolment: Address, world: World) -> Self:
        """Found an organisation; raises ConfigError if the folder holds one already."""
        make_private_folder(directory)
        if is_founded(directory):
            raise ConfigError(
                f"{directory} holds the authority of an organisation already. Choose another "
                "folder for a new one; if its founding was cut off and it has no member, remove it."
            )
        keys = make_keys(directory, world.entropy)
        public = found(canonical_domain(domain), keys, enrolment, world.clock.wall_ms())
        write_public(directory, public)
        authority = cls(directory, keys.issuer, public, world)
        authority._word.publish()
        return authority

    @classmethod
    def open(cls, directory: Path, world: World) -> Self:
        """Open the authority of a folder; raises ConfigError."""
        return cls(directory, load_issuer_keys(directory), read_public(directory), world)

    def _adopt(self, public: Organisation) -> None:
        """Go on with this public part, which is on disk."""
        self._public = public
        self.trust: OrganisationTrust = trust_of(public)
        self.deputies = Deputies(
            public, self._root_keys, self._register, self._world, self._put_in_force
        )
        self._certifier = Certifier(self._register, self._keys, public, self.trust, self._world)
        self._renewals = Renewals(self._register, self._certifier, public, self.trust)
        self._word = Word(self._register, self._keys, self._certifier, self.trust, self._world)
        self.log = LogPublication(
            self._register, self._keys.certified_log, public.ring, self._world
        )
        self._catching_up = CatchingUp(self._register, self.log)
        self._word.inherited = lambda now: inherited(self._register, now)
        self.members = Members(self._register, self._certifier, self._word, self._world)
        self.names = Renaming(
            self._register, self._certifier, self.members, self._word, self._world
        )
        self.keys = KeyChanges(
            self._register, self._certifier, self._renewals, self._word, self._world
        )
        self.secrets = SecretDesk(self._register, self._certifier, self._word, self._world)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the register."""
        self._register.close()

    @property
    def enrolment_address(self) -> Address:
        """Where new members enrol."""
        return self._public.enrolment

    @property
    def enrolment_seed(self) -> bytes:
        """The key of the enrolment listener."""
        return self._keys.enrolment

    @property
    def greeting(self) -> bytes:
        """What the listener says first."""
        return make_greeting(self._public.certificate, [self._public.issuer])

    @property
    def issuer_block(self) -> bytes:
        """The newest issuer block."""
        return self._word.newest().data

    def invite(self, name: str | None) -> str:
        """Make an invitation for a user (or, None, for a storage-only machine).

        Raises RefusedError for a name that is taken, of another domain, or not a name.
        """
        if name is not None:
            name = canonical(name)
            self._require_free(name)
        return self._make_invite(name, is_device=False)

    def invite_device(self, name: str) -> str:
        """Make an invitation for one more machine of a user, who proves herself by her phrase.

        Raises RefusedError if there is no such account.
        """
        name = canonical(name)
        self.members.require_member(name)
        return self._make_invite(name, is_device=True)

    def _make_invite(self, name: str | None, *, is_device: bool) -> str:
        args = self.trust.fingerprint, self._public.enrolment
        return self._invitations.make(name, *args, is_device=is_device)

    def enrol(self, request: bytes, contacts: Sequence[NodeHandle] = ()) -> bytes:
        """Answer an enrolment request; the same request gets the same answer again.

        `contacts` are nodes through which the new one finds the ring.

        Raises PeerError or AuthenticityError (malformed), NotPermitted (no such token, used for
        another request, expired), RefusedError.
        """
        now = self._world.clock.wall_ms()
        opened = open_request(request)
        bound_to = request_hash(request)
        with self._register.transaction():
            invite = self._invitations.used_by(opened, now)
            require_invited(opened, invite)
            assert invite is not None
            if invite.request_hash is not None:
                if invite.request_hash != bound_to or invite.answer is None:
                    raise NotPermitted("this invitation was used already")
                return invite.answer
            require_recent(opened, now)
            if now >= invite.expires_at:
                raise NotPermitted("this invitation has expired")
            site = site_asked_for(request)
            answer = self._certify(opened, site, bound_to, now, tuple(contacts[:CONTACTS_MAX]))
            self._register.use_invite(invite.token_hash, bound_to, answer, now)
        return answer

    def renew(self, request: bytes, *, at_the_port: bool = False) -> bytes:
        """Answer a machine that wants its certificates renewed; see `rings.renewal`.

        Raises PeerError or AuthenticityError for what nobody in the ring signed.
        """
        now = self._world.clock.wall_ms()
        with self._register.transaction():
            return self._renewals.answer(request, now, at_the_port=at_the_port)

    def renew_absent_accounts(self) -> None:
        """Renew the accounts whose machines are all off."""
        with self._register.transaction():
            self._renewals.renew_absent(self._world.clock.wall_ms())

    def adopt_account(self, certificate: bytes) -> None:
        """Go on behind what a deputy certified for an account, under the same keys."""
        with self._register.transaction():
            self._renewals.adopt(certificate, self._world.clock.wall_ms())

    def fresh_accounts(self) -> Sequence[bytes]:
        """Return the certificates of accounts that may not be in the ring yet."""
        return self._renewals.fresh(self._world.clock.wall_ms())

    def fresh_keys(self) -> Sequence[bytes]:
        """Return those of them whose keys are not the account's first."""
        return self._renewals.fresh_keys(self._world.clock.wall_ms())

    @property
    def root_blocks(self) -> Sequence[bytes]:
        """The newest root block, behind the last ones of former root keys."""
        key = self.trust.organisation.organisation_key
        former = former_root_blocks(self._register, key, self._public.ring)
        return [*reversed(former), self._public.root_block]

    def roll_over(self) -> None:
        """Put a new root key in force, which the present one hands over to; raises ConfigError."""
        key = self.trust.organisation.organisation_key
        self._adopt(roll_over(self._directory, self._public, self._register, key, self._world))

    def _root_keys(self) -> RootKeys:
        return load_root_keys(self._directory, self.trust.organisation.organisation_key)

    def _put_in_force(self, public: Organisation) -> None:
        write_public(self._directory, public)
        self._adopt(public)

    def look_again(self) -> bool:
        """Has the command line changed the public part (a new root key)? Then go on with that."""
        public = read_public(self._directory)
        is_changed = public != self._public
        if is_changed:
            self._adopt(public)
        return is_changed

    @property
    def issuer_ends_ms(self) -> int:
        """When the issuer's own certificate ends: from then on it certifies nothing."""
        return self.trust.issuers[0].not_after

    def prolong_issuer(self) -> bool:
        """Have the root prolong the issuer's certificate, if that ends soon; was it done?

        The same key and serial, so what it certified goes on being valid. Raises ConfigError if
        the root key is needed and is not here: somebody must bring it.
        """
        now = self._world.clock.wall_ms()
        if now < self.issuer_ends_ms - PROLONGED_BEFORE_MS:
            return False
        self._put_in_force(prolonged(self._public, self._root_keys(), self._keys, now))
        return True

    @property
    def is_restored(self) -> bool:
        """Does this come from a backup, and has not caught up with the ring yet?"""
        return self._catching_up.is_needed

    def catch_up(
        self, issuer_block: bytes | None, head: bytes | None, records: Sequence[bytes]
    ) -> None:
        """Take over what the ring has and a backup lacked; see `catching_up`. Raises PeerError."""
        with self._register.transaction():
            self._catching_up.take(issuer_block, head, records)
            self.secrets.outgrow_ring()
            self._word.publish()

    def note_seen(self, node_ids: Sequence[bytes]) -> None:
        """Note that these machines are in the ring now."""
        with self._register.transaction():
            self._register.note_seen(node_ids, self._world.clock.wall_ms())

    @property
    def rules(self) -> Rules:
        """What the administrator decided; raises ConfigError."""
        return read_rules(self._register)

    def change_rules(self, changes: dict[str, int | bool]) -> Rules:
        """Put changed rules in force; raises RefusedError for what makes no sense."""
        with self._register.transaction():
            rules = changed_rules(read_rules(self._register), changes)
            write_rules(self._register, rules)
            self._word.publish()
        return rules

    def set_quota(self, name: str, mebibytes: int | None) -> int:
        """Say how much a member may store (0: no limit; None: what everybody may); return that.

        In force on each of her machines as soon as its certificate is renewed, which it asks for
        when it sees the new policy. Raises RefusedError.
        """
        with self._register.transaction():
            account = self._register.account(canonical(name))
            if account is None:
                raise RefusedError(f"{name} has no account here")
            self._certifier.quotas.set(account.member_tag, mebibytes)
            self._word.publish()
            return self._certifier.quotas.of(account.member_tag)

    def refresh_policy(self) -> bytes:
        """Sign a new issuer block, which members want to see at least weekly, and return it."""
        with self._register.transaction():
            self._word.publish()
        return self.issuer_block

    def revoke_node(self, node_id: bytes, reason: Reason = Reason.REPLACED) -> None:
        """Take a node out for good; raises RefusedError if it is not in force."""
        with self._register.transaction():
            now = self._world.clock.wall_ms()
            if not self._register.revoke_node(node_id, now, reason):
                raise RefusedError("no node in force has this id")
            self._certifier.secrets.demand_next(now)
            self._word.publish()

    def _certify(
        self,
        request: Request,
        site: bytes,
        bound_to: bytes,
        now: int,
        contacts: tuple[NodeHandle, ...],
    ) -> bytes:
        member_tag = self._world.entropy.token(16)
        account, sealed = b"", b""
        if isinstance(request, MemberRequest):
            self._require_free(request.name)
            account = self._certifier.certify_account(request, member_tag, now)
            sealed = self._certifier.sealed_secret(request.device_sealing_key, bound_to)
        elif isinstance(request, DeviceRequest):
            member = self._certifier.member_of(request)
            account, member_tag = member.certificate, member.member_tag
            sealed = self._certifier.sealed_secret(request.sealing_key, bound_to)
        node, leaf = self._certifier.certify_node(request.node_key, member_tag, now, site=site)
        self._word.publish()
        return encode(
            Answer(
                format=1,
                organisation=self._public.certificate,
                issuers=(self._public.issuer,),
                account=account,
                node=node,
                x509_authorities=(self._public.x509,),
                x509_leaf=leaf,
                root_block=self._public.root_block,
                issuer_blocks=(self.issuer_block,),
                sealed_secret=sealed,
                contacts=contacts,
            )
        )

    def _require_free(self, name: str) -> None:
        if not name.endswith("@" + self.trust.domain):
            raise RefusedError(f"{name} is not a name of {self.trust.domain}")
        self.members.require_free(name)
