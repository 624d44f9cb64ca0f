package mapfold.yarn;

import java.util.HashMap;
import java.util.Map;

/** What the launcher said on the command line, as {@code key=value}, and what the container's environment says. */
final class Options {
  /** The job's private folder on the cluster's file system. */
  final String staging;
  /** The job's program on the cluster's file system. */
  final String binary;
  /** Where files are put that YARN collects as logs. */
  final String logs;
  /** The job's name for machines. */
  final String job;
  /** This node, as others reach it. */
  final String host;
  /** 1 for the first attempt of the application. */
  final int attempt;

  private Options(Map<String, String> said) {
    staging = said.get("staging");
    binary = said.get("binary");
    logs = said.get("logs");
    job = said.get("job");
    host = System.getenv("NM_HOST");
    String container = System.getenv("CONTAINER_ID"); // container_[eNN_]CLUSTER_APP_ATTEMPT_NUMBER
    String[] parts = container.split("_");
    attempt = Integer.parseInt(parts[parts.length - 2]);
  }

  static Options of(String[] args) {
    Map<String, String> said = new HashMap<>();
    for (String arg : args) {
      int at = arg.indexOf('=');
      said.put(arg.substring(0, at), arg.substring(at + 1));
    }
    return new Options(said);
  }
}
