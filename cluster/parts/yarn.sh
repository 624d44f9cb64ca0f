# YARN: a ResourceManager and two NodeManagers, each a JVM of its own (0.8 GB resident in all), on top of the part hdfs.
#
# A NodeManager that is killed leaves its containers alive, as on a real cluster; `down` ends those too.

. "$here/hadoop/hadoop.sh"

part_names() { printf '%s\n' rm nm1 nm2; }

part_get() { hadoop_get yarn; }

part_prepare() { hadoop_conf; }

part_start() { # NAME
    need_java
    case $1 in
        rm) hadoop_java rm 384m "" org.apache.hadoop.yarn.server.resourcemanager.ResourceManager ;;
        nm*) start_nodemanager "$1" "${MAPFOLD_PARTS_HOST:-127.0.0.$((${1#nm} + 1))}" ;;
    esac
}

start_nodemanager() { # NAME, HOST: it takes no -D; its own yarn-site.xml comes first on its class path
    local conf="$HOME_OF_PART/conf-$1" data="$HOME_OF_PART/data/$1" base=$((${1#nm} * 100))
    mkdir -p "$conf" "$data"
    {
        sed -n 's|.*<name>\(.*\)</name><value>\(.*\)</value>.*|\1 \2|p' "$hadoop_home/conf/yarn-site.xml"
        echo "yarn.nodemanager.hostname $2"
        echo "yarn.nodemanager.bind-host $2"
        echo "yarn.nodemanager.address $2:$(port $((base + 30)))"
        echo "yarn.nodemanager.localizer.address $2:$(port $((base + 31)))"
        echo "yarn.nodemanager.webapp.address $2:$(port $((base + 32)))"
        echo "yarn.nodemanager.local-dirs $data/local"
        echo "yarn.nodemanager.log-dirs $data/logs"
    } | properties "$conf/yarn-site.xml"
    hadoop_java "$1" 256m "$conf" org.apache.hadoop.yarn.server.nodemanager.NodeManager
}

part_healthy() {
    http "http://$hadoop_host:$(port 24)/ws/v1/cluster/metrics" | grep -q "\"activeNodes\":$hadoop_nodes"
}

part_swept() { # containers whose NodeManager was killed: their working folder is below ours
    local cwd pid
    for cwd in /proc/[0-9]*/cwd; do
        [[ "$(readlink "$cwd" 2>/dev/null)" == "$HOME_OF_PART/data/"* ]] || continue
        pid="${cwd#/proc/}"
        kill -9 "${pid%/cwd}" 2>/dev/null || true
    done
}

part_vars() {
    need_java
    echo "MAPFOLD_PART_YARN=http://$hadoop_host:$(port 24)"
    echo "MAPFOLD_PART_YARN_COMMAND=$hadoop_home/bin/yarn"
    echo "MAPFOLD_PART_YARN_JARS=$cache/hadoop-$hadoop_version/yarn"
    echo "JAVA_HOME=$JAVA_HOME"
    echo "HADOOP_CONF_DIR=$hadoop_home/conf"
}
