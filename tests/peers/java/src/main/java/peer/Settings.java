package peer;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** The key=value settings of one run; some can be changed while it runs with `set`. */
final class Settings {
    /** Every setting with its value when none is given. README.md says what each is for. */
    private static final Map<String, String> DEFAULTS = new TreeMap<>(Map.ofEntries(
            Map.entry("host", "127.0.0.1"),
            Map.entry("port", "0"),
            Map.entry("login", "901234"),
            Map.entry("password", "secret"),
            Map.entry("links", "20"),
            Map.entry("window", "32"),
            Map.entry("idle", "30"),
            Map.entry("node", "0"),
            Map.entry("delay", "0"),
            Map.entry("report", "0"),
            Map.entry("result", "0"),
            Map.entry("stat", "DELIVRD"),
            Map.entry("error", "0"),
            Map.entry("coding", "auto"),
            Map.entry("callback", ""),
            Map.entry("callback-login", "smg"),
            Map.entry("callback-password", "smgsecret"),
            Map.entry("listen", "0"),
            Map.entry("listen-login", "smg"),
            Map.entry("listen-password", "smgsecret"),
            Map.entry("from", "10690001"),
            Map.entry("corp", "12345"),
            Map.entry("service", "")));

    private final Map<String, String> values = new ConcurrentHashMap<>(DEFAULTS);

    void set(String key, String value) {
        if (!DEFAULTS.containsKey(key)) {
            String known = String.join(" ", DEFAULTS.keySet());
            throw new IllegalArgumentException("unknown setting '" + key + "', known: " + known);
        }
        values.put(key, value);
    }

    String text(String key) {
        return values.get(key);
    }

    long number(String key) {
        String value = values.get(key);
        try {
            return Long.parseLong(value);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(key + "=" + value + " is not a whole number");
        }
    }

    /** Milliseconds, or -1 for the word "never". */
    long milliseconds(String key) {
        return values.get(key).equals("never") ? -1 : number(key);
    }
}
