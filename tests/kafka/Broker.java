import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.Writer;
import java.lang.management.ManagementFactory;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.InstanceNotFoundException;
import javax.management.JMException;
import javax.management.ObjectName;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;

/**
 * One Kafka node on free ports of 127.0.0.1: broker and controller, or one of both ({@code process.roles}).
 *
 * <p>{@code Broker [--dir DIR] [KEY=VALUE]...}: each KEY is one of the broker's own settings; a listener on port 0 gets a
 * free one. Prints the address of every listener on one line once the broker takes requests, and ends when its standard
 * input is closed, so that it cannot outlive whoever started it. With {@code --dir} the data is kept there and found
 * again; else it is removed at the end. Each line of standard input names an attribute of one of its metrics, {@code
 * OBJECT-NAME ATTRIBUTE}; the value is printed on one line, {@code null} for a metric that is not there.
 */
final class Broker {
    private static final Pattern PORT_ZERO = Pattern.compile(":0(?=,|$)");
    private static final Pattern ADDRESS = Pattern.compile("://([^,]+)");
    private static final String CLUSTER_ID = "a3BzLWthZmthLXRlc3RzIQ";
    private static final int TRIES = 5;

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err); // Standard output carries the addresses and nothing else.

        Path kept = null;
        Properties settings = defaults();
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("--dir")) {
                kept = Path.of(args[++i]);
            } else {
                String[] pair = args[i].split("=", 2);
                settings.setProperty(pair[0], pair[1]);
            }
        }
        Path dir = kept == null ? Files.createTempDirectory("kps-kafka-") : Files.createDirectories(kept);
        if (kept == null) Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(dir)));
        Thread watch = new Thread(() -> answerUntilEnd(out));
        watch.setDaemon(true);
        watch.start();

        try {
            out.println(start(settings, dir));
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    /** A node for tests: everything replicated once, few internal partitions, nothing waits for others. */
    private static Properties defaults() {
        Properties settings = new Properties();
        settings.setProperty("process.roles", "broker,controller");
        settings.setProperty("node.id", "1");
        settings.setProperty("listeners", "PLAINTEXT://127.0.0.1:0");
        settings.setProperty("controller.listener.names", "CONTROLLER");
        settings.setProperty(
                "listener.security.protocol.map",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL");
        settings.setProperty("group.initial.rebalance.delay.ms", "0");
        settings.setProperty("offsets.topic.num.partitions", "4");
        settings.setProperty("offsets.topic.replication.factor", "1");
        settings.setProperty("transaction.state.log.num.partitions", "4");
        settings.setProperty("transaction.state.log.replication.factor", "1");
        settings.setProperty("transaction.state.log.min.isr", "1");
        settings.setProperty("share.coordinator.state.topic.num.partitions", "1");
        settings.setProperty("share.coordinator.state.topic.replication.factor", "1");
        settings.setProperty("share.coordinator.state.topic.min.isr", "1");
        // Compaction and retention act within a test's patience.
        settings.setProperty("log.cleaner.backoff.ms", "100");
        settings.setProperty("log.cleaner.dedupe.buffer.size", "2097152");
        settings.setProperty("log.initial.task.delay.ms", "100");
        return settings;
    }

    /** Starts the node and returns its addresses. A port taken by another process in the meantime means another try. */
    private static String start(Properties settings, Path dir) throws Exception {
        for (int attempt = 1; ; attempt++) {
            Properties chosen = withPorts(settings, dir);
            format(chosen, dir);
            KafkaRaftServer server = new KafkaRaftServer(KafkaConfig.fromProps(chosen), Time.SYSTEM);
            try {
                server.startup(); // Returns once the broker is registered and takes requests.
                return addresses(settings.getProperty("listeners"), chosen.getProperty("listeners"));
            } catch (Exception error) {
                if (attempt == TRIES || !hasCause(error, BindException.class)) throw error;
                System.err.println("a port was taken, trying others: " + error.getMessage());
                server.shutdown();
                server.awaitShutdown();
            }
        }
    }

    /** Writes real ports where the listeners say 0, and adds the listener of a broker's own controller. */
    private static Properties withPorts(Properties settings, Path dir) throws IOException {
        boolean alone = settings.getProperty("process.roles").equals("broker,controller");
        String listeners = settings.getProperty("listeners") + (alone ? ",CONTROLLER://127.0.0.1:0" : "");
        List<ServerSocket> held = new ArrayList<>(); // All held until the last is chosen, so that they differ.
        Matcher zero = PORT_ZERO.matcher(listeners);
        StringBuilder real = new StringBuilder();
        while (zero.find()) {
            ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"));
            held.add(socket);
            zero.appendReplacement(real, ":" + socket.getLocalPort());
        }
        zero.appendTail(real);
        for (ServerSocket socket : held) socket.close();

        String controller = real.substring(real.lastIndexOf("://") + 3);
        Properties chosen = new Properties();
        chosen.putAll(settings);
        chosen.setProperty("listeners", real.toString());
        chosen.putIfAbsent("controller.quorum.voters", settings.getProperty("node.id") + "@" + controller);
        chosen.setProperty("log.dirs", dir.resolve("data").toString());
        return chosen;
    }

    private static void format(Properties settings, Path dir) throws IOException {
        Path file = dir.resolve("server.properties");
        try (Writer writer = Files.newBufferedWriter(file)) {
            settings.store(writer, null);
        }
        String[] args = {"format", "-t", CLUSTER_ID, "-c", file.toString(), "--ignore-formatted"};
        if (StorageTool.execute(args, System.err) != 0) {
            throw new IOException("cannot format " + dir);
        }
    }

    /** {@code HOST:PORT} of every listener that was asked for, which leaves the controller's out. */
    private static String addresses(String asked, String real) {
        long count = ADDRESS.matcher(asked).results().count();
        List<String> found = ADDRESS.matcher(real).results().limit(count).map(match -> match.group(1)).toList();
        return String.join(" ", found);
    }

    private static boolean hasCause(Throwable error, Class<?> kind) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (kind.isInstance(cause)) return true;
        }
        return false;
    }

    private static void answerUntilEnd(PrintStream out) {
        try {
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] asked = line.split(" ", 2);
                out.println(metric(asked[0], asked[1]));
            }
        } catch (IOException gone) {
            // The same as its end.
        } finally {
            System.exit(0);
        }
    }

    private static Object metric(String name, String attribute) {
        try {
            return ManagementFactory.getPlatformMBeanServer().getAttribute(new ObjectName(name), attribute);
        } catch (InstanceNotFoundException none) {
            return null; // Of a topic nobody has read or written there is none.
        } catch (JMException error) {
            throw new IllegalArgumentException(name + " " + attribute, error);
        }
    }

    /** The node is still running (an orderly shutdown takes seconds), so a file may appear while its folder is removed. */
    private static void remove(Path dir) {
        for (int attempt = 0; attempt < TRIES && Files.exists(dir); attempt++) {
            try {
                Utils.delete(dir.toFile());
            } catch (IOException error) {
                // Another try.
            }
        }
    }
}
