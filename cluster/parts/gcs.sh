# A double of Google Cloud Storage, in Python: see gcs/server.py for what it shows and what it does not.
# Its service account has a real RSA key, new for each run: clients sign tokens, the double checks them.

gcs_bucket=mapfold
gcs_account=mapfold@test.invalid

part_names() { echo double; }

part_check() {
    need curl "asks servers for their health" curl
    need openssl "makes the service account's key" openssl
    need python3 "runs the double of Google Cloud Storage" python3
    ! command -v python3 >/dev/null || python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || missing "Python 3.9" "python3 is older" "apt-get install python3"
}

part_get() { :; }

part_prepare() {
    local secrets="$HOME_OF_PART/secrets" key
    mkdir -p "$HOME_OF_PART/data" "$secrets"
    [ -s "$secrets/account.json" ] && return
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$secrets/key.pem" 2>/dev/null ||
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$secrets/key.pem" 2>/dev/null
    openssl rsa -in "$secrets/key.pem" -noout -modulus 2>/dev/null | sed 's/^Modulus=//' >"$secrets/modulus"
    key="$(awk '{ printf "%s\\n", $0 }' "$secrets/key.pem")"
    cat >"$secrets/account.json.new" <<END
{"type": "service_account", "project_id": "test", "private_key_id": "1", "client_email": "$gcs_account", "client_id": "1",
 "private_key": "$key", "gcs_base_url": "http://127.0.0.1:$(port 43)"}
END
    mv "$secrets/account.json.new" "$secrets/account.json"
}

part_start() {
    spawn double python3 -B "$here/gcs/server.py" --port "$(port 43)" --data "$HOME_OF_PART/data" --bucket "$gcs_bucket" \
        --modulus "$(cat "$HOME_OF_PART/secrets/modulus")" --issuer "$gcs_account"
}

part_healthy() { http "http://127.0.0.1:$(port 43)/_health"; }

part_vars() {
    echo "MAPFOLD_PART_GCS=gs://$gcs_bucket"
    echo "GOOGLE_APPLICATION_CREDENTIALS=$HOME_OF_PART/secrets/account.json"
    echo "GOOGLE_SERVICE_ACCOUNT=$HOME_OF_PART/secrets/account.json"
    echo "GOOGLE_BASE_URL=http://127.0.0.1:$(port 43)"
    echo "GOOGLE_ALLOW_HTTP=true"
}
