#!/usr/bin/env bash
# The benchmarks of jobs over records, in one go: beside their peers, what the engine costs, and the limits of memory.
# Builds mapfold, sets up the peers, makes the inputs (all once, in the cache) and writes docs/src/records-table.md.
# Peers that cannot be installed are named and left out. About 15 minutes and 20 GB of disk; --quick: 2 minutes and 1 GB, and
# the page stays as it is, as with --only.
#
# usage: records.sh [--quick] [--only jobs,engine,limits] [--repeat 3]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../tests/env/need.sh"

quick=() scale=1 only="jobs engine limits" repeat=3 page="$here/../docs/src/records-table.md"
while [ $# -gt 0 ]; do
    case "$1" in
    --quick) quick=(--quick) scale=0.05 repeat=1 page="" ;;
    --only) only="${2//,/ }" page="" && shift ;;
    --repeat) repeat="$2" && shift ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
    esac
    shift
done

need_rust
python="$("$here/../tests/env/setup.sh" "$here/requirements-records.txt")"
more="$("$here/../tests/env/setup.sh" "$here/requirements-more.txt")" || { more="" && say "without pyspark and sedonadb"; }
command -v java >/dev/null || apt_install openjdk-17-jre-headless || say "without Java: pyspark is left out"
# All at once: each set of features of its own would be compiled by itself.
cargo build --quiet --release --manifest-path "$here/../Cargo.toml" --workspace --bin mapfold --example shuffled \
    --example splits --example sort_floor --example tera_records
tools="$CARGO_TARGET_DIR/release"
data="$cache/bench-records${quick:+-quick}"
"$python" "$here/records.py" make "$data" --scale "$scale"

tables="$(mktemp)"
trap 'rm -f "$tables"' EXIT
part() { # HEADING, COMMAND...
    printf '\n### %s\n\n' "$1" >>"$tables"
    "${@:2}" | tee -a "$tables"
}
began=$SECONDS failed=0
for what in $only; do
    case "$what" in
    jobs) part "Beside others" "$python" "$here/records.py" run "$data" --tools "$tools" --repeat "$repeat" ${more:+--more "$more"} ;;
    engine) part "The engine by itself" "$python" "$here/engine.py" "$data" --tools "$tools" --repeat "$repeat" ${quick[@]+"${quick[@]}"} ;;
    limits) part "Limits of memory" "$python" "$here/limits.py" "$data" --tools "$tools" ${quick[@]+"${quick[@]}"} || failed=1 ;;
    *) say "no part $what: jobs, engine, limits" && exit 2 ;;
    esac
done
say "made in $((SECONDS - began)) s"
if [ -n "$page" ]; then
    {
        echo "Written by \`bench/records.sh\` on $(date -u +%F), $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1),"
        echo "Linux $(uname -r); medians of $repeat runs that take turns."
        cat "$tables"
    } >"$page"
    say "written: $page"
fi
exit "$failed"
