# Sourced by the part hdfs-krb: a realm of its own in the run folder, served by MIT's KDC on the loopback.
#
# Nothing of the machine's own Kerberos (/etc/krb5.conf, /tmp/krb5cc_*) is read or written: all that follows is told by
# KRB5_CONFIG, KRB5_KDC_PROFILE and KRB5CCNAME where these files are. The keytabs are the secrets here.

realm=MAPFOLD.TEST
realm_home="$HOME_OF_PART/realm"
export KRB5_CONFIG="$realm_home/krb5.conf" KRB5_KDC_PROFILE="$realm_home/kdc.conf" KRB5CCNAME="FILE:$realm_home/ticket"
java_common+=("-Djava.security.krb5.conf=$KRB5_CONFIG")
PATH="$PATH:/usr/sbin" # where Debian keeps the KDC

realm_check() {
    need krb5kdc "gives Kerberos tickets" krb5-kdc krb5-admin-server krb5-user # at once
    need kadmin.local "makes Kerberos principals" krb5-admin-server
    need kinit "asks for a Kerberos ticket" krb5-user
}

realm_once() { # the realm, its principals and their keytabs
    [ ! -e "$realm_home/.complete" ] || return 0
    rm -rf "$realm_home"
    mkdir -p "$realm_home"
    realm_files
    {
        kdb5_util create -s -r "$realm" -P "$(secret master)"
        local principal
        for principal in hdfs/localhost HTTP/localhost; do realm_principal "$principal" servers; done
        realm_principal mapfold mapfold
    } >"$realm_home/log" 2>&1 </dev/null 9>&- || fail "the realm could not be made; see $realm_home/log"
    touch "$realm_home/.complete"
}

realm_principal() { # NAME, KEYTAB
    kadmin.local -r "$realm" addprinc -randkey "$1" && kadmin.local -r "$realm" ktadd -k "$realm_home/$2.keytab" "$1"
}

realm_files() { # names are taken as they stand: nobody asks a DNS server
    cat >"$KRB5_CONFIG" <<END
[libdefaults]
    default_realm = $realm
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    $realm = {
        kdc = 127.0.0.1:$(port 80)
    }
[domain_realm]
    localhost = $realm
END
    cat >"$KRB5_KDC_PROFILE" <<END
[kdcdefaults]
    kdc_listen = 127.0.0.1:$(port 80)
    kdc_tcp_listen = 127.0.0.1:$(port 80)
[realms]
    $realm = {
        database_name = $realm_home/principals
        key_stash_file = $realm_home/stash
        acl_file = $realm_home/nobody
        max_life = 7d
    }
END
}

start_kdc() { spawn kdc krb5kdc -n -r "$realm" -P "$realm_home/kdc.pid"; }

realm_ticket() { # of mapfold; the KDC was just started
    local i
    for ((i = 0; i < 50; i++)); do
        kinit -l 7d -k -t "$realm_home/mapfold.keytab" mapfold >>"$realm_home/log" 2>&1 && return
        sleep 0.1
    done
    fail "no ticket; see $realm_home/log"
}
