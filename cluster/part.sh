#!/usr/bin/env bash
# Real servers on loopback, for tests and for `mapfold dev`.
#
#   part.sh PARTS check        name the programs that are missing, all of them
#   part.sh PARTS get          fetch what they are made of into the cache (up does it too)
#   part.sh PARTS up           start them and wait until they are healthy; what runs is left alone
#   part.sh PARTS down         stop them, by pid; their data stays
#   part.sh PARTS wipe         stop them and delete their data
#   part.sh PARTS status       one line per process: PART NAME pid N | down
#   part.sh PARTS env          export lines for a client: eval "$(part.sh s3 env)"
#   part.sh PARTS vars         the same as NAME=VALUE
#   part.sh PARTS facts        the same, but NAME<FILE where FILE holds a secret
#   part.sh PART start|stop|kill9|pid NAME      one process of a part
#
# PARTS: hdfs yarn s3 azure gcs ssh emr postgres hdfs-ha hdfs-krb, or several with commas. yarn brings hdfs, emr brings s3.
# all: the first seven, as most tests and users want (the last two are further clusters); every: really all.
# MAPFOLD_PARTS_RUN   folder of pids, logs, data, secrets (default ${XDG_CACHE_HOME:-~/.cache}/mapfold/parts/run);
#                     two folders are two runs, side by side, on ports of their own
# MAPFOLD_PARTS_PORT  first port of a block of 1000 (default: the first free one from 19000)
# MAPFOLD_PARTS_LABEL       of yarn: a label that nodes can get by `yarn rmadmin`, and that the queue may use
# MAPFOLD_PARTS_OPENID      of s3: the discovery document of an identity provider (oidc.py) whose tokens may read
# MAPFOLD_PARTS_PROTECTION  of hdfs-krb: authentication, integrity or privacy (default)
# MAPFOLD_PARTS_INSTALL=1  root may install missing Debian packages
# MAPFOLD_PARTS_OFFLINE=1  nothing is fetched: what the cache lacks is missing
# MAPFOLD_PARTS_OWNER=PID  up: when that process (and all others that said so) is gone, everything is stopped and deleted
# Exit codes: 0 done, 1 failed, 2 wrong words, 3 a prerequisite is missing (its name is said).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/lib.sh"

PART="" # what missing() names
for tool in flock setsid; do need "$tool" "the scripts run on Linux only" util-linux; done
checked

known="hdfs yarn s3 azure gcs ssh emr postgres hdfs-ha hdfs-krb"

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

load() { # PART: its functions part_names, part_check, part_get, part_prepare, part_start, part_healthy, part_vars
    PART="$1"
    HOME_OF_PART="$RUN/$PART"
    . "$here/parts/$PART.sh"
}

check() {
    part_check
    checked
}

get() {
    check
    part_get
}

up() {
    get
    mkdir -p "$HOME_OF_PART"
    exec 9>"$HOME_OF_PART/lock"
    flock 9
    # fetching takes minutes; who asked may be gone, and the keeper with it
    owner_lives
    part_prepare
    local name
    for name in $(part_names); do alive "$name" || part_start "$name"; done
    wait_healthy 240
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

# What a part may say beside these: part_ending NAME PID before a process of it is ended, part_ended NAME after that,
# part_swept when all are down, part_wiped before its folder goes.
part_ending() { :; }
part_ended() { :; }
part_swept() { :; }
part_wiped() { :; }

status() {
    local name pid
    for name in $(part_names); do
        pid="$(pid_of "$name")"
        echo "$PART $name ${pid:+pid }${pid:-down}"
    done
}

# part_vars gives NAME=VALUE, and for secrets NAME<FILE: a line for a terminal never holds a secret.
vars() {
    started
    part_vars | while IFS= read -r line; do
        if [[ "$line" =~ ^([A-Z0-9_]+)\<(.*)$ ]]; then echo "${BASH_REMATCH[1]}=$(cat "${BASH_REMATCH[2]}")"; else echo "$line"; fi
    done
}

env_lines() {
    started
    part_vars | sed "s/'/'\\\\''/g; s/^\([A-Za-z0-9_]*\)=\(.*\)/export \1='\2'/; s/^\([A-Za-z0-9_]*\)<\(.*\)/export \1=\"\$(cat '\2')\"/"
}

started() { [ -e "$HOME_OF_PART" ] || fail "$PART was not started here; try: $0 $PART up"; }

wipe() {
    down
    part_wiped
    rm -rf "$HOME_OF_PART"
    case $PART in hdfs | yarn) [ -e "$RUN/hdfs" ] || [ -e "$RUN/yarn" ] || rm -rf "$RUN/hadoop" ;; esac
}

