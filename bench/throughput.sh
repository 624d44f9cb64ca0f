#!/usr/bin/env bash
# How fast bytes come and go: `mapfold cp` from and to HDFS and an S3 server beside `hdfs dfs` and the AWS CLI, and NDVI with
# its inputs there against local ones. The servers are those of cluster/, started here, on this machine.
# Writes docs/src/throughput-table.md. About 10 minutes and 6 GB of disk.
#
# usage: throughput.sh [--mib 1024] [--repeat 3]      another size prints its table and leaves the page as it is
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../tests/env/need.sh"

need_rust
python="$("$here/../tests/env/setup.sh" "$here/requirements.txt")"
cargo build --quiet --release --manifest-path "$here/../Cargo.toml" --workspace --bin mapfold
aws="$("$here/../tests/env/setup.sh" "$here/requirements-aws.txt")"
data="$cache/bench-data"
"$python" "$here/scene.py" "$data/d10980" --size 10980 >&2
MAPFOLD_PARTS_RUN="$(mktemp -d "${TMPDIR:-/tmp}/mapfold-bench-XXXXXX")"
export MAPFOLD_PARTS_RUN MAPFOLD_PARTS_INSTALL=1 MAPFOLD_PARTS_OWNER=$$
trap '"$here/../cluster/part.sh" hdfs,s3 wipe; rmdir "$MAPFOLD_PARTS_RUN" 2>/dev/null || true' EXIT
"$here/../cluster/part.sh" hdfs,s3 up
eval "$("$here/../cluster/part.sh" hdfs,s3 env)"
page=()
case " $* " in *" --mib"*) ;; *) page=(--page "$here/../docs/src/throughput-table.md") ;; esac
"$python" "$here/throughput.py" "$data" --mapfold "$CARGO_TARGET_DIR/release/mapfold" --aws "${aws%/*}/aws" \
    ${page[@]+"${page[@]}"} "$@"
