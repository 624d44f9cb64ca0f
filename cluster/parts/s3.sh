# MinIO: the S3 reference. AGPL-3.0: a program that tests talk to, never linked, never shipped.
# Built from the Go proxy at a pinned version (3.5 CPU minutes, 150 MB), kept in the cache.

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
minio="$cache/minio-$minio_version/minio"
s3_bucket=mapfold
s3_key=mapfold # its only key of SSE-KMS

part_names() { echo minio; }

part_check() {
    need curl "asks servers for their health" curl
    [ -x "$minio" ] || command -v go >/dev/null || missing go "builds MinIO (once)" "Go 1.24 or later, from go.dev/dl"
}

part_get() {
    [ -x "$minio" ] && return
    [ "${MAPFOLD_PARTS_OFFLINE:-}" = 1 ] ||
        say "building MinIO $minio_version (once, some minutes; kept in $cache)"
    once "${minio%/*}" minio_build || fail "MinIO could not be built, see above"
}

minio_build() { # FOLDER; its sources and objects (1.5 GB) are not kept, nor put among the user's
    GOBIN="$1" GOPATH="$1/go" GOCACHE="$1/go/cache" GOFLAGS='-trimpath -modcacherw' CGO_ENABLED=0 \
        nice go install -ldflags='-s -w' "github.com/minio/minio@$minio_version" && rm -rf "$1/go"
}

part_prepare() { mkdir -p "$HOME_OF_PART/data/$s3_bucket"; } # a folder there is a bucket

s3_identities() { # web identities of this provider (oidc.py) may read, where one is named
    [ -n "${MAPFOLD_PARTS_OPENID:-}" ] || return 0
    export MINIO_IDENTITY_OPENID_CONFIG_URL="$MAPFOLD_PARTS_OPENID"
    export MINIO_IDENTITY_OPENID_CLIENT_ID=mapfold-tests MINIO_IDENTITY_OPENID_ROLE_POLICY=readonly
}

part_start() {
    s3_identities
    MINIO_ROOT_USER="$(secret user)" MINIO_ROOT_PASSWORD="$(secret password)" \
        MINIO_KMS_SECRET_KEY="$s3_key:$(secret kms | tr -d '\n' | base64 -w0)" \
        MINIO_UPDATE=off MINIO_CALLHOME_ENABLE=off MINIO_BROWSER=off \
        spawn minio "$minio" server --quiet --address "127.0.0.1:$(port 40)" "$HOME_OF_PART/data"
}

part_healthy() { http "http://127.0.0.1:$(port 40)/minio/health/ready"; }

part_vars() {
    echo "MAPFOLD_PART_S3=s3://$s3_bucket"
    echo "AWS_ENDPOINT_URL=http://127.0.0.1:$(port 40)"
    echo "AWS_ENDPOINT=http://127.0.0.1:$(port 40)"
    echo "AWS_ALLOW_HTTP=true"
    echo "AWS_REGION=us-east-1"
    echo "AWS_ACCESS_KEY_ID=$(secret user)"
    echo "AWS_SECRET_ACCESS_KEY<$HOME_OF_PART/secrets/password"
}
