"""Proofs of reasoning: whose they are, and how they travel through a protocol that knows one vendor's only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataplane.exchange import Thinking
from services.dataplane.proofs import format_of, is_sealed, opened, sealed, vendor_of

VENDORS = st.sampled_from(["openai", "google", "xai", "azure", "meta-responses-v1"])
PROOFS = st.text(min_size=1)
IDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_0123456789", max_size=12)


@given(vendor=VENDORS, proof=PROOFS, named=IDS, hidden=st.booleans())
def test_what_is_sealed_is_opened_as_it_was(vendor: str, proof: str, named: str, *, hidden: bool) -> None:
    thinking = Thinking(redacted=proof, vendor=vendor, id=named) if hidden else Thinking("", proof, "", vendor, named)
    told = sealed(thinking)
    assert is_sealed(told)
    assert opened(told) == thinking


@pytest.mark.parametrize("vendor", ["", "anthropic"])
def test_anthropics_own_proofs_stay_as_they_are(vendor: str) -> None:
    assert sealed(Thinking("Hm.", "sig", vendor=vendor)) == "sig"
    assert sealed(Thinking(redacted="enc", vendor=vendor)) == "enc"
    assert opened("sig") == Thinking(signature="sig", vendor="anthropic")
    assert not is_sealed("sig")


@given(st.text())
def test_no_proof_of_a_caller_crashes(proof: str) -> None:
    assert opened(proof).text == ""


@pytest.mark.parametrize("told", ["turnout:", "turnout:a:b", "turnout:openai:redacted:rs_1"])
def test_a_broken_seal_is_a_bare_proof(told: str) -> None:
    assert opened(told).signature == told


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "google", "xai", "azure"])
def test_vendors_have_formats(vendor: str) -> None:
    assert vendor_of(format_of(vendor)) == vendor


@pytest.mark.parametrize(("told", "vendor"), [(None, ""), ("unknown", ""), (3, ""), ("meta-responses-v1",) * 2])
def test_a_format_that_is_not_known_stands_for_itself(told: object, vendor: str) -> None:
    assert vendor_of(told) == vendor
    assert format_of(vendor) == (told if vendor else "unknown")
