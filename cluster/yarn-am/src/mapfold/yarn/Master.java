package mapfold.yarn;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * The application master of a mapfold job. It speaks YARN, and nothing else.
 *
 * <p>It starts the job's coordinator, a native program, beside itself in its own container, and does what that says on
 * its standard output: asks for containers, starts a member in each, stops them. What happens to the containers goes to
 * the coordinator's standard input. Who is a member, what its end means and when the job is over is decided there.
 *
 * <p>Lines; their fields are separated by tabs:
 *
 * <pre>
 * from the coordinator   ask SLOT MIB CORES MEMBERSHIP    a container, and a member in it
 *                        stop SLOT                        end it, or no longer want it
 *                        tracking URL                     where people see the job
 *                        progress FRACTION                from 0 to 1
 *                        end WORDS                        what people are told of the end
 * to the coordinator     started SLOT HOST CONTAINER
 *                        ended SLOT STATUS WORDS          YARN's exit status of the container
 * </pre>
 *
 * <p>A coordinator that ends by itself ends the application. One that is killed (out of memory, a lost node) makes this
 * process end without a word, so that YARN begins another attempt, whose coordinator goes on from the commit records.
 */
public final class Master {
  private static final Priority PRIORITY = Priority.newInstance(1);
  /** Milliseconds between two calls of the ResourceManager while something is wanted, and otherwise. */
  private static final long SOON = 100, CALM = 300;
  /** Where "cannot be started" is told among the exit statuses of containers: YARN has no such number itself. */
  private static final int NOT_STARTED = -2000;

  private final Options options;
  private final AMRMClient<ContainerRequest> rm = AMRMClient.createAMRMClient();
  private final NMClient nm = NMClient.createNMClient();
  private final ExecutorService calls = Executors.newCachedThreadPool(Master::daemon);
  /** Members without a container yet, oldest first. */
  private final Map<Long, Member> wanted = new LinkedHashMap<>();
  private final Map<ContainerId, Member> running = new HashMap<>();
  private Coordinator coordinator;
  private Launch launch;
  private float progress;
  private String words = "";

  /** A member that was asked for. */
  private static final class Member {
    final long slot;
    final String place;
    final ContainerRequest request;
    Container container;

    Member(long slot, String place, ContainerRequest request) {
      this.slot = slot;
      this.place = place;
      this.request = request;
    }
  }

  private Master(Options options) {
    this.options = options;
  }

  public static void main(String[] args) throws Exception {
    System.exit(new Master(Options.of(args)).run());
  }

  private static Thread daemon(Runnable work) {
    Thread thread = new Thread(work, "calls");
    thread.setDaemon(true);
    return thread;
  }

  private int run() throws Exception {
    YarnConfiguration conf = new YarnConfiguration();
    // A dead NodeManager is told of by the ResourceManager: nobody need try it for three minutes.
    conf.setLong(YarnConfiguration.CLIENT_NM_CONNECT_MAX_WAIT_MS, 10_000);
    conf.setLong(YarnConfiguration.CLIENT_NM_CONNECT_RETRY_INTERVAL_MS, 1_000);
    rm.init(conf);
    rm.start();
    nm.init(conf);
    nm.start();
    rm.registerApplicationMaster(options.host, -1, "");
    launch = new Launch(conf, options);
    coordinator = new Coordinator(conf, options);
    int code = serve();
    launch.keepOutcome(coordinator, code);
    if (Coordinator.wasKilled(code)) {
      System.err.println("the coordinator was killed (" + code + "): another attempt goes on");
      return 1;
    }
    if (words.isEmpty()) {
      words = "exit code " + code;
    }
    rm.unregisterApplicationMaster(status(code), words, coordinator.tracking());
    launch.forget();
    rm.stop();
    return 0;
  }

  /** 4 is a result too: parts were left out, as many as the user allows. 130: the user stopped it. */
  private static FinalApplicationStatus status(int code) {
    if (code == 0 || code == 4) {
      return FinalApplicationStatus.SUCCEEDED;
    }
    return code == 130 ? FinalApplicationStatus.KILLED : FinalApplicationStatus.FAILED;
  }

