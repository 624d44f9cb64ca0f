# The few verbs. Each is a script, so that it also runs without make; what they need they install or name.
# Build output and tools live in ${XDG_CACHE_HOME:-~/.cache}/mapfold (or CARGO_TARGET_DIR), never in the clone.

.PHONY: help demo test check bench book
.DEFAULT_GOAL := help

help:   ## this list
	@sed -n 's/^\([a-z]*\): *## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo:   ## NDVI of a real Sentinel-2 scene: demo-output/ndvi.tif and ndvi.png
	@tests/env/demo.sh

test:   ## all tests, with everything they need installed first
	@tests/env/test.sh

check:  ## format, lints, documentation, spelling, licences
	@tests/env/check.sh

bench:  ## side by side with rasterio, dask and gdal_calc: a table in docs/src
	@bench/run.sh

book:   ## the book, in docs/book
	@tests/env/book.sh
