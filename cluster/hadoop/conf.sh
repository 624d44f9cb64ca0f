# Sourced by hadoop.sh: the configuration of HDFS. Client and servers read the same files (HADOOP_CONF_DIR).
#
# Times are short so that failures show soon: a DataNode counts as dead after 2 x 5 s + 10 x 1 s (Hadoop's default: 10.5
# minutes). Each node has its own address AND its own ports: the NameNode would take two
# DataNodes that differ by address only for one.

properties "$conf/core-site.xml" <<END
$(own_core_site)
hadoop.tmp.dir $hadoop_home/tmp
hadoop.security.authorization false
ipc.client.connect.max.retries 3
END

properties "$conf/hdfs-site.xml" <<END
dfs.replication $hadoop_nodes
dfs.blocksize ${MAPFOLD_PARTS_BLOCK_SIZE:-33554432}
dfs.namenode.fs-limits.min-block-size 1024
$(own_hdfs_site)
dfs.namenode.datanode.registration.ip-hostname-check false
dfs.namenode.safemode.extension 0
dfs.namenode.safemode.min.datanodes $hadoop_nodes
dfs.namenode.edits.noeditlogchannelflush true
dfs.namenode.heartbeat.recheck-interval 5000
dfs.heartbeat.interval 1
dfs.client.use.datanode.hostname true
dfs.datanode.use.datanode.hostname true
dfs.client.socket-timeout 10000
dfs.client.block.write.replace-datanode-on-failure.policy NEVER
dfs.webhdfs.enabled true
END

new="$conf/log4j.properties.$BASHPID"
cat >"$new" <<'END'
hadoop.root.logger=INFO,console
log4j.rootLogger=${hadoop.root.logger}
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
END
mv "$new" "$conf/log4j.properties"
