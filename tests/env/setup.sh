#!/usr/bin/env bash
# Makes a Python environment with exactly the packages of a requirements file and prints the path of its python.
#
# usage: setup.sh [REQUIREMENTS]     (default: requirements.txt beside this script)
#
# It lies in the cache under a hash of the requirements: another list makes another environment, the same list none.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/need.sh"

requirements="${1:-$here/requirements.txt}"
python=""

find_python() { # the newest of these that can make an environment
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        python="$candidate"
        return
    done
    return 1
}

find_python || { apt_install python3 python3-venv && find_python; } ||
    missing "Python 3.11 with venv" "runs the oracles" "apt-get install python3 python3-venv"

# The list of a file and of those that it includes, and the Python that it is installed for.
hash="$({ "$python" -c 'import sys; print(sys.version)'; cat "$requirements" "$here/requirements.txt"; } | sha256sum | cut -c1-12)"
venv="$cache/venv-$hash"
mkdir -p "$cache"
exec 9>"$venv.lock" # two runs at once: the second waits, then finds it ready
flock 9
if [ ! -e "$venv/.complete" ]; then
    say "making the Python environment $venv ($(basename "$requirements"))"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements" >&2 ||
        missing "the packages of $requirements" "pip failed, see above" "a reachable Python package index"
    touch "$venv/.complete"
fi
printf '%s\n' "$venv/bin/python"
