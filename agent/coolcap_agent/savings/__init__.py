"""The savings report: what a randomised switchback in the telemetry log proves, or does not."""
