# HDFS that asks for Kerberos: MIT's KDC with a realm of its own, a NameNode and a DataNode (0.5 GB resident in all).
#
# Two principals: hdfs/localhost (the servers) and mapfold, a superuser, whose ticket `up` gets. Requests and blocks go
# under MAPFOLD_PARTS_PROTECTION: authentication, integrity or privacy (the default), Hadoop's names. The DataNode's ports
# are not privileged; Hadoop asks for TLS on its pages then, which its own switch for tests waives.

. "$here/hadoop/hadoop.sh"
. "$here/hadoop/nodes.sh"
. "$here/hadoop/realm.sh"
hadoop_nodes=1

part_names() { printf '%s\n' kdc nn dn1; }

part_check() {
    hadoop_check
    realm_check
}

part_get() { hadoop_get hdfs; }

part_prepare() {
    realm_once
    hadoop_conf
}

own_core_site() {
    local protection="${MAPFOLD_PARTS_PROTECTION:-privacy}"
    echo "fs.defaultFS hdfs://localhost:$(port 81)"
    echo "hadoop.security.authentication kerberos"
    echo "hadoop.rpc.protection $protection"
    echo "hadoop.user.group.static.mapping.overrides hdfs=supergroup;mapfold=supergroup"
}

own_hdfs_site() {
    local server
    echo "dfs.namenode.name.dir file://$HOME_OF_PART/data/namenode"
    echo "dfs.namenode.http-address localhost:$(port 82)"
    echo "dfs.block.access.token.enable true"
    for server in namenode datanode; do
        echo "dfs.$server.kerberos.principal hdfs/localhost@$realm"
        echo "dfs.$server.keytab.file $realm_home/servers.keytab"
    done
    echo "dfs.web.authentication.kerberos.principal HTTP/localhost@$realm"
    echo "dfs.web.authentication.kerberos.keytab $realm_home/servers.keytab"
    echo "dfs.data.transfer.protection ${MAPFOLD_PARTS_PROTECTION:-privacy}"
    echo "ignore.secure.ports.for.testing true"
}

part_start() { # NAME
    need_java
    case $1 in
        kdc) start_kdc && realm_ticket ;;
        nn) format_once "$HOME_OF_PART/data/namenode" && hadoop_java nn 256m "" "$namenode" ;;
        dn1) start_datanode dn1 1 505 ;;
    esac
}

part_healthy() { datanode_joined 1 505 && namenode_ready 82; }

part_vars() {
    echo "MAPFOLD_PART_HDFS_KRB=hdfs://localhost:$(port 81)"
    echo "MAPFOLD_PART_HDFS_KRB_COMMAND=$hadoop_home/bin/hdfs"
    echo "MAPFOLD_PART_KRB_KEYTAB=$realm_home/mapfold.keytab"
    echo "HADOOP_CONF_DIR=$hadoop_home/conf"
    echo "KRB5_CONFIG=$KRB5_CONFIG"
    echo "KRB5CCNAME=$KRB5CCNAME"
}
