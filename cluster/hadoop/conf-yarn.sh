# Sourced by hadoop.sh: the configuration of YARN and MapReduce. A NodeManager that is silent for 15 s counts as dead.

# With MAPFOLD_PARTS_LABEL nodes can have that label (`yarn rmadmin`), and the queue may use those that do.
labels_of() {
    [ -n "${MAPFOLD_PARTS_LABEL:-}" ] || return 0
    local queue
    for queue in root root.default; do
        echo "yarn.scheduler.capacity.$queue.accessible-node-labels $MAPFOLD_PARTS_LABEL"
        echo "yarn.scheduler.capacity.$queue.accessible-node-labels.$MAPFOLD_PARTS_LABEL.capacity 100"
    done
}

{
    [ -z "${MAPFOLD_PARTS_LABEL:-}" ] || cat <<END
yarn.node-labels.enabled true
yarn.node-labels.fs-store.root-dir file://$HOME_OF_PART/data/labels
END
    cat <<END
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
} | properties "$conf/yarn-site.xml"

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

{
    labels_of
    cat <<END
yarn.scheduler.capacity.root.queues default
yarn.scheduler.capacity.root.default.capacity 100
yarn.scheduler.capacity.maximum-am-resource-percent 0.5
yarn.scheduler.capacity.node-locality-delay 4
yarn.scheduler.capacity.resource-calculator org.apache.hadoop.yarn.util.resource.DominantResourceCalculator
END
} | properties "$conf/capacity-scheduler.xml"
