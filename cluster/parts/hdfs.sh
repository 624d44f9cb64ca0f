# HDFS: a NameNode and two DataNodes, each a JVM of its own with 256 MB of heap (0.7 GB resident in all).

. "$here/hadoop/hadoop.sh"
. "$here/hadoop/nodes.sh"

part_names() { printf '%s\n' nn dn1 dn2; }

part_get() { hadoop_get hdfs; }

part_prepare() { hadoop_conf; }

part_start() { # NAME
    need_java
    case $1 in
        nn) format_once "$HOME_OF_PART/data/namenode" && hadoop_java nn 256m "" "$namenode" ;;
        dn*) start_datanode "$1" "${1#dn}" "${1#dn}05" ;;
    esac
}

part_healthy() { # all DataNodes are known and speak with the NameNode, which has left safe mode
    local name
    for name in $(part_names | grep dn); do datanode_joined "${name#dn}" "${name#dn}05" || return 1; done
    namenode_ready 1
}

part_vars() {
    echo "MAPFOLD_PART_HDFS=hdfs://$hadoop_host:$(port 0)"
    echo "MAPFOLD_PART_WEBHDFS=http://$hadoop_host:$(port 1)/webhdfs/v1"
    echo "MAPFOLD_PART_HDFS_COMMAND=$hadoop_home/bin/hdfs"
    echo "HADOOP_CONF_DIR=$hadoop_home/conf"
}
