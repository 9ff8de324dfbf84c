"""The rules of routing and failover, as pure functions on immutable values.

Nothing here does I/O, reads a clock, draws a random number, logs, or knows
protobuf or asyncio; import-linter enforces it. Time and randomness are
arguments. Durations are float seconds; instants are monotonic float seconds.
"""
