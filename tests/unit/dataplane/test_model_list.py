"""The list of what callers can name: policy and catalogue together, made once per snapshot."""

from __future__ import annotations

from turnout.inference.v1.inference_service_pb2 import ListModelsResponse, ModelInfo

from services.core.policy.compile import Problems
from services.core.policy.snapshot import Snapshot
from services.dataplane.model_list import ModelLists, models_of
from services.dataplane.policy_holder import PolicyHolder
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from tests.support.inprocess import policy_set

CATALOGUE = ShippedCatalogue()
OPENAI = {"kind": "Provider", "name": "openai", "type": "openai", "labels": {"region": "us"}}
LOCAL = {"kind": "Provider", "name": "local", "type": "openai_compatible", "base_url": "http://10.0.0.7/v1"}
OWN = {
    "kind": "Model",
    "name": "openai/gpt-5",
    "display_name": "House model",
    "max_output_tokens": 1_000,
    "prices": {"input_per_million": 7, "output_per_million": 8, "per_search": 0.5},
    "price_periods": [{"since": "2030-01-01", "prices": {"input_per_million": 70, "output_per_million": 80}}],
}
YEAR_2026, YEAR_2031 = 1_770_000_000.0, 1_930_000_000.0


def snapshot(*forms: object) -> Snapshot:
    found = PolicyHolder(CelCompiler(), CATALOGUE).compile(policy_set(*forms))  # type: ignore[arg-type]
    assert not isinstance(found, Problems), found
    return found


def listed(found: Snapshot, now: float = YEAR_2026) -> dict[str, ModelInfo]:
    return {info.id: info for info in models_of(found, now)}


def test_a_provider_brings_every_model_that_the_catalogue_knows_of_it() -> None:
    found = listed(snapshot(OPENAI, LOCAL))
    assert len(found) > 50
    assert {info.owned_by for info in found.values()} == {"openai"}, "of a server of one's own nothing is known"
    gpt = found["openai/gpt-5"]
    assert (gpt.kind, gpt.context_length, gpt.max_output_tokens) == ("chat", 400_000, 128_000)
    assert list(gpt.input_modalities)[:2] == ["text", "image"]
    assert list(gpt.output_modalities) == ["text"]
    assert gpt.pricing["prompt"] == 1.25e-6
    assert gpt.capabilities["tools"] is True
    assert {"tools", "reasoning", "structured_outputs"} <= set(gpt.supported_parameters)
    assert "temperature" not in gpt.supported_parameters
    assert gpt.created_at.ToJsonString() == "2025-08-07T00:00:00Z"
    assert gpt.labels["region"] == "us"
    assert list(found["openai/text-embedding-3-small"].output_modalities) == ["embeddings"]
    assert list(found["openai/text-embedding-3-small"].supported_parameters) == []
    assert list(found["openai/whisper-1"].input_modalities) == ["audio"]


def test_what_the_policy_says_of_a_model_stands_over_the_catalogue_and_prices_follow_the_time() -> None:
    found = snapshot(OPENAI, OWN)
    gpt = listed(found)["openai/gpt-5"]
    assert (gpt.display_name, gpt.max_output_tokens, gpt.context_length) == ("House model", 1_000, 400_000)
    assert dict(gpt.pricing) == {"prompt": 7e-6, "completion": 8e-6, "web_search": 0.5}
    assert dict(listed(found, YEAR_2031)["openai/gpt-5"].pricing) == {"prompt": 7e-5, "completion": 8e-5}


async def test_the_list_is_made_once_per_snapshot_and_not_sent_to_who_has_it() -> None:
    now = [YEAR_2026]
    lists = ModelLists(lambda: now[0])
    first = snapshot(OPENAI)
    answer = await lists.of(first)
    assert answer is await lists.of(first)
    assert [m.id for m in answer.models] == sorted(m.id for m in answer.models)
    assert await lists.of(first, answer.version) == ListModelsResponse(version=answer.version)
    other = await lists.of(snapshot(OPENAI, OWN), answer.version)
    assert other.version != answer.version
    assert other.models
    now[0] += 3_600
    assert (await lists.of(first, answer.version)).version != answer.version, "prices may have changed"
