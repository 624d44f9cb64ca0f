#!/usr/bin/env bash
# What the exchange costs within and between processes: CPU seconds of all processes per 10^9 bytes of records, what
# making the records costs taken off; then a skewed exchange through reducers that wait, far larger than its memory.
#   bench/exchange.sh [MIB of the first part, default 2048] [MIB of the second, default 10240]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p mapfold --example shuffled
shuffled="${CARGO_TARGET_DIR:-target}/release/examples/shuffled"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_STATE_HOME="$folder"
mib=${1:-2048} large=${2:-10240}

# Prints wall and CPU seconds of all processes, and the largest memory of one in MiB.
measure() {
    "$shuffled" --quiet --json --scratch "$folder" "$@" | python3 -c '
import json, sys
run = json.load(sys.stdin)["run"]
print(run["wall_seconds"], run["user_seconds"] + run["sys_seconds"], run["memory"]["peak_bytes"] >> 20)'
}

size=(--splits "$((mib / 16))" --mib 16 --partitions 32)
# One thread in all but the second: with it, threads of one process do not cost more.
pair=(--mode pseudo --workers 2 --threads 1)
read -r _ base _ < <(measure "${size[@]}" --threads 2 --generate-only)
printf '%-44s %8s %8s %10s\n' "$mib MiB of records of 100 bytes" wall CPU "CPU s/GB"
row() {
    local what=$1
    shift
    read -r wall cpu _ < <(measure "${size[@]}" "$@")
    printf '%-44s %8.2f %8.2f %10.2f\n' "$what" "$wall" "$cpu" "$(python3 -c "print(($cpu - $base) / ($mib * 1048576e-9))")"
}
row "in one process, 2 threads" --threads 2
row "in one process, 2 threads, through files" --threads 2 --shuffle durable
row "between 2 processes, in memory" "${pair[@]}" --shuffle pipelined
row "between 2 processes, through files" "${pair[@]}" --shuffle durable

echo
limit=256
skewed=(--splits "$((large / 16))" --mib 16 --skew 60 --partitions 32 --reduce-millis 200)
for shuffle in pipelined durable; do
    read -r wall cpu peak < <(measure "${skewed[@]}" "${pair[@]}" --memory-limit "${limit}MiB" --shuffle "$shuffle")
    echo "$large MiB, 60 % of one key, $shuffle, $limit MiB for each of 2: peak $peak MiB, $wall s, $cpu CPU s"
    [ "$peak" -le "$limit" ]
done
