"""The simulated data centre and the contract it shares with production."""
