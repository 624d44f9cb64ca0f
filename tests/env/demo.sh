#!/usr/bin/env bash
# The main job on real input: NDVI of a Sentinel-2 scene (tests/data/s2, see PROVENANCE.md there) as a COG and a picture.
# Called by `make demo`. Needs cargo and a C compiler only.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/../.."
. "$here/need.sh"

began=$SECONDS
need_rust
cargo build --release -p mapfold-cli
mapfold="$CARGO_TARGET_DIR/release/mapfold"
scene=tests/data/s2/S2_20150830.tif
out=demo-output
mkdir -p "$out"
rm -f "$out/ndvi.png" "$out/scene.png"

run() { # shows the command as a user would type it, then runs it
    say
    say "\$ mapfold $*"
    "$mapfold" "$@"
}

run info "$scene"
run preview "$scene" -o "$out/scene.png" --stretch
run run ndvi --red "$scene#B04" --nir "$scene#B08" --out "$out/ndvi.tif" --overwrite
run run stats "$out/ndvi.tif"
run preview "$out/ndvi.tif" -o "$out/ndvi.png" --size 1000 --stretch --ramp ndvi
run info "$out/ndvi.tif"
say
say "made in $((SECONDS - began)) s, the build included:"
say "  $PWD/$out/ndvi.tif   NDVI as a cloud-optimised GeoTIFF (open it in QGIS)"
say "  $PWD/$out/ndvi.png   its picture; scene.png shows the same place in true colour"
say "  $mapfold   the program (try: run --help)"
