#!/usr/bin/env bash
# The benchmarks: builds mapfold, sets up the peers, makes the scenes (all once, in the cache), runs bench.py and writes
# docs/src/benchmarks-table.md. Called by `make bench`. Needs 1.5 GB of disk and, the first time, a package index.
#
# usage: run.sh [options of bench.py but --mapfold, --data, --table, --given]      e.g. --only ndvi-2048 --repeat 9
# A part of the workloads (--only) prints its table and leaves the page as it is.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../tests/env/need.sh"

need_rust
python="$("$here/../tests/env/setup.sh" "$here/requirements.txt")"
command -v gdal_calc.py >/dev/null || apt_install gdal-bin python3-gdal || say "without gdal_calc.py and gdalinfo"
# All at once: each set of features of its own would be compiled by itself.
cargo build --release --manifest-path "$here/../Cargo.toml" --workspace --bin mapfold --bin mapfold-trial --example floor
data="$cache/bench-data"
for size in 2048 5490 10980; do "$python" "$here/scene.py" "$data/d$size" --size "$size" >&2; done
page="$here/../docs/src/benchmarks-table.md"
table=(--table "$page")
case " $* " in *" --only"*) table=() ;; esac
"$python" "$here/bench.py" --mapfold "$CARGO_TARGET_DIR/release/mapfold" --data "$data" \
    --floor-cmd "$CARGO_TARGET_DIR/release/examples/floor {red} {nir}" \
    ${table[@]+"${table[@]}"} "$@" --given "$@"
[ ${#table[@]} = 0 ] || "$python" "$here/start.py" --tools "$CARGO_TARGET_DIR/release" --data "$data" | tee -a "$page"
