#!/usr/bin/env bash
# Builds the book of docs/ into docs/book. Called by `make book`. Its Rust listings are compiled by `make test`.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/../.."
. "$here/need.sh"

need_rust
mdbook="$(need_tool mdbook 0.5.4 --no-default-features --features search)"
"$mdbook" build docs
say "the book: $PWD/docs/book/index.html"
