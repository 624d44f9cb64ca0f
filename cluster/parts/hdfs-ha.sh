# HDFS as a name service with two NameNodes, of which one is active, and a DataNode: three JVMs (0.7 GB resident in all).
#
# Fail-over is by hand (`RUN/hdfs-ha/bin/hdfs haadmin`), as on a cluster without ZooKeeper: who kills the active one makes
# the other active. The shared edits lie in a folder; a cluster of machines has journal nodes for that. `up` makes nn1
# active when neither is.

. "$here/hadoop/hadoop.sh"
. "$here/hadoop/nodes.sh"
hadoop_nodes=1
service=twins

part_names() { printf '%s\n' nn1 nn2 dn1; }

part_get() { hadoop_get hdfs; }

part_prepare() { hadoop_conf; }

own_core_site() { echo "fs.defaultFS hdfs://$service"; }

http_port() { echo $((69 + 2 * $1)); } # INDEX of a NameNode; one below is its own port

own_hdfs_site() {
    local i
    echo "dfs.nameservices $service"
    echo "dfs.ha.namenodes.$service nn1,nn2"
    for i in 1 2; do
        echo "dfs.namenode.rpc-address.$service.nn$i $hadoop_host:$(port $(($(http_port $i) - 1)))"
        echo "dfs.namenode.http-address.$service.nn$i $hadoop_host:$(port "$(http_port $i)")"
        echo "dfs.namenode.name.dir.$service.nn$i file://$HOME_OF_PART/data/nn$i"
    done
    echo "dfs.client.failover.proxy.provider.$service org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    echo "dfs.namenode.shared.edits.dir file://$HOME_OF_PART/data/edits"
    echo "dfs.ha.fencing.methods shell(/bin/true)"
    echo "dfs.ha.tail-edits.period 1s"
    echo "dfs.ha.log-roll.period 3s" # who is on standby reads closed logs only; one that starts is in safe mode until then
}

part_start() { # NAME
    need_java
    case $1 in
        nn1) format_once "$HOME_OF_PART/data/nn1" -Ddfs.ha.namenode.id=nn1 && start_namenode nn1 ;;
        nn2) bootstrap_once && start_namenode nn2 ;;
        dn1) start_datanode dn1 1 305 ;;
    esac
}

start_namenode() { hadoop_java "$1" 256m "" "$namenode" "-Ddfs.ha.namenode.id=$1"; }

bootstrap_once() { # the second NameNode takes over what the first one has, which must run
    [ -d "$HOME_OF_PART/data/nn2/current" ] && return
    local end=$((SECONDS + 120))
    until state_of 1 >/dev/null; do
        alive nn1 || died nn1
        [ $SECONDS -lt $end ] || fail "nn1 does not answer; see $HOME_OF_PART/logs/nn1.log"
        sleep 0.2
    done
    hadoop_once bootstrap.log "the second NameNode could not take over" \
        "$namenode" -Ddfs.ha.namenode.id=nn2 -bootstrapStandby -nonInteractive
}

state_of() { # INDEX: active, standby, ...; fails when it does not answer
    http "http://$hadoop_host:$(port "$(http_port "$1")")/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus" |
        sed -n 's/.*"State" : "\([a-z]*\)".*/\1/p' | grep .
}

part_healthy() { # the DataNode speaks with both, both have left safe mode, one is active
    local states
    datanode_joined 1 305 && states="$(state_of 1) $(state_of 2)" || return 1
    [ "$states" != "standby standby" ] || "$hadoop_home/bin/hdfs" haadmin -transitionToActive nn1 9>&- || return 1
    namenode_ready "$(http_port 1)" && namenode_ready "$(http_port 2)" && [[ "$(state_of 1) $(state_of 2)" == *active* ]]
}

part_vars() {
    echo "MAPFOLD_PART_HDFS_HA=hdfs://$service"
    echo "MAPFOLD_PART_HDFS_HA_COMMAND=$hadoop_home/bin/hdfs"
    echo "HADOOP_CONF_DIR=$hadoop_home/conf"
}
