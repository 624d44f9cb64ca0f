#!/usr/bin/env bash
# Real servers on loopback, for tests and for `mapfold dev`.
#
#   part.sh PARTS get          fetch what they are made of into the cache (up does it too)
#   part.sh PARTS up           start them and wait until they are healthy; what runs is left alone
#   part.sh PARTS down         stop them, by pid; their data stays
#   part.sh PARTS wipe         stop them and delete their data
#   part.sh PARTS status       one line per process: PART NAME pid N | down
#   part.sh PARTS env          export lines for a client: eval "$(part.sh s3 env)"
#   part.sh PARTS vars         the same as NAME=VALUE
#   part.sh PART start|stop|kill9|pid NAME      one process of a part
#
# PARTS: hdfs yarn s3 azure gcs ssh postgres, or several with commas, or all (without postgres). yarn brings hdfs.
# MAPFOLD_PARTS_RUN   folder of pids, logs, data, secrets (default ${XDG_CACHE_HOME:-~/.cache}/mapfold/parts/run);
#                     two folders are two runs, side by side, on ports of their own
# MAPFOLD_PARTS_PORT  first port of a block of 1000 (default: the first free one from 19000)
# MAPFOLD_PARTS_INSTALL=1  root may install missing Debian packages
# Exit codes: 0 done, 1 failed, 2 wrong words, 3 a prerequisite is missing (its name is said).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/lib.sh"

known="hdfs yarn s3 azure gcs ssh postgres"

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

load() { # PART: its functions part_names, part_get, part_prepare, part_start, part_healthy, part_vars
    PART="$1"
    HOME_OF_PART="$RUN/$PART"
    . "$here/parts/$PART.sh"
}

up() {
    mkdir -p "$HOME_OF_PART"
    exec 9>"$HOME_OF_PART/lock"
    flock 9
    part_get
    part_prepare
    local name
    for name in $(part_names); do alive "$name" || part_start "$name"; done
    wait_healthy 90
}

down() {
    [ -d "$HOME_OF_PART" ] || return 0
    exec 9>"$HOME_OF_PART/lock"
    flock 9
    local name stops=()
    for name in $(part_names | tac); do
        stop TERM "$name" &
        stops+=($!)
    done
    for name in "${stops[@]}"; do wait "$name"; done
    part_swept
}

part_swept() { :; } # what a part's processes may have left running

status() {
    local name pid
    for name in $(part_names); do
        pid="$(pid_of "$name")"
        echo "$PART $name ${pid:+pid }${pid:-down}"
    done
}

vars() {
    [ -e "$HOME_OF_PART" ] || fail "$PART was not started here; try: $0 $PART up"
    part_vars
}

env_lines() { vars | sed "s/'/'\\\\''/g; s/^\([A-Za-z0-9_]*\)=\(.*\)/export \1='\2'/"; }

wipe() {
    down
    rm -rf "$HOME_OF_PART"
}

one() { # VERB, NAME
    part_names | grep -qx -- "${2:-}" || fail "$PART has no process ${2:-}; it has: $(part_names | tr '\n' ' ')"
    case $1 in
        start) alive "$2" || part_start "$2" ;;
        stop) stop TERM "$2" ;;
        kill9) stop KILL "$2" ;;
        pid) pid_of "$2" ;;
    esac
}

together() { # VERB, PART...: all at once; the first failure is the answer
    local verb="$1" part pids=() code=0 pid
    shift
    for part in "$@"; do ( load "$part"; "$verb" ) & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
    return $code
}

parts=() asked="${1:-}" verb="${2:-}"
[ "$asked" = all ] && asked=hdfs,yarn,s3,azure,gcs,ssh
for part in ${asked//,/ }; do
    [[ " $known " == *" $part "* ]] || { say "error: no part $part; there are: $known"; exit 2; }
    parts+=("$part")
done
[ ${#parts[@]} -gt 0 ] || usage

case $verb in
    get) for part in "${parts[@]}"; do ( load "$part"; part_get ); done ;;
    up) [[ " ${parts[*]} " == *" yarn "* && " ${parts[*]} " != *" hdfs "* ]] && parts+=(hdfs)
        port0 >/dev/null
        together up "${parts[@]}" ;;
    down | wipe) port0 >/dev/null; together "$verb" "${parts[@]}" ;;
    status) for part in "${parts[@]}"; do ( load "$part"; status ); done ;;
    env) for part in "${parts[@]}"; do ( load "$part"; env_lines ); done ;;
    vars) for part in "${parts[@]}"; do ( load "$part"; vars ); done ;;
    start | stop | kill9 | pid) load "${parts[0]}"; one "$verb" "${3:-}" ;;
    *) usage ;;
esac
