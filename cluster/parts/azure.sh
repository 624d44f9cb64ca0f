# Azurite, Blob only: Microsoft's emulator of Azure storage (MIT), from npm.
# 3.35.0 is the last that runs on Node 20; newer ones ask for Node 21 and 22.

azurite_version=3.35.0
azurite="$cache/azurite-$azurite_version"
azure_container=mapfold
# The account and key that every Azurite has, public in its documentation: they guard nothing.
azure_account=devstoreaccount1
azure_key='Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

part_names() { echo azurite; }

part_check() {
    need curl "asks servers for their health" curl
    need openssl "signs the request that makes a container" openssl
    need node "runs Azurite; tried with Node.js 20" nodejs
    [ -e "$azurite/.complete" ] || need npm "fetches Azurite (once)" npm
}

part_get() {
    [ -e "$azurite/.complete" ] && return
    [ "${MAPFOLD_PARTS_OFFLINE:-}" = 1 ] ||
        say "fetching Azurite $azurite_version (once, 190 MB; kept in $cache)"
    once "$azurite" azurite_fetch || fail "npm could not fetch Azurite, see above"
}

azurite_fetch() { # FOLDER
    nice npm install --silent --no-audit --no-fund --no-update-notifier --prefix "$1" "azurite@$azurite_version"
}

part_prepare() { mkdir -p "$HOME_OF_PART/data"; }

part_start() { # without --disableTelemetry it calls a host on the internet
    spawn azurite node "$azurite/node_modules/azurite/dist/src/blob/main.js" --silent --disableTelemetry \
        --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$(port 42)" --location "$HOME_OF_PART/data"
}

part_healthy() { # it answers, and the container is there
    case "$(azure_put_container)" in 201 | 409) true ;; *) false ;; esac
}

azure_put_container() { # prints the HTTP status; signed with the account's key (Shared Key)
    local path="/$azure_account/$azure_container" date signed
    date="$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')"
    signed="$(printf 'PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-08-06\n/%s%s\nrestype:container' "$date" "$azure_account" "$path" |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(base64 -d <<<"$azure_key" | od -An -v -tx1 | tr -d ' \n')" -binary | base64)"
    curl -s --max-time 3 -o /dev/null -w '%{http_code}' -X PUT -H "x-ms-date: $date" -H 'x-ms-version: 2021-08-06' \
        -H "Authorization: SharedKey $azure_account:$signed" -H 'Content-Length: 0' \
        "http://127.0.0.1:$(port 42)$path?restype=container"
}

part_vars() {
    echo "MAPFOLD_PART_AZURE=az://$azure_container"
    echo "AZURE_STORAGE_ACCOUNT_NAME=$azure_account"
    echo "AZURE_STORAGE_ACCOUNT_KEY=$azure_key"
    echo "AZURE_STORAGE_ENDPOINT=http://127.0.0.1:$(port 42)/$azure_account"
    echo "AZURE_ALLOW_HTTP=true"
}
