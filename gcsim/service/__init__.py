"""The server: gRPC over the store and the supervisor, and nothing that they do not do.

`server` is the process: one event loop that answers, drains on SIGTERM and never waits for a disk; `runs`, `sweeps` and
`downloads` are the calls, `requests` what submits have in common; `methods` puts them on the wire (decoding, tokens, error mapping, logs) and `status` maps
every error to one gRPC status; `convert` mirrors the spec's models and messages, `limits` says what is too much; `metrics` counts
it all on a side port.
Simulations run in the supervisor's processes, which never load grpc.
"""
