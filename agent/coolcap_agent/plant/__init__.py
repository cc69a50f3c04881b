"""The daemon beside the cooling plant (`coolcap plant`)."""
