#!/usr/bin/env bash
# All tests: unit, conformance, doctests (the book's too), jobs end to end against rasterio and NumPy.
# Called by `make test`. MAPFOLD_TEST_PYTHON tells the Rust tests which python has the oracles' packages.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/../.."
. "$here/need.sh"

began=$SECONDS
need_rust
# Real servers, see cluster/README.md. They start while cargo compiles, and go when this script does, killed or not.
export MAPFOLD_PARTS_INSTALL=1 MAPFOLD_PARTS_OWNER=$$
MAPFOLD_PARTS_RUN="$(mktemp -d "${TMPDIR:-/tmp}/mapfold-parts-XXXXXX")"
export MAPFOLD_PARTS_RUN
clean() { # what is still being fetched or started is not waited for; the folder is its keeper's to remove
    kill -TERM -- "-$parts" 2>/dev/null || true
    cluster/part.sh every wipe || true
    rmdir "$MAPFOLD_PARTS_RUN" 2>/dev/null || true
}
cluster/part.sh all,hdfs-ha,hdfs-krb check || say "the tests of parts that lack something say SKIPPED"
setsid cluster/part.sh all,hdfs-krb up & # each test of hdfs-ha starts its own
parts=$!
trap clean EXIT
MAPFOLD_TEST_PYTHON="$("$here/setup.sh")"
export MAPFOLD_TEST_PYTHON
# pandas in an environment of its own: the oracles of images need none of it.
MAPFOLD_TEST_PANDAS="$("$here/setup.sh" "$here/requirements-tables.txt")"
export MAPFOLD_TEST_PANDAS
# Foreign judges of single tests; where they cannot be had, those tests say SKIPPED.
judge() { command -v "$1" >/dev/null || apt_install "${@:2}" || say "not available: $1"; }
judge fish fish
judge zsh zsh
judge groff groff
PATH="$PATH:/usr/sbin" judge sshd openssh-server openssh-client
judge gdalinfo gdal-bin python3-gdal
say "oracles: $MAPFOLD_TEST_PYTHON"
"$MAPFOLD_TEST_PYTHON" -W ignore -m unittest discover -q -s tests/oracle
"$MAPFOLD_TEST_PYTHON" -W ignore -m unittest discover -q -s cluster/tests
cargo test --workspace --all-features --no-run --quiet
wait $parts || say "not all parts run, see above"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --all-features --no-fail-fast
    cargo test --workspace --all-features --doc
else
    cargo test --workspace --all-features --no-fail-fast
fi
say "make test: $(((SECONDS - began + 59) / 60)) minutes ($((SECONDS - began)) s)"
