package mapfold.yarn;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.LocalResource;
import org.apache.hadoop.yarn.api.records.LocalResourceType;
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility;
import org.apache.hadoop.yarn.api.records.URL;
import org.apache.hadoop.yarn.security.AMRMTokenIdentifier;

/** Files and secrets: what a member's container is given, and what is kept of the coordinator for the launcher. */
final class Launch {
  private final Options options;
  private final FileSystem files;
  private final Map<String, LocalResource> resources = new HashMap<>();
  private final ByteBuffer tokens;

  Launch(Configuration conf, Options options) throws IOException {
    this.options = options;
    Path staging = new Path(options.staging);
    files = staging.getFileSystem(conf);
    // The program is the same for many jobs: a node fetches it once for a user. The token is this job's.
    resources.put("mapfold", resource(new Path(options.binary), LocalResourceVisibility.PRIVATE));
    resources.put("token", resource(new Path(staging, "token"), LocalResourceVisibility.APPLICATION));
    Credentials all = new Credentials(UserGroupInformation.getCurrentUser().getCredentials());
    // With the master's own token a member could act as the master.
    all.getAllTokens().removeIf(token -> token.getKind().equals(AMRMTokenIdentifier.KIND_NAME));
    DataOutputBuffer buffer = new DataOutputBuffer();
    all.writeTokenStorageToStream(buffer);
    tokens = ByteBuffer.wrap(buffer.getData(), 0, buffer.getLength());
  }

  private LocalResource resource(Path path, LocalResourceVisibility seen) throws IOException {
    FileStatus file = files.getFileStatus(path);
    return LocalResource.newInstance(
        URL.fromPath(path), LocalResourceType.FILE, seen, file.getLen(), file.getModificationTime());
  }

  /** A member: the job's program with the one hidden option. */
  ContainerLaunchContext ofMember(String place, String host) {
    Map<String, String> env = new HashMap<>();
    env.put("MAPFOLD_WITHIN", "yarn-member");
    env.put("MAPFOLD_HOST", host);
    // No shell word can come out of it: the coordinator's own words, without quotes.
    String command = "exec ./mapfold --mapfold-member '" + place.replace("'", "") + "' 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr";
    return ContainerLaunchContext.newInstance(
        resources, env, Collections.singletonList(command), null, tokens.duplicate(), null);
  }

  /** Puts what the coordinator printed, said and recorded beside the job's other files; its exit code comes last. */
  void keepOutcome(Coordinator coordinator, int code) {
    try {
      Path outcome = new Path(options.staging, "outcome-" + options.attempt);
      files.mkdirs(outcome, new FsPermission((short) 0700));
      keep(Coordinator.STDOUT, new Path(outcome, "stdout"));
      keep(coordinator.stderr, new Path(outcome, "stderr"));
      keep(new File(Coordinator.STATE, "mapfold/jobs/" + options.job + "/events.ndjson"), new Path(outcome, "events"));
      try (FSDataOutputStream out = files.create(new Path(outcome, "exit"), true)) {
        out.write(Integer.toString(code).getBytes(StandardCharsets.UTF_8));
      }
    } catch (IOException e) {
      System.err.println("the outcome could not be kept: " + e);
    }
  }

  /** Removes the job's secrets: no other attempt will need them, and the launcher may be gone. */
  void forget() {
    for (String name : new String[] {"token", "settings"}) {
      try {
        files.delete(new Path(options.staging, name), false);
      } catch (IOException e) {
        System.err.println(name + " could not be removed: " + e);
      }
    }
  }

  private void keep(File from, Path to) throws IOException {
    if (from.exists()) {
      files.copyFromLocalFile(false, true, new Path(from.getAbsoluteFile().toURI()), to);
    }
  }
}