one() { # VERB, NAME
    part_names | grep -qx -- "${2:-}" || fail "$PART has no process ${2:-}; it has: $(part_names | tr '\n' ' ')"
    case $1 in
        start) get; alive "$2" || part_start "$2" ;;
        stop) stop TERM "$2" ;;
        kill9) stop KILL "$2" ;;
        pid) pid_of "$2" ;;
    esac
}

# ---- owners: a test run that is killed must leave no servers

owner_lives() {
    [ -z "${MAPFOLD_PARTS_OWNER:-}" ] || [ -n "$(started_at "$MAPFOLD_PARTS_OWNER")" ] || fail "the owner of $RUN is gone"
}

owned() { # PID: writes it down, and starts a keeper unless there is one
    mkdir -p "$RUN"
    (
        flock 7
        mkdir -p "$RUN/owners"
        started_at "$1" >"$RUN/owners/$1"
        HOME_OF_PART="$RUN/keeper"
        alive keeper || MAPFOLD_PARTS_RUN="$RUN" spawn keeper "$here/part.sh" every kept
    ) 7>"$RUN/owners.lock"
}

kept() { # until no owner lives; then everything goes
    local owner pid live
    while sleep 1; do
        exec 7>"$RUN/owners.lock" || return 0 # somebody deleted the folder
        flock 7
        live=""
        for owner in "$RUN"/owners/*; do
            pid="${owner##*/}"
            if [ -s "$owner" ] && [ "$(started_at "$pid")" = "$(cat "$owner")" ]; then live=1; else rm -f "$owner"; fi
        done
        if [ -z "$live" ]; then
            together wipe "${parts[@]}" || true
            rm -rf "$RUN"
            return
        fi
        exec 7>&-
    done
}

together() { # VERB, PART...: all at once; the first failure is the answer
    local verb="$1" part pids=() code=0 pid
    shift
    for part in "$@"; do ( load "$part"; "$verb" ) & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
    return $code
}

parts=() asked="${1:-}" verb="${2:-}"
asked="${asked/#all/hdfs,yarn,s3,azure,gcs,ssh,emr}"
asked="${asked/#every/${known// /,}}"
for part in ${asked//,/ }; do
    [[ " $known " == *" $part "* ]] || { say "error: no part $part; there are: $known"; exit 2; }
    parts+=("$part")
done
[ ${#parts[@]} -gt 0 ] || usage

case $verb in
    check)
        code=0
        for part in "${parts[@]}"; do ( load "$part"; check ) || code=$?; done
        exit $code
        ;;
    get) for part in "${parts[@]}"; do ( load "$part"; get ); done ;;
    up)
        [[ " ${parts[*]} " == *" yarn "* && " ${parts[*]} " != *" hdfs "* ]] && parts+=(hdfs)
        [[ " ${parts[*]} " == *" emr "* && " ${parts[*]} " != *" s3 "* ]] && parts+=(s3)
        owner_lives
        [ -z "${MAPFOLD_PARTS_OWNER:-}" ] || owned "$MAPFOLD_PARTS_OWNER"
        port0 >/dev/null
        together up "${parts[@]}"
        ;;
    down | wipe) port0 >/dev/null; together "$verb" "${parts[@]}" ;;
    status) for part in "${parts[@]}"; do ( load "$part"; status ); done ;;
    env) for part in "${parts[@]}"; do ( load "$part"; env_lines ); done | awk '!seen[$0]++' ;;
    facts) for part in "${parts[@]}"; do ( load "$part"; started; part_vars ); done ;;
    vars) for part in "${parts[@]}"; do ( load "$part"; vars ); done ;;
    kept) kept ;; # not for users: the keeper of owned()
    start | stop | kill9 | pid) load "${parts[0]}"; one "$verb" "${3:-}" ;;
    *) usage ;;
esac
