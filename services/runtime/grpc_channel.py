"""gRPC channels of the suite: limits, keepalive, and no retries of gRPC's own (retries live in one place)."""

from __future__ import annotations

import json
from pathlib import Path

import grpc

MAX_MESSAGE = 64 * 1024 * 1024
KEEPALIVE_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 5_000

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    # What ends the connection of a peer that hangs: without it gRPC waits 60 s for the answer to a ping of keepalive.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A lost connection may mean that its name has new addresses; gRPC's own pause before it looks is 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.enable_retries", 0),
)


def open_channel(target: str, ca_file: Path | None = None) -> grpc.aio.Channel:
    """A channel to `target` (HOST:PORT); with TLS when a CA file is given."""
    if ca_file is not None:
        credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
        return grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


def open_balanced_channel(target: str, service: str) -> grpc.aio.Channel:
    """A channel over all addresses that `target` has, in turn, without those that say `service` is not served.

    The addresses' health is watched, so a server that drains gets no more calls from
    the moment it says so. A name is looked up again whenever a connection is lost;
    servers end theirs now and then, so that new addresses are found.
    """
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": service}}
    return grpc.aio.insecure_channel(target, options=(*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(config))))