  /** Does what the coordinator says until it has ended; its exit code. */
  private int serve() throws Exception {
    while (true) {
      String line = coordinator.next(wanted.isEmpty() ? CALM : SOON);
      for (; line != null; line = coordinator.next(0)) {
        String[] said = line.split("\t", 5);
        if (said[0].equals(Coordinator.EXITED)) {
          return Integer.parseInt(said[1]);
        }
        obey(said);
      }
      beat();
    }
  }

  private void obey(String[] said) {
    System.out.println("coordinator: " + String.join(" ", said));
    switch (said[0]) {
      case "ask":
        ask(Long.parseLong(said[1]), Integer.parseInt(said[2]), Integer.parseInt(said[3]), said[4]);
        break;
      case "stop":
        stop(Long.parseLong(said[1]));
        break;
      case "failed": // From a thread of ours.
        lost(Long.parseLong(said[1]), said[2]);
        break;
      case "tracking":
        rm.updateTrackingUrl(said[1]);
        coordinator.tracking(said[1]);
        break;
      case "progress":
        progress = Math.min(1, Math.max(0, Float.parseFloat(said[1])));
        break;
      case "end":
        words = said[1];
        break;
      default:
        System.err.println("unknown: " + said[0]);
    }
  }

  private void ask(long slot, int mib, int cores, String place) {
    ContainerRequest request = new ContainerRequest(Resource.newInstance(mib, cores), null, null, PRIORITY);
    wanted.put(slot, new Member(slot, place, request));
    rm.addContainerRequest(request);
  }

  private void stop(long slot) {
    Member waiting = wanted.remove(slot);
    if (waiting != null) {
      rm.removeContainerRequest(waiting.request);
      coordinator.tell("ended\t" + slot + "\t0\tit had no container yet");
      return;
    }
    for (Member member : running.values()) {
      if (member.slot == slot) {
        // By the ResourceManager: it reaches the container as soon as its node is heard of again, however late.
        rm.releaseAssignedContainer(member.container.getId());
        calls.execute(() -> stopNow(member.container));
      }
    }
  }

  private void stopNow(Container container) {
    try {
      nm.stopContainer(container.getId(), container.getNodeId());
    } catch (Exception e) {
      System.err.println("not stopped at once: " + container.getId() + ": " + e);
    }
  }

  /** One call of the ResourceManager: what was granted, what has ended. */
  private void beat() throws Exception {
    AllocateResponse response = rm.allocate(progress);
    response.getAllocatedContainers().forEach(this::granted);
    response.getCompletedContainersStatuses().forEach(this::ended);
  }

  private void granted(Container container) {
    Member member = fitting(container);
    if (member == null) {
      rm.releaseAssignedContainer(container.getId());
      return;
    }
    wanted.remove(member.slot);
    // The client repeats its table of requests with each call: what was given must be taken out by hand.
    rm.removeContainerRequest(member.request);
    member.container = container;
    running.put(container.getId(), member);
    calls.execute(() -> start(member));
  }

  private Member fitting(Container container) {
    for (Member member : wanted.values()) {
      if (member.request.getCapability().getMemorySize() <= container.getResource().getMemorySize()) {
        return member;
      }
    }
    return null;
  }

  private void start(Member member) {
    String where = member.container.getNodeId().getHost();
    try {
      nm.startContainer(member.container, launch.ofMember(member.place, where));
      coordinator.tell("started\t" + member.slot + "\t" + where + "\t" + member.container.getId());
    } catch (Exception e) {
      coordinator.post("failed\t" + member.slot + "\t" + Coordinator.line("on " + where + ": " + e.getMessage()));
    }
  }

  /** A member whose container could not be started. */
  private void lost(long slot, String why) {
    List<Member> all = new ArrayList<>(running.values());
    for (Member member : all) {
      if (member.slot == slot) {
        running.remove(member.container.getId());
        rm.releaseAssignedContainer(member.container.getId());
        coordinator.tell("ended\t" + slot + "\t" + NOT_STARTED + "\t" + why);
      }
    }
  }

  private void ended(ContainerStatus status) {
    Member member = running.remove(status.getContainerId());
    if (member != null) {
      String why = Coordinator.line(status.getDiagnostics());
      coordinator.tell("ended\t" + member.slot + "\t" + status.getExitStatus() + "\t" + why);
    }
  }
}
