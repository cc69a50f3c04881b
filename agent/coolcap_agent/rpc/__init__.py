"""gRPC as coolcap uses it: TLS on both sides, roles, options that avoid its traps, health."""
