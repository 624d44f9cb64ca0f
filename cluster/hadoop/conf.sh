# Sourced by hadoop.sh: the configuration of the cluster. Client and servers read the same files (HADOOP_CONF_DIR).
#
# Times are short so that failures show soon: a DataNode counts as dead after 2 x 5 s + 10 x 1 s (Hadoop's default: 10.5
# minutes), a NodeManager after 15 s. Each node has its own address AND its own ports: the NameNode would take two
# DataNodes that differ by address only for one.

properties "$conf/core-site.xml" <<END
fs.defaultFS hdfs://$hadoop_host:$(port 0)
hadoop.tmp.dir $hadoop_home/tmp
hadoop.security.authorization false
ipc.client.connect.max.retries 3
END

properties "$conf/hdfs-site.xml" <<END
dfs.replication 2
dfs.blocksize ${MAPFOLD_PARTS_BLOCK_SIZE:-33554432}
dfs.namenode.fs-limits.min-block-size 1024
dfs.namenode.name.dir file://$RUN/hdfs/data/namenode
dfs.namenode.http-address $hadoop_host:$(port 1)
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

properties "$conf/yarn-site.xml" <<END
yarn.resourcemanager.hostname $hadoop_host
yarn.resourcemanager.bind-host $hadoop_host
yarn.resourcemanager.address $hadoop_host:$(port 20)
yarn.resourcemanager.scheduler.address $hadoop_host:$(port 21)
yarn.resourcemanager.resource-tracker.address $hadoop_host:$(port 22)
yarn.resourcemanager.admin.address $hadoop_host:$(port 23)
yarn.resourcemanager.webapp.address $hadoop_host:$(port 24)
yarn.resourcemanager.scheduler.class org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.CapacityScheduler
yarn.resourcemanager.nodemanagers.heartbeat-interval-ms 200
yarn.nm.liveness-monitor.expiry-interval-ms 15000
yarn.resourcemanager.container.liveness-monitor.interval-ms 5000
yarn.scheduler.minimum-allocation-mb 128
yarn.scheduler.maximum-allocation-mb 4096
yarn.nodemanager.resource.memory-mb 4096
yarn.nodemanager.resource.cpu-vcores 4
yarn.nodemanager.vmem-check-enabled false
yarn.nodemanager.aux-services mapreduce_shuffle
yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage 99
yarn.nodemanager.env-whitelist JAVA_HOME,HADOOP_CONF_DIR,PATH,LANG
yarn.nodemanager.sleep-delay-before-sigkill.ms 500
yarn.nodemanager.delete.debug-delay-sec 0
yarn.log-aggregation-enable true
yarn.nodemanager.remote-app-log-dir /logs
yarn.application.classpath $(hadoop_classes yarn)
yarn.webapp.api-service.enable false
END

properties "$conf/mapred-site.xml" <<END
mapreduce.framework.name yarn
mapreduce.application.classpath $(hadoop_classes yarn)
mapreduce.shuffle.port 0
yarn.app.mapreduce.am.resource.mb 768
yarn.app.mapreduce.am.command-opts -Xmx512m
mapreduce.map.memory.mb 1024
mapreduce.map.java.opts -Xmx768m
mapreduce.reduce.memory.mb 1024
mapreduce.reduce.java.opts -Xmx768m
END

properties "$conf/capacity-scheduler.xml" <<END
yarn.scheduler.capacity.root.queues default
yarn.scheduler.capacity.root.default.capacity 100
yarn.scheduler.capacity.maximum-am-resource-percent 0.5
yarn.scheduler.capacity.node-locality-delay 4
yarn.scheduler.capacity.resource-calculator org.apache.hadoop.yarn.util.resource.DominantResourceCalculator
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
