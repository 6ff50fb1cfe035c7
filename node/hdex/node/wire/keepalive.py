"""How soon a connection that fell silent is noticed: a peer that stopped, or a line that swallows what is sent."""

TIME_MS = 5_000  # without a byte of the peer: ask it
TIMEOUT_MS = 4_000  # without its answer: the connection is dead, 9 s after its last byte


def keepalive_options() -> list[tuple[str, int]]:
    """Return the channel arguments that a server and a client share. A process that dies is told by its kernel."""
    return [
        ("grpc.keepalive_time_ms", TIME_MS),
        ("grpc.keepalive_timeout_ms", TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            TIME_MS // 2,
        ),  # what a server bears; clients ask every TIME_MS
    ]
