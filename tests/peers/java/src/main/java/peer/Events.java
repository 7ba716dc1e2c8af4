package peer;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/** What happened, one JSON object a line on standard output; README.md lists the events. */
final class Events {
    private final PrintStream out =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    /** Fields as name, value, name, value …; a null value leaves the field out. */
    static Map<String, Object> fields(Object... pairs) {
        Map<String, Object> fields = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            if (pairs[i + 1] != null) {
                fields.put((String) pairs[i], pairs[i + 1]);
            }
        }
        return fields;
    }

    void emit(String event, Object... pairs) {
        emit(event, fields(pairs));
    }

    synchronized void emit(String event, Map<String, Object> fields) {
        Map<String, Object> line = fields("event", event);
        line.putAll(fields);
        StringBuilder json = new StringBuilder();
        write(json, line);
        out.println(json);
    }

    private static void write(StringBuilder json, Object value) {
        if (value instanceof Map<?, ?> map) {
            json.append('{');
            for (Iterator<? extends Map.Entry<?, ?>> i = map.entrySet().iterator(); i.hasNext(); ) {
                Map.Entry<?, ?> entry = i.next();
                write(json, entry.getKey().toString());
                json.append(':');
                write(json, entry.getValue());
                json.append(i.hasNext() ? "," : "");
            }
            json.append('}');
        } else if (value instanceof Iterable<?> list) {
            json.append('[');
            for (Iterator<?> i = list.iterator(); i.hasNext(); ) {
                write(json, i.next());
                json.append(i.hasNext() ? "," : "");
            }
            json.append(']');
        } else if (value instanceof Number || value instanceof Boolean) {
            json.append(value);
        } else {
            write(json, String.valueOf(value));
        }
    }

    private static void write(StringBuilder json, String text) {
        json.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ' || c == '\u2028' || c == '\u2029' || Character.isSurrogate(c)) {
                // Escaped, so that half a pair cut by a wrong split is seen as it is.
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        json.append('"');
    }
}
