#!/usr/bin/env bash
# The benchmarks of jobs over records: builds mapfold, sets up the peers, makes 3 GB of inputs (once, in the cache) and
# runs records.py. Peers that cannot be installed are named and left out.
#
# usage: records.sh [options of `records.py run` but --mapfold]      e.g. --only wordcount --repeat 5
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../tests/env/need.sh"

need_rust
python="$("$here/../tests/env/setup.sh" "$here/requirements-records.txt")"
cargo build --release --manifest-path "$here/../Cargo.toml" -p mapfold-cli
data="$cache/bench-records"
"$python" "$here/records.py" make "$data"
exec "$python" "$here/records.py" run "$data" --mapfold "$CARGO_TARGET_DIR/release/mapfold" "$@"
