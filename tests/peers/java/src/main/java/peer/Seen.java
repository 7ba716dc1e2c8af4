package peer;

import com.zx.sms.BaseMessage;
import java.util.List;
import java.util.Map;

/** What a PDU means, whichever protocol it came in. */
sealed interface Seen {
    /** A login request, as the listening side reads it. */
    record Login(Map<String, Object> fields) implements Seen {}

    /** The answer to a login; 0 is success in every protocol. */
    record LoginAnswer(long status) implements Seen {}

    /** A submit, or an inbound message when the gateway sends it; a long message is several. */
    record Part(
            BaseMessage pdu,
            boolean submit,
            String sequence,
            String from,
            List<String> to,
            boolean reportAsked,
            Map<String, Object> fields)
            implements Seen {}

    /** The answer to a submit. */
    record SubmitAnswer(String sequence, String id, long result) implements Seen {}

    /** A delivery report. */
    record Report(BaseMessage pdu, String sequence, Map<String, Object> fields) implements Seen {}

    /** The answer to a report or an inbound message. */
    record Taken(String sequence, String what, long result) implements Seen {}

    /** Keepalive, orderly leave and the like: the library answers those itself. */
    record Other(String pdu) implements Seen {}
}
