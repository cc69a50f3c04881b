"""Where telemetry and decisions are logged: InfluxDB, a local file, or memory."""
