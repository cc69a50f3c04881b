#!/usr/bin/env bash
# Generate the gRPC code of coolcap.v1.
# usage: generate_proto.sh BIN OUT   (BIN: the environment's bin folder; OUT: where coolcap_proto/v1 goes)
#
# -Iproto makes the generated imports read `from coolcap_proto.v1 import …` without post-processing.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
out=$2
mkdir -p "$out"
PATH="$bin:$PATH" "$bin/python" -m grpc_tools.protoc -Iproto \
  --python_out="$out" --mypy_out="$out" --grpc_python_out="$out" --mypy_grpc_out="$out" \
  proto/coolcap_proto/v1/*.proto
