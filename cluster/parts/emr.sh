# Amazon EMR: moto (Apache-2.0) with the calls that it lacks, see emr/server.py for what it shows and what it does not.
# Its keys are those of the part s3, which it brings; beside it is Amazon's own `aws`, which steps use.

emr_hash="$(sha256sum <"$here/emr/requirements.txt" | cut -c1-12)"
emr_home="$cache/emr-$emr_hash"

part_names() { echo moto; }

part_check() {
    need curl "asks servers for their health" curl
    [ -x "$emr_home/venv/bin/aws" ] || emr_python >/dev/null ||
        missing "Python 3.11 with venv" "runs moto" "apt-get install python3 python3-venv"
}

emr_python() { # the newest of these that can make an environment
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        echo "$candidate"
        return
    done
    return 1
}

part_get() { once "$emr_home" emr_build || fail "the Python environment of moto could not be made, see above"; }

emr_build() { # FOLDER
    local python
    python="$(emr_python)" && say "fetching moto (once; kept in $cache)" && "$python" -m venv "$1/venv" &&
        "$1/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
            -r "$here/emr/requirements.txt"
}

part_prepare() { :; }

part_start() { spawn moto "$emr_home/venv/bin/python" -B "$here/emr/server.py" --port "$(port 45)" --keys "$RUN/s3/secrets"; }

part_healthy() { http "http://127.0.0.1:$(port 45)/_health"; }

part_vars() {
    echo "MAPFOLD_PART_EMR=http://127.0.0.1:$(port 45)"
    echo "MAPFOLD_PART_EMR_BIN=$emr_home/venv/bin"
    echo "AWS_ENDPOINT_URL_EMR=http://127.0.0.1:$(port 45)"
}
