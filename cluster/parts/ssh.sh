# Two "hosts" for SSH on loopback: mapfold1 is 127.0.0.2, mapfold2 is 127.0.0.3, each an sshd with a host key of its own
# and one user key, all new for this run folder. Only the caller may log in, only with that key; ~/.ssh is not touched.
#
# Every process that a login starts carries MAPFOLD_PART_HOST=RUN/NAME, however it detaches itself: stop and kill9 end
# all of them, as when a host goes down.

ssh_config="$HOME_OF_PART/config"

part_names() { printf '%s\n' mapfold1 mapfold2; }

find_sshd() { sshd="$(PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" command -v sshd)"; } # called by its full path

part_check() {
    find_sshd || [ "${MAPFOLD_PARTS_INSTALL:-}" != 1 ] || apt_install openssh-server
    find_sshd || missing sshd "the hosts of --target ssh://" "apt-get install openssh-server"
    need ssh "logs in to them" openssh-client
    need pgrep "ends what logins left" procps
}

part_get() { :; }

part_prepare() {
    local name keys="$HOME_OF_PART/keys"
    mkdir -p "$keys"
    for name in user $(part_names); do
        [ -s "$keys/$name" ] || ssh-keygen -q -t ed25519 -N '' -C "mapfold test, $name" -f "$keys/$name"
    done
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd # where sshd drops its privileges
    : >"$keys/known_hosts"
    : >"$ssh_config"
    for name in $(part_names); do ssh_host "$name" "127.0.0.$((${name#mapfold} + 1))" "$(port $((50 + ${name#mapfold})))"; done
}

ssh_host() { # NAME, ADDRESS, PORT: what the server and what the client read
    local keys="$HOME_OF_PART/keys"
    echo "[$2]:$3 $(cut -d' ' -f1,2 "$keys/$1.pub")" >>"$keys/known_hosts"
    cat >>"$ssh_config" <<END
Host $1
    HostName $2
    Port $3
    User $(id -un)
    IdentityFile $keys/user
    IdentitiesOnly yes
    UserKnownHostsFile $keys/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
END
    cat >"$HOME_OF_PART/$1.conf" <<END
ListenAddress $2:$3
HostKey $keys/$1
AuthorizedKeysFile $keys/user.pub
AllowUsers $(id -un)
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
PrintMotd no
MaxStartups 100
MaxSessions 100
SetEnv MAPFOLD_PART_HOST=$HOME_OF_PART/$1
Subsystem sftp internal-sftp
END
}

part_start() { spawn "$1" "$sshd" -D -e -f "$HOME_OF_PART/$1.conf"; }

part_healthy() {
    local name
    for name in $(part_names); do timeout 10 ssh -F "$ssh_config" "$name" true || return 1; done
}

part_ending() { ssh_logins="$(pgrep -P "$2" || true)"; } # NAME, PID: connections are children of their own

part_ended() { # NAME: what its logins left; twice, since they may just be starting another
    local again pid
    for pid in $ssh_logins; do kill -9 "$pid" 2>/dev/null || true; done
    for again in 1 2; do
        for pid in $(grep -lsazxE "MAPFOLD_PART_HOST=$HOME_OF_PART/$1" /proc/[0-9]*/environ | sed 's|/proc/||; s|/environ||'); do
            kill -9 "$pid" 2>/dev/null || true
        done
    done
}

part_vars() {
    echo "MAPFOLD_PART_SSH=ssh://mapfold1,mapfold2"
    echo "MAPFOLD_SSH=ssh -F $ssh_config"
}
