package peer;

import com.chinamobile.cmos.sms.AbstractSmsDcs;
import com.chinamobile.cmos.sms.SmsMessage;
import com.chinamobile.cmos.sms.SmsTextMessage;
import com.zx.sms.BaseMessage;
import com.zx.sms.LongSMSMessage;
import com.zx.sms.codec.cmpp.wap.LongMessageFrame;
import com.zx.sms.codec.cmpp.wap.LongMessageFrameHolder;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.EndpointEntity.SupportLongMessage;
import com.zx.sms.handler.api.BusinessHandlerInterface;
import io.netty.buffer.ByteBufUtil;
import io.netty.channel.ChannelHandler;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;

/** One protocol: how it is opened, and which of the library's messages says what. */
interface Dialect {
    /** The endpoint that accepts logins of `login` with `password`. */
    EndpointEntity listener(Account account, ChannelHandler tap, Traffic traffic);

    /** The endpoint that connects and logs in. `inbound` asks for SGIP's gateway-to-SP login. */
    EndpointEntity dialer(Account account, boolean inbound, ChannelHandler tap, Traffic traffic);

    /** What a message of the library means. */
    Seen read(Object pdu);

    /** An id of the gateway's own for a submit, in the form carrierd prints carrier ids. */
    Object allocate(BaseMessage submit);

    String id(Object allocated);

    BaseMessage answer(BaseMessage submit, Object id, long result);

    BaseMessage report(Seen.Part submit, Object id, String to, String stat, int error);

    BaseMessage inbound(String from, String to, String text, Settings settings);

    BaseMessage submit(String from, String to, String text, Settings settings);

    /** The answer that says a report or inbound message was taken. */
    BaseMessage take(BaseMessage delivered);

    /** The request for an orderly end of the link. */
    BaseMessage leave();

    String sequence(BaseMessage pdu);

    /** Where to listen or connect, and as whom. */
    record Account(
            String name, String host, int port, String login, String password, Settings settings) {}

    static void configure(EndpointEntity entity, Account account, Traffic traffic) {
        Settings settings = account.settings();
        entity.setId(account.name());
        entity.setHost(account.host());
        entity.setPort(account.port());
        entity.setMaxChannels((short) settings.number("links"));
        entity.setWindow((int) settings.number("window"));
        entity.setIdleTimeSec((short) settings.number("idle"));
        entity.setReSendFailMsg(false);
        // Parts are wanted one by one, so joining and splitting are asked for where they are shown.
        entity.setSupportLongmsg(SupportLongMessage.NONE);
        entity.setBusinessHandlerSet(List.<BusinessHandlerInterface>of(traffic));
    }

    /** The text in the coding the settings ask for; "auto" is ASCII where that does, else UCS-2. */
    static SmsMessage text(String text, Settings settings, IntFunction<AbstractSmsDcs> codings) {
        int coding =
                settings.text("coding").equals("auto")
                        ? (SmsTextMessage.haswidthChar(text) ? 8 : 0)
                        : (int) settings.number("coding");
        return new SmsTextMessage(text, codings.apply(coding));
    }

    /** The fields every part has, as the library decodes them. */
    static Map<String, Object> content(LongSMSMessage<?> message) {
        LongMessageFrame frame = message.generateFrame();
        byte[] decoded = frame.getMsgContentBytes();
        byte[] bytes = decoded == null ? new byte[0] : decoded;
        short total = 1;
        short number = 1;
        if (frame.isHasTpudhi() && bytes.length > 0) {
            LongMessageFrameHolder.INS.parseFrameKey(frame);
            total = frame.getPktotal();
            number = frame.getPknumber();
        }
        return Events.fields(
                "coding", frame.getMsgfmt().getValue() & 0xff,
                "udhi", frame.isHasTpudhi(),
                "total", total,
                "number", number,
                "hex", ByteBufUtil.hexDump(bytes),
                "text", bytes.length == 0 ? "" : LongMessageFrameHolder.INS.getPartTextMsg(frame));
    }
}
