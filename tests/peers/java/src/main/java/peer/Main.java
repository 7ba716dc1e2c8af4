package peer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;

/** {@code java -cp … peer.Main gateway|client cmpp20|cmpp30|sgip|smgp key=value…} */
public final class Main {
    private final Settings settings = new Settings();
    private final Events events = new Events();
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
    private Gateway gateway;
    private Client client;

    private Main() {}

    public static void main(String[] arguments) {
        Main main = new Main();
        try {
            main.run(arguments);
        } catch (Exception e) {
            main.events.emit("error", "text", e.toString());
            System.exit(1);
        }
        // The library's threads have nothing left to say.
        System.exit(0);
    }

    private void run(String[] arguments) throws Exception {
        if (arguments.length < 2) {
            throw new IllegalArgumentException(
                    "usage: gateway|client cmpp20|cmpp30|sgip|smgp key=value…");
        }
        for (int i = 2; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            if (pair.length != 2) {
                throw new IllegalArgumentException("'" + arguments[i] + "' is not key=value");
            }
            settings.set(pair[0], pair[1]);
        }
        Dialect dialect = dialect(arguments[1]);
        switch (arguments[0]) {
            case "gateway" -> {
                gateway = new Gateway(dialect, settings, events, clock);
                gateway.open();
            }
            case "client" -> {
                client = new Client(dialect, settings, events);
                client.open();
            }
            default -> throw new IllegalArgumentException("role '" + arguments[0] + "'");
        }
        events.emit("started", "role", arguments[0], "protocol", arguments[1]);
        commands();
    }

    private Dialect dialect(String protocol) {
        return switch (protocol) {
            case "cmpp20" -> new Cmpp(0x20);
            case "cmpp30" -> new Cmpp(0x30);
            case "sgip" -> new Sgip(settings.number("node"));
            case "smgp" -> new Smgp();
            default -> throw new IllegalArgumentException("protocol '" + protocol + "'");
        };
    }

    /**
     * Until `quit` or the end of the input: the one who started this may be gone. Every line is
     * acknowledged once it is carried out, so that nothing sent elsewhere overtakes it.
     */
    private void commands() throws Exception {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int number = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            if (line.equals("quit")) {
                return;
            }
            number++;
            try {
                command(line);
                events.emit("done", "number", number, "command", line);
            } catch (Exception e) {
                events.emit("refused", "number", number, "command", line, "text", e.toString());
            }
        }
    }

    private void command(String line) throws Exception {
        String verb = line.split(" ", 2)[0];
        if (verb.equals("set")) {
            String[] words = line.split(" ", 3);
            settings.set(words[1], words[2]);
        } else if (gateway != null && verb.equals("mo")) {
            String[] words = line.split(" ", 4);
            gateway.inbound(words[1], words[2], words[3]);
        } else if (gateway != null && verb.equals("report-all")) {
            gateway.reportAll(line.split(" ", 2)[1]);
        } else if (client != null && verb.equals("submit")) {
            String[] words = line.split(" ", 3);
            client.submit(words[1], words[2]);
        } else if (client != null && verb.equals("connect")) {
            client.connect(Integer.parseInt(line.split(" ", 2)[1]));
        } else if (verb.equals("leave")) {
            if (gateway != null) {
                gateway.leave();
            } else {
                client.leave();
            }
        } else {
            throw new IllegalArgumentException("no such command for this role");
        }
    }
}
