#!/usr/bin/env bash
# What reviewers would say anyway: format, lints, documentation, spelling, licences. Called by `make check`.
# Every step runs even after a failure; the list at the end names what failed and what could not be had.
set -uo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/../.."
. "$here/need.sh"

failed=() absent=()

step() { # NAME, COMMAND...
    say "== $1"
    "${@:2}" || failed+=("$1")
}

advisories() { # needs a database from the network: without it, say so and go on
    say "== cargo-deny advisories"
    if ! timeout 120 "$deny" fetch db 2>/dev/null; then
        absent+=("the advisory database (could not be fetched; advisories not checked)")
        return
    fi
    "$deny" --offline --all-features check advisories || failed+=("advisories")
}

need_rust
need_component rustfmt
need_component clippy
step "format" cargo fmt --all --check
step "clippy" cargo clippy --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" step "documentation" cargo doc --workspace --all-features --no-deps
python="$("$here/setup.sh" "$here/requirements-check.txt")" || exit 3
step "spelling" "$(dirname "$python")/typos"
need git "cargo-deny looks for the advisory database with it" git
deny="$(need_tool cargo-deny 0.20.2)" || exit 3
step "licences, bans, sources" "$deny" --all-features check --hide-inclusion-graph licenses bans sources
advisories

for name in ${absent[@]+"${absent[@]}"}; do say "not available: $name"; done
[ ${#failed[@]} = 0 ] && { say "make check: all good"; exit 0; }
say "make check: failed: ${failed[*]}"
exit 1
