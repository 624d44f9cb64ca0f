# Sourced by the parts hdfs, yarn, hdfs-ha, hdfs-krb: jars, Java, configuration, command line tools.

hadoop_version=3.4.2
hadoop_home="$HOME_OF_PART"
hadoop_set=hdfs                # which jars
case $PART in hdfs | yarn) hadoop_home="$RUN/hadoop" hadoop_set="$PART" ;; esac # one cluster
hadoop_nodes=2                 # DataNodes, and NodeManagers: node 1 is 127.0.0.2, node 2 is 127.0.0.3
hadoop_host="${MAPFOLD_PARTS_HOST:-127.0.0.1}"

# Packages that Hadoop 3.4 reaches into by reflection, closed since JDK 16.
java_opens=()
for package in lang io net nio util util.concurrent; do java_opens+=("--add-opens=java.base/java.$package=ALL-UNNAMED"); done
for package in nio.ch security.x509; do java_opens+=("--add-opens=java.base/sun.$package=ALL-UNNAMED"); done
for package in dns util; do java_opens+=("--add-exports=java.base/sun.net.$package=ALL-UNNAMED"); done
java_common=(-XX:+UseSerialGC -Xshare:auto -Djava.net.preferIPv4Stack=true -Djava.security.egd=file:/dev/urandom)

part_check() { hadoop_check; }

hadoop_check() {
    need curl "asks servers for their health" curl
    need_java
    [ -e "$cache/hadoop-$hadoop_version/$hadoop_set/.complete" ] || need mvn "fetches Hadoop's jars (once)" maven
}

hadoop_get() { # hdfs | yarn: the jars of that set
    hadoop_jars="$cache/hadoop-$hadoop_version/$1"
    [ -e "$hadoop_jars/.complete" ] && return
    [ "${MAPFOLD_PARTS_OFFLINE:-}" = 1 ] ||
        say "fetching Hadoop $hadoop_version, $1 (once, 50 to 100 MB; kept in $cache)"
    once "$hadoop_jars" hadoop_fetch "$1" || fail "Maven could not fetch Hadoop's jars, see above"
}

hadoop_fetch() { # SET, FOLDER
    local profile=()
    [ "$1" = yarn ] && profile=(-Pyarn)
    nice mvn -B -q -f "$here/hadoop/pom.xml" ${profile[@]+"${profile[@]}"} dependency:copy-dependencies -DoutputDirectory="$2"
}

need_java() { # sets $java and JAVA_HOME; Hadoop 3.4 runs on 11 to 23
    java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
    command -v "$java" >/dev/null || { java=java; need java "runs Hadoop" openjdk-17-jre-headless; }
    command -v "$java" >/dev/null || return 0 # said already
    local major
    major="$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')"
    [ "${major:-0}" -ge 11 ] && [ "$major" -le 23 ] ||
        missing "JDK 17" "Hadoop $hadoop_version does not run on Java ${major:-of unknown version}" "apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
    JAVA_HOME="$(dirname "$(dirname "$(readlink -f "$(command -v "$java")")")")"
    export JAVA_HOME
}

hadoop_classes() { echo "$hadoop_home/conf:$cache/hadoop-$hadoop_version/${1:-$hadoop_set}/*"; }

hadoop_java() { # NAME, HEAP, FOLDER OF ITS OWN CONFIGURATION or "", CLASS, ARGS...
    local name="$1" heap="$2" own="$3"
    shift 3
    HADOOP_CONF_DIR="$hadoop_home/conf" spawn "$name" "$java" "-Xmx$heap" "${java_common[@]}" "${java_opens[@]}" \
        "-Dhadoop.log.dir=$HOME_OF_PART/logs" -cp "${own:+$own:}$(hadoop_classes)" "$@"
}

property() { printf '  <property><name>%s</name><value>%s</value></property>\n' "$1" "$2"; }

properties() { # FILE: "name value" lines of stdin as a configuration; appears whole
    local name value
    {
        echo '<configuration>'
        while read -r name value; do [ -z "$name" ] || property "$name" "$value"; done
        echo '</configuration>'
    } >"$1.$BASHPID"
    mv "$1.$BASHPID" "$1"
}

# What a part says beside that, or instead: "name value" lines. Here: one NameNode, whom everybody believes.
own_core_site() { echo "fs.defaultFS hdfs://$hadoop_host:$(port 0)"; }
own_hdfs_site() {
    echo "dfs.namenode.name.dir file://$RUN/hdfs/data/namenode"
    echo "dfs.namenode.http-address $hadoop_host:$(port 1)"
}

hadoop_conf() { # the same text from hdfs and yarn, so either may write it
    local conf="$hadoop_home/conf" folder
    # Maven's jars hold no web pages; the HTTP servers only ask that the folders exist.
    for folder in hdfs datanode secondary static cluster node; do mkdir -p "$conf/webapps/$folder"; done
    . "$here/hadoop/conf.sh"
    hadoop_hdfs_tool
    [ "$hadoop_home" != "$RUN/hadoop" ] || hadoop_yarn
}

hadoop_hdfs_tool() {
    hadoop_tool hdfs hdfs <<'END'
    dfs | fs) set -- org.apache.hadoop.fs.FsShell "${@:2}" ;;
    dfsadmin) set -- org.apache.hadoop.hdfs.tools.DFSAdmin "${@:2}" ;;
    fsck) set -- org.apache.hadoop.hdfs.tools.DFSck "${@:2}" ;;
    debug) set -- org.apache.hadoop.hdfs.tools.DebugAdmin "${@:2}" ;;
    haadmin) set -- org.apache.hadoop.hdfs.tools.DFSHAAdmin "${@:2}" ;;
    *) echo "usage: hdfs dfs|dfsadmin|fsck|debug|haadmin ARGS..." >&2; exit 2 ;;
END
}

hadoop_yarn() {
    . "$here/hadoop/conf-yarn.sh"
    hadoop_tool yarn yarn <<'END'
    application) set -- org.apache.hadoop.yarn.client.cli.ApplicationCLI application "${@:2}" ;;
    logs) set -- org.apache.hadoop.yarn.client.cli.LogsCLI "${@:2}" ;;
    node) set -- org.apache.hadoop.yarn.client.cli.NodeCLI "${@:2}" ;;
    rmadmin) set -- org.apache.hadoop.yarn.client.cli.RMAdminCLI "${@:2}" ;;
    jar) set -- org.apache.hadoop.util.RunJar "${@:2}" ;;
    *) echo "usage: yarn application|logs|node|rmadmin|jar ARGS..." >&2; exit 2 ;;
END
}

hadoop_tool() { # NAME, SET OF JARS; stdin: cases that turn words into a class: RUN/hadoop/bin/NAME
    local file="$hadoop_home/bin/$1"
    mkdir -p "$hadoop_home/bin"
    {
        echo '#!/usr/bin/env bash'
        echo "# Hadoop's own $1, on this cluster. Written by mapfold's part.sh."
        echo 'case "${1:-}" in'
        cat
        echo 'esac'
        echo "export JAVA_HOME='$JAVA_HOME' HADOOP_CONF_DIR='$hadoop_home/conf'"
        printf 'exec %q/bin/java -Xmx512m ${HADOOP_OPTS:-} -Dhadoop.root.logger=WARN,console' "$JAVA_HOME"
        printf ' %q' "${java_common[@]}" "${java_opens[@]}" -cp "$(hadoop_classes "$2")"
        echo ' "$@"'
    } >"$file.$BASHPID"
    chmod 700 "$file.$BASHPID"
    mv "$file.$BASHPID" "$file"
}
