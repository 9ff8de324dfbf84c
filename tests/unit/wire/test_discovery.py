"""What the two ends of the policy push say, as messages and back."""

from __future__ import annotations

import pytest
from turnout.discovery.v1 import discovery_pb2 as pb

from services.core.discovery.messages import Acknowledgement, Entry, PolicySet, Push, Resync, Subscription
from services.core.errors import Problem
from services.core.policy.documents import Alias, Provider, ResourceKey, key_of
from services.wire.discovery import push_message, request_message, set_message, to_push, to_request, to_set

OPENAI = Provider(name="openai", type="openai", credentials=("env:KEY",))
BEST = Alias(name="best", model="openai/gpt-5")
ENTRIES = {key_of(OPENAI): Entry(OPENAI, 3), key_of(BEST): Entry(BEST, 4)}


@pytest.mark.parametrize(
    "said",
    [
        Subscription("n", "n:1", "1.2.3", {"Provider/openai": 3}, 4, "store"),
        Acknowledgement("7", "v", 4),
        Acknowledgement("7", "v", 4, (Problem("Router", "r", "name", "is bad"),)),
        Resync("lost count"),
    ],
)
def test_what_a_worker_says_survives(said: Subscription | Acknowledgement | Resync) -> None:
    message = pb.StreamPolicyRequest.FromString(request_message(said).SerializeToString())
    assert to_request(message) == said


def test_a_message_of_a_newer_release_is_none() -> None:
    assert to_request(pb.StreamPolicyRequest()) is None


@pytest.mark.parametrize("full", [False, True])
def test_a_push_survives(*, full: bool) -> None:
    push = Push("7", "v", 4, "store", full, ENTRIES, (ResourceKey("Alias", "old"),))
    message = pb.StreamPolicyResponse.FromString(push_message(push).SerializeToString())
    assert to_push(message) == push


def test_a_whole_set_survives_the_form_that_it_has_on_disk() -> None:
    policy = PolicySet(ENTRIES, 4, "v", "store")
    assert to_set(pb.StreamPolicyResponse.FromString(set_message(policy).SerializeToString())) == policy
    assert to_set(set_message(PolicySet())) == PolicySet()
