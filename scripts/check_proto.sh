#!/usr/bin/env bash
# Check that the committed gRPC code is what the .proto files give, and that the API stays compatible.
# usage: check_proto.sh BIN   (BIN: the environment's bin folder)
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

scripts/generate_proto.sh "$bin" "$scratch/generated"
for folder in "$scratch/generated" proto; do
  (cd "$folder" && find coolcap_proto/v1 -name '*_pb2*.py*' -not -name '*.pyc' | sort) >"$scratch/list"
  mv "$scratch/list" "$scratch/$(basename "$folder").list"
done
stale=$(
  {
    comm -3 "$scratch/generated.list" "$scratch/proto.list" | tr -d '\t'
    comm -12 "$scratch/generated.list" "$scratch/proto.list" | while read -r file; do
      cmp -s "$scratch/generated/$file" "proto/$file" || echo "$file"
    done
  } | sort -u
)
if [ -n "$stale" ]; then
  printf 'generated code differs from the .proto files; run `make proto` and commit:\n%s\n' "$stale" >&2
  exit 1
fi

# Compatibility is owed to what users have: the last release, and before the first one the main branch.
if ! git rev-parse --git-dir >/dev/null 2>&1; then
  echo "buf breaking: skipped, this is not a git checkout"
  exit 0
fi
for base in "$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)" origin/main main; do
  if [ -n "$base" ] && git cat-file -e "$base:proto/buf.yaml" 2>/dev/null; then
    git archive "$base" proto | tar -x -C "$scratch"
    "$bin/buf" breaking proto --against "$scratch/proto"
    echo "buf breaking: compatible with $base"
    exit 0
  fi
done
echo "buf breaking: skipped, neither a tag v* nor a branch main holds the API"
