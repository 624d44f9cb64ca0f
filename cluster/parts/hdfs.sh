# HDFS: a NameNode and two DataNodes, each a JVM of its own with 256 MB of heap (0.7 GB resident in all).

. "$here/hadoop/hadoop.sh"

part_names() { printf '%s\n' nn dn1 dn2; }

part_get() { hadoop_get hdfs; }

part_prepare() { hadoop_conf; }

part_start() { # NAME
    need_java
    case $1 in
        nn) format_once && hadoop_java nn 256m "" org.apache.hadoop.hdfs.server.namenode.NameNode ;;
        dn*) start_datanode "$1" "${1#dn}" ;;
    esac
}

format_once() {
    [ -d "$HOME_OF_PART/data/namenode/current" ] && return
    mkdir -p "$HOME_OF_PART/data" "$HOME_OF_PART/logs"
    "$java" "${java_common[@]}" "${java_opens[@]}" -cp "$(hadoop_classes)" \
        org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive >"$HOME_OF_PART/logs/format.log" 2>&1 9>&- ||
        fail "the NameNode's folder could not be formatted; see $HOME_OF_PART/logs/format.log"
}

start_datanode() { # NAME, INDEX
    local host="${MAPFOLD_PARTS_HOST:-127.0.0.$(($2 + 1))}" base=$(($2 * 100))
    hadoop_java "$1" 256m "" org.apache.hadoop.hdfs.server.datanode.DataNode \
        "-Ddfs.datanode.data.dir=file://$HOME_OF_PART/data/$1" "-Ddfs.datanode.hostname=$host" \
        "-Ddfs.datanode.address=$host:$(port $((base + 5)))" "-Ddfs.datanode.http.address=$host:$(port $((base + 6)))" \
        "-Ddfs.datanode.ipc.address=$host:$(port $((base + 7)))"
}

part_healthy() { # all DataNodes are known and speak with the NameNode, which has left safe mode
    local state name
    for name in $(part_names | grep dn); do datanode_joined "${name#dn}" || return 1; done
    state="$(http "http://$hadoop_host:$(port 1)/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState")" || return 1
    grep -q "\"NumLiveDataNodes\" : $hadoop_nodes" <<<"$state" && grep -q '"FSState" : "Operational"' <<<"$state"
}

datanode_joined() { # INDEX: by its own word; the NameNode counts one that died as live for some seconds
    local host="${MAPFOLD_PARTS_HOST:-127.0.0.$(($1 + 1))}"
    http "http://$host:$(port $(($1 * 100 + 6)))/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo" | grep -q 'ActorState.*RUNNING'
}

part_vars() {
    echo "MAPFOLD_PART_HDFS=hdfs://$hadoop_host:$(port 0)"
    echo "MAPFOLD_PART_WEBHDFS=http://$hadoop_host:$(port 1)/webhdfs/v1"
    echo "MAPFOLD_PART_HDFS_COMMAND=$hadoop_home/bin/hdfs"
    echo "HADOOP_CONF_DIR=$hadoop_home/conf"
}
