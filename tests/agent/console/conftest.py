"""Certificates and the agents of the small site, as the controller's tests have them."""

from agent.controller.conftest import fleet, pki

__all__ = ["fleet", "pki"]
