# Sourced by the scripts of this project: finds what they need, installs it where it may, and otherwise says by name
# what is missing. It may install Debian packages only as root; it never touches the Rust toolchain.

cache="${XDG_CACHE_HOME:-$HOME/.cache}/mapfold"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"

say() { printf '%s\n' "$*" >&2; }

missing() { # WHAT, WHY, HOW
    say "missing: $1 ($2)"
    say "  to get it: $3"
    exit 3
}

apt_install() { # PACKAGE...
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing from Debian: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
    apt-get update -qq >/dev/null 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need() { # COMMAND, WHY, DEBIAN PACKAGE...
    local command="$1" why="$2"
    shift 2
    command -v "$command" >/dev/null && return
    apt_install "$@" || true
    command -v "$command" >/dev/null || missing "$command" "$why" "apt-get install $*"
}

need_rust() { # what every build needs: cargo of the right age, a C compiler
    command -v cargo >/dev/null || missing cargo "builds mapfold" "https://rustup.rs, version 1.95 or later"
    local have
    have="$(rustc --version | cut -d' ' -f2)"
    [ "$(printf '%s\n1.95\n' "$have" | sort -V | head -1)" = 1.95 ] ||
        missing "Rust 1.95" "found $have" "rustup update stable"
    need cc "compiles libdeflate, zstd and ring" gcc libc6-dev
}

need_component() { # COMPONENT: rustfmt, clippy
    cargo "${1/rustfmt/fmt}" --version >/dev/null 2>&1 || missing "$1" "checks the sources" "rustup component add $1"
}

# A cargo tool of this version in the cache, built once; prints its path.
need_tool() { # NAME, VERSION, CARGO OPTIONS...
    local name="$1" version="$2"
    shift 2
    local root="$cache/tools/$name-$version"
    if [ ! -x "$root/bin/$name" ]; then
        say "building $name $version (once; kept in $root)"
        # its own target folder: it must not wait for, nor disturb, a build of ours
        CARGO_TARGET_DIR="$cache/tools/build" cargo install --quiet --locked "$name@$version" --root "$root" "$@" >&2 ||
            missing "$name $version" "the registry or the build failed, see above" "cargo install --locked $name@$version"
        rm -rf "$cache/tools/build"
    fi
    printf '%s\n' "$root/bin/$name"
}
