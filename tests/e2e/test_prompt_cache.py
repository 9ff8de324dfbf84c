"""A conversation after a failover, through bridge and worker: it stays where its prompt is cached, by either topology."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.inprocess import TOPOLOGIES, records, running_suite
from tests.support.upstream import Seen, Step, openai_answer, openai_events, running_upstream, streamed, whole

ERROR = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}
USAGE = {"prompt_tokens": 9_000, "completion_tokens": 1_000, "total_tokens": 10_000}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 8_960}}


def documents(url: str) -> list[dict[str, Any]]:
    prices = {"cheap": (1, 0.5), "dear": (1.5, 0.15)}
    variant = {"variant_id": "v", "model_id": "auto", "model_selection": {"models": ["p/cheap", "p/dear"]}}
    variant["model_selection"]["sort"] = [{"metric": "price"}]  # type: ignore[index]
    return [
        {"kind": "Provider", "name": "p", "type": "openai_compatible", "base_url": f"{url}/v1"},
        *(
            {
                "kind": "Model",
                "name": f"p/{name}",
                "prices": {"input_per_million": fresh, "output_per_million": 4, "cache_read_per_million": cached},
            }
            for name, (fresh, cached) in prices.items()
        ),
        {
            "kind": "Router",
            "name": "r",
            "default_route": {"route_id": "d", "variants": [{"weight": 100, "variant": variant}]},
        },
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_next_turns_go_to_the_model_that_served_the_session(
    tmp_path: Path, topology: str, stream: bool
) -> None:
    asked: list[str] = []

    def choose(seen: Seen) -> list[Step]:
        model = str(seen.json["model"])
        asked.append(model)
        if model == "cheap" and len(asked) == 1:
            return [whole(503, ERROR)]
        usage = CACHED if asked.count("dear") > 1 else USAGE
        if stream:
            frames = openai_events("Hello", usage=False)
            end = (
                b'data: {"id":"x","object":"chat.completion.chunk","choices":[],"usage":%s}\n\n'
                % msgspec.json.encode(usage)
            )
            return streamed([*frames[:-1], end, frames[-1]])
        return [whole(200, {**openai_answer(), "usage": usage})]

    async with (
        running_upstream(choose) as upstream,
        running_suite(tmp_path, topology, *documents(upstream.url)) as suite,
    ):
        body = {"model": "inworld/r", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        for session in ("s", "s", "s", "other"):
            answer = await suite.http.post("/v1/chat/completions", json=body, headers={"x-session-id": session})
            assert answer.status_code == 200
        found = records(suite)
    assert asked == ["cheap", "dear", "dear", "dear", "cheap"]
    shares = [{m.model: m.value for m in record.measurements} for record in found]
    assert shares == [{}, {"p/dear": 0.9}, {"p/dear": 0.9}, {}]
