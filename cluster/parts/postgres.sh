# PostgreSQL, one server on loopback; nothing of mapfold reads it yet. The password is new for each run folder.
# It refuses to run as root: then it runs as the user postgres, with its data below /tmp, where that user can come.

part_names() { echo postgres; }

find_postgres() { # Debian keeps it off the PATH
    postgres_bin="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)"
    [ -n "$postgres_bin" ] || { command -v initdb >/dev/null && postgres_bin="$(dirname "$(command -v initdb)")"; }
}

part_check() {
    find_postgres || [ "${MAPFOLD_PARTS_INSTALL:-}" != 1 ] || apt_install postgresql
    find_postgres || missing postgres "a database for tests" "apt-get install postgresql"
}

part_get() { :; }

as_postgres() { # COMMAND...: keeps the pid, since it becomes the command
    if [ "$(id -u)" = 0 ]; then cd / && setpriv --reuid postgres --regid postgres --init-groups "$@"; else "$@"; fi
}

part_prepare() {
    local data="$HOME_OF_PART/place"
    [ -s "$data" ] && return
    local folder="$HOME_OF_PART/data"
    if [ "$(id -u)" = 0 ]; then
        folder="$(mktemp -d /tmp/mapfold-postgres.XXXXXX)"
    fi
    mkdir -p "$folder"
    secret password >"$folder/password" # as a file: a command line can be seen by all
    [ "$(id -u)" != 0 ] || chown -R postgres: "$folder"
    as_postgres "$postgres_bin/initdb" -D "$folder/db" -U mapfold -A scram-sha-256 -E UTF8 --no-sync \
        --pwfile="$folder/password" >"$HOME_OF_PART/initdb.log" 2>&1 ||
        fail "initdb failed; see $HOME_OF_PART/initdb.log"
    rm "$folder/password"
    echo "$folder" >"$data"
}

part_start() {
    local folder command
    folder="$(cat "$HOME_OF_PART/place")"
    command=("$postgres_bin/postgres" -D "$folder/db" -c "listen_addresses=127.0.0.1" -c "port=$(port 60)" -c "unix_socket_directories=$folder")
    [ "$(id -u)" != 0 ] || command=(setpriv --reuid postgres --regid postgres --init-groups "${command[@]}")
    spawn postgres "${command[@]}"
}

part_healthy() { "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$(port 60)"; }

part_wiped() { # its folder below /tmp
    local folder
    folder="$(cat "$HOME_OF_PART/place" 2>/dev/null)" || return 0
    [[ "$folder" != /tmp/mapfold-postgres.* ]] || rm -rf "$folder"
}

part_vars() {
    echo "PGHOST=127.0.0.1"
    echo "PGPORT=$(port 60)"
    echo "PGUSER=mapfold"
    echo "PGDATABASE=postgres"
    echo "PGPASSWORD<$HOME_OF_PART/secrets/password"
}
