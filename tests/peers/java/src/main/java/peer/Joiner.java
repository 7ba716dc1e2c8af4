package peer;

import com.chinamobile.cmos.sms.SmsTextMessage;
import com.zx.sms.BaseMessage;
import com.zx.sms.LongSMSMessage;
import com.zx.sms.codec.cmpp.wap.LongMessageFrameHolder;
import com.zx.sms.codec.cmpp.wap.SmsMessageHolder;
import com.zx.sms.common.GlobalConstance;
import com.zx.sms.common.NotSupportedException;
import com.zx.sms.connect.manager.EndpointEntity;
import io.netty.channel.Channel;
import java.util.ArrayList;
import java.util.List;

/** Splits and joins long messages with the library's own code. */
final class Joiner {
    private final Dialect dialect;
    private final Events events;

    Joiner(Dialect dialect, Events events) {
        this.dialect = dialect;
        this.events = events;
    }

    /** Emits "message" once the library has every part of one; a short one is whole at once. */
    void add(Channel link, Seen.Part part) {
        LongSMSMessage<?> message = (LongSMSMessage<?>) part.pdu();
        EndpointEntity entity = link.attr(GlobalConstance.entityPointKey).get();
        String key = Wiretap.link(link) + "." + message.getSrcIdAndDestId();
        SmsMessageHolder whole;
        try {
            whole = LongMessageFrameHolder.INS.putAndget(entity, key, message, false);
        } catch (NotSupportedException e) {
            events.emit("error", "sequence", part.sequence(), "text", "joining: " + e.getMessage());
            return;
        }
        if (whole == null) {
            return;
        }
        List<String> sequences = new ArrayList<>();
        sequences.add(dialect.sequence((BaseMessage) whole.getMsg()));
        List<?> others = whole.getMsg().getFragments();
        if (others != null) {
            others.forEach(other -> sequences.add(dialect.sequence((BaseMessage) other)));
        }
        String text =
                whole.getSmsMessage() instanceof SmsTextMessage read
                        ? read.getText()
                        : whole.getSmsMessage().toString();
        events.emit(
                "message",
                "of", part.submit() ? "submit" : "inbound",
                "from", part.from(),
                "to", part.to(),
                "text", text,
                "parts", sequences.size(),
                "sequences", sequences);
    }

    /** The PDUs that carry a message, one for each part. */
    static List<BaseMessage> split(Channel link, BaseMessage message) throws Exception {
        return LongMessageFrameHolder.splitLongSmsMessage(
                link.attr(GlobalConstance.entityPointKey).get(), message, link);
    }
}
