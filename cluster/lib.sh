# Sourced by part.sh: places, ports, processes. Nothing here knows a part.
#
# Why by pid files: a test kills one DataNode, not "java". A pid file holds the pid and the process's start time, so that
# a number which the system gave to somebody else in the meantime is never killed.

umask 077 # credentials, data and logs are the owner's

cache="${XDG_CACHE_HOME:-$HOME/.cache}/mapfold/parts"
RUN="${MAPFOLD_PARTS_RUN:-$cache/run}"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

lacking=""

missing() { # WHAT, WHY, HOW: a prerequisite, by name. Goes on, so that all that is missing is said at once
    say "missing: $1 ($2)"
    say "  to get it: $3"
    lacking=1
}

checked() { [ -z "$lacking" ] || exit 3; }

need() { # COMMAND, WHY, DEBIAN PACKAGE...: MAPFOLD_PARTS_INSTALL=1 lets root install what Debian has
    local command="$1" why="$2"
    shift 2
    command -v "$command" >/dev/null && return
    [ "${MAPFOLD_PARTS_INSTALL:-}" = 1 ] && apt_install "$@"
    command -v "$command" >/dev/null || missing "$command" "$why" "apt-get install $*"
}

apt_install() { # PACKAGE...: one at a time, whoever asks
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    say "installing from Debian: $*"
    mkdir -p "$cache"
    {
        flock 8
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 ||
            say "apt-get could not install: $*"
    } 8>"$cache/apt.lock"
}

once() { # FOLDER, COMMAND...: fills a folder of the cache, whole or not at all; a second caller waits
    local folder="$1"
    shift
    [ -e "$folder/.complete" ] && return
    if [ "${MAPFOLD_PARTS_OFFLINE:-}" = 1 ]; then
        missing "${folder#"$cache/"}" "not in the cache $cache" "make test, or cluster/part.sh $PART get"
        checked
    fi
    mkdir -p "$(dirname "$folder")"
    {
        flock 8
        [ -e "$folder/.complete" ] && return
        rm -rf "$folder"
        mkdir -p "$folder"
        "$@" "$folder" 8>&- >&2 || return 1
        touch "$folder/.complete"
    } 8>"$folder.lock"
}

# ---- ports: a block of 1000, ours as long as RUN/port0 says so. MAPFOLD_PARTS_PORT chooses it.

port() { echo $(($(port0) + $1)); }

port0() {
    [ -s "$RUN/port0" ] || claim_ports
    cat "$RUN/port0"
}

claim_ports() {
    mkdir -p "$cache/claims" "$RUN"
    {
        flock 8
        [ -s "$RUN/port0" ] && return
        local base
        for base in ${MAPFOLD_PARTS_PORT:-$(seq 19000 1000 31000)}; do
            claimable "$base" || continue
            echo "$RUN" >"$cache/claims/$base"
            echo "$base" >"$RUN/port0"
            return
        done
        fail "no free block of ports${MAPFOLD_PARTS_PORT:+ at $MAPFOLD_PARTS_PORT}; choose another with MAPFOLD_PARTS_PORT"
    } 8>"$cache/claims.lock"
}

claimable() { # BASE: claimed by no other run that still uses it, and nothing listens there
    local base="$1" owner
    owner="$(cat "$cache/claims/$base" 2>/dev/null || true)"
    if [ -n "$owner" ] && [ "$owner" != "$RUN" ] && [ "$(cat "$owner/port0" 2>/dev/null)" = "$base" ]; then return 1; fi
    # local addresses of listeners, in hex: 0100007F:4A38
    awk -v low="$base" 'function number(text,   i, n) { n = 0
            for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
            return n }
        $4 == "0A" { split($2, at, ":"); p = number(at[2]); if (p >= low && p < low + 1000) taken = 1 }
        END { exit taken }' /proc/net/tcp
}

# ---- processes: of the part that part.sh works on; its folder is $HOME_OF_PART

started_at() { # PID: ticks after boot; empty when there is none (a zombie is none)
    local stat
    stat="$(cat "/proc/$1/stat" 2>/dev/null)" || return 0
    stat="${stat##*) }"
    [ "${stat%% *}" = Z ] || cut -d' ' -f20 <<<"$stat"
}

pid_of() { # NAME: empty when it does not run
    local pid began
    read -r pid began 2>/dev/null <"$HOME_OF_PART/pids/$1" || return 0
    if [ -n "$began" ] && [ "$(started_at "$pid")" = "$began" ]; then echo "$pid"; fi
}

alive() { [ -n "$(pid_of "$1")" ]; }

spawn() { # NAME, COMMAND...: in a session of its own, so that the caller's Ctrl-C is not its own
    local name="$1" pid
    shift
    mkdir -p "$HOME_OF_PART/pids" "$HOME_OF_PART/logs"
    cd "$HOME_OF_PART"
    setsid "$@" >>"$HOME_OF_PART/logs/$name.log" 2>&1 </dev/null 7>&- 8>&- 9>&- &
    pid=$!
    cd "$OLDPWD"
    echo "$pid $(started_at "$pid")" >"$HOME_OF_PART/pids/$name"
}

stop() { # SIGNAL, NAME: returns when it is gone
    local signal="$1" name="$2" pid i
    pid="$(pid_of "$name")"
    if [ -n "$pid" ]; then
        part_ending "$name" "$pid"
        kill "-$signal" "$pid" 2>/dev/null || true
        for ((i = 0; i < 200; i++)); do
            alive "$name" || break
            [ "$i" = 150 ] && kill -9 "$pid" 2>/dev/null
            sleep 0.1
        done
        ! alive "$name" || fail "$name (pid $pid) does not end"
        part_ended "$name"
    fi
    rm -f "$HOME_OF_PART/pids/$name"
}

wait_healthy() { # SECONDS
    local end=$((SECONDS + $1)) name
    until part_healthy >/dev/null 2>&1; do
        for name in $(part_names); do alive "$name" || died "$name"; done
        [ $SECONDS -lt $end ] || fail "$PART is not healthy after $1 s; its logs are in $HOME_OF_PART/logs"
        sleep 0.2
    done
}

died() { # NAME
    say "error: $1 of $PART ended while it started; the end of $HOME_OF_PART/logs/$1.log:"
    tail -n 8 "$HOME_OF_PART/logs/$1.log" >&2
    exit 1
}

http() { curl -sf --max-time 3 "$@"; }

secret() { # NAME: 32 random characters, kept in a file that only the owner reads
    local file="$HOME_OF_PART/secrets/$1"
    if [ ! -s "$file" ]; then
        mkdir -p "$HOME_OF_PART/secrets"
        od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$file"
    fi
    cat "$file"
}
