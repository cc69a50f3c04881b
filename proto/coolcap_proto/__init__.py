"""The gRPC API ``coolcap.v1``: its ``.proto`` files and the code generated from them."""
