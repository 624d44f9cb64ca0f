package mapfold.yarn;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.webapp.util.WebAppUtils;

/**
 * The coordinator of the job: this container's other process.
 *
 * <p>Its standard output carries lines to the master, so what the job prints goes to a file that the environment names.
 * When this process dies, the coordinator reads the end of its standard input, and ends.
 */
final class Coordinator {
  /** The last line of the queue: {@code exited CODE}. */
  static final String EXITED = "exited";

  /** What the job printed, what it said, and its events, in this container's folder. */
  static final File STDOUT = new File("stdout"), STATE = new File("state");

  final File stderr;
  private final Process process;
  private final BufferedWriter to;
  private final BlockingQueue<String> said = new LinkedBlockingQueue<>();
  private String tracking = "";

  Coordinator(Configuration conf, Options options) throws IOException {
    stderr = new File(options.logs, "coordinator.err");
    List<String> command = new ArrayList<>();
    command.add(new File("mapfold").getAbsolutePath());
    // Arguments are separated, not ended, by zero bytes: only those can be in none of them.
    String all = new String(Files.readAllBytes(Paths.get("arguments")), StandardCharsets.UTF_8);
    command.addAll(Arrays.asList(all.split("\0", -1)));
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(stderr);
    Map<String, String> env = builder.environment();
    env.remove("CLASSPATH");
    env.put("MAPFOLD_WITHIN", "yarn");
    env.put("MAPFOLD_ATTEMPT", Integer.toString(options.attempt));
    env.put("MAPFOLD_STDOUT", STDOUT.getAbsolutePath());
    env.put("MAPFOLD_HOST", options.host);
    env.put("MAPFOLD_PROXIES", proxies(conf));
    env.put("XDG_STATE_HOME", STATE.getAbsolutePath());
    process = builder.start();
    to = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
    Thread reader = new Thread(this::read, "coordinator");
    reader.setDaemon(true);
    reader.start();
  }

  /** Addresses of the cluster's web proxies: through them alone the coordinator's pages are seen. */
  private static String proxies(Configuration conf) {
    List<String> all = new ArrayList<>();
    for (String place : WebAppUtils.getProxyHostsAndPortsForAmFilter(conf)) {
      try {
        for (InetAddress address : InetAddress.getAllByName(place.split(":")[0])) {
          all.add(address.getHostAddress());
        }
      } catch (UnknownHostException e) {
        System.err.println("a web proxy has no address: " + e);
      }
    }
    return String.join(",", all);
  }

  private void read() {
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        said.add(line);
      }
    } catch (IOException e) {
      System.err.println("the coordinator's line: " + e);
    }
    try {
      said.add(EXITED + "\t" + process.waitFor());
    } catch (InterruptedException e) {
      said.add(EXITED + "\t" + 137);
    }
  }

  /** What it said next, within so many milliseconds, or null. */
  String next(long millis) throws InterruptedException {
    return millis == 0 ? said.poll() : said.poll(millis, TimeUnit.MILLISECONDS);
  }

  /** As if it had said that: for threads that have to tell the master something. */
  void post(String line) {
    said.add(line);
  }

  synchronized void tell(String line) {
    System.out.println("to the coordinator: " + line);
    try {
      to.write(line + "\n");
      to.flush();
    } catch (IOException e) {
      System.err.println("the coordinator hears nothing any more: " + e);
    }
  }

  void tracking(String url) {
    tracking = url;
  }

  String tracking() {
    return tracking;
  }

  /** Whether a signal ended it: Java adds 128. Its own codes are below, but 130 and 143, after it was asked to end. */
  static boolean wasKilled(int code) {
    return code > 128 && code != 130 && code != 143;
  }

  /** Any text as one field of a line. */
  static String line(String text) {
    return text == null ? "" : text.trim().replace("\t", " ").replace("\r", "").replace("\n", "\\n");
  }
}
