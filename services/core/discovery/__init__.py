"""Policy distribution: the two ends of the push protocol as pure session values, no gRPC."""
