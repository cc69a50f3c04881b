#!/usr/bin/env bash
# Generate the gRPC code of coolcap.v1.
# usage: generate_proto.sh BIN OUT   (BIN: the environment's bin folder; OUT: where coolcap_proto/v1 goes)
#
# -Iproto makes the generated imports read `from coolcap_proto.v1 import …` without post-processing.
# Generated code refuses a grpcio older than its generator, hence exactly these versions.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
out=$2
for tool in grpcio-tools==1.76.0 mypy-protobuf==5.1.0; do
  "$bin/python" - "$tool" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version

name, wanted = sys.argv[1].split("==")
try:
    found = version(name)
except PackageNotFoundError:
    found = "not installed"
if found != wanted:
    sys.exit(f"generate_proto.sh needs {name} {wanted}, found: {found}; run `make setup`")
PYTHON
done

mkdir -p "$out"
protoc=("$bin/python" -m grpc_tools.protoc -Iproto)
export PATH="$bin:$PATH"
"${protoc[@]}" --python_out="$out" --mypy_out="quiet:$out" proto/coolcap_proto/v1/*.proto
# Only files with a service get stubs; the daemons use grpc.aio alone.
"${protoc[@]}" --grpc_python_out="$out" --mypy_grpc_out="quiet,only_async:$out" \
  $(grep -l '^service ' proto/coolcap_proto/v1/*.proto)
