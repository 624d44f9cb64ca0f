# Sourced by the parts that have a NameNode: its folder is formatted once; DataNodes are started and asked whether they
# have joined. Which NameNodes there are, and with what configuration, is the part's.

hadoop_once() { # LOG, WHAT FAILED, CLASS, ARGS...: a tool that runs before the servers, to its end
    local log="$HOME_OF_PART/logs/$1" what="$2"
    shift 2
    mkdir -p "$HOME_OF_PART/data" "$HOME_OF_PART/logs"
    HADOOP_CONF_DIR="$hadoop_home/conf" "$java" "${java_common[@]}" "${java_opens[@]}" -cp "$(hadoop_classes)" "$@" >"$log" 2>&1 9>&- ||
        fail "$what; see $log"
}

namenode=org.apache.hadoop.hdfs.server.namenode.NameNode

format_once() { # FOLDER OF ITS DATA, ARGS...
    [ -d "$1/current" ] || hadoop_once format.log "the NameNode's folder could not be formatted" \
        "$namenode" "${@:2}" -format -nonInteractive
}

node_host() { echo "${MAPFOLD_PARTS_HOST:-127.0.0.$(($1 + 1))}"; } # INDEX

start_datanode() { # NAME, INDEX, FIRST OF ITS PORTS
    local host
    host="$(node_host "$2")"
    hadoop_java "$1" 256m "" org.apache.hadoop.hdfs.server.datanode.DataNode \
        "-Ddfs.datanode.data.dir=file://$HOME_OF_PART/data/$1" "-Ddfs.datanode.hostname=$host" \
        "-Ddfs.datanode.address=$host:$(port "$3")" "-Ddfs.datanode.http.address=$host:$(port $(($3 + 1)))" \
        "-Ddfs.datanode.ipc.address=$host:$(port $(($3 + 2)))"
}

datanode_joined() { # INDEX, FIRST OF ITS PORTS: by its own word; the NameNode counts one that died as live for some seconds
    http "http://$(node_host "$1"):$(port $(($2 + 1)))/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo" |
        grep -q 'ActorState.*RUNNING'
}

namenode_ready() { # PORT: it knows all DataNodes, and has left safe mode
    local state
    state="$(http "http://$hadoop_host:$(port "$1")/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState")" || return 1
    grep -q "\"NumLiveDataNodes\" : $hadoop_nodes" <<<"$state" && grep -q '"FSState" : "Operational"' <<<"$state"
}
